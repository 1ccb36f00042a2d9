"""kill -9 at any moment, on one process and on two: the resumed run ends with the weights of an undisturbed one."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgecnn.run import Run
from edgecnn.train.checkpoint import Checkpoints
from edgecnn.train.compilers import cxx
from tests.train.forks import Forks, forks
from tests.verbs.small_runs import class_folders, recipe

KILLS, PAIRED_KILLS = 60, 10
FEW, PAIRED_FEW = 4, 2
"""As many as tools/test has time for."""
TIMES = ("images_per_s", "seconds")
SAVED = "runs/small/checkpoints/last/state.json"


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks() as made:
        yield made


def small(folder: Path) -> Path:
    """A recipe with everything that could depend on what ran before: shuffling, flips, mixing, dropout, averages.

    With the training kernels, where there is a compiler for them; .ci/run sees to that.
    """
    layers = """
    - conv: {filters: 16, kernel: 3, stride: 2, batch_norm: true, activation: relu}
    - depthwise_conv: {kernel: 3, stride: 2, batch_norm: true, activation: relu}
    - conv: {filters: 16, kernel: 1, batch_norm: true, activation: relu}
    - global_average_pool
    - dropout: {rate: 0.3}
    - dense: {units: 3}
"""
    data = class_folders(folder / "pictures", train=60, test=2)
    more = "ema: 0.9, augment: [crop, alternating_flip, cutmix]"
    path = recipe(folder / "small.yaml", data, layers=layers, train_more=more)
    text = path.read_text().replace("epochs: 2", "epochs: 6")
    path.write_text(text.replace("fused: false", "fused: true") if cxx() else text)
    return path


def result(run: Path) -> dict[str, Any]:
    """What has to come out the same: weights, momentum, averages, the batch log, and the figures of each epoch.

    `previous` is whole, but may be older: a process can die between exchanging `last` and keeping the one it replaced.
    """
    made = Run(run)
    found: dict[str, Any] = {"batches": made.batches.path.read_text(), "recipe": made.resolved.read_text()}
    found["percentages"] = made.percentages.read_text()
    found["epochs"] = [{k: v for k, v in line.items() if k not in TIMES} for line in made.metrics.read()]
    for kept in ("last", "best"):
        for file in sorted((run / "checkpoints" / kept).iterdir()):
            found[f"{kept}/{file.name}"] = file.read_bytes()
    return found


def whole_ones(run: Path) -> None:
    """Whatever lies under a final name can be read, hashes and all; nothing half-written bears one."""
    from edgecnn.train import checkpoint

    for kept in ("last", "previous", "best"):
        folder = run / "checkpoints" / kept
        if folder.exists():
            checkpoint.read(folder)
    for name in ("recipe.yaml", "resolved.yaml"):
        assert (run / name).stat().st_size > 0


def leftovers(run: Path) -> list[str]:
    return [str(path.relative_to(run)) for path in run.rglob(".*")]


def group(count: int) -> list[Mapping[str, str]]:
    """The environments that torchrun gives some processes on one machine."""
    same = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "TORCHELASTIC_RUN_ID": "test",
    }
    return [{**same, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)]


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "kills"),
    [
        pytest.param(1, FEW, id="one, a few times"),
        pytest.param(2, PAIRED_FEW, id="two, a few times", marks=pytest.mark.long),
        pytest.param(1, KILLS, id="one", marks=pytest.mark.long),
        pytest.param(2, PAIRED_KILLS, id="two", marks=pytest.mark.long),
    ],
)
def test_killed_at_random_moments(server: Forks, tmp_path: Path, processes: int, kills: int) -> None:
    path, drawn = small(tmp_path), random.Random(processes)  # noqa: S311 - moments, not secrets

    def environments() -> list[Mapping[str, str]]:
        return [{}] if processes == 1 else group(2)

    whole = server.run(["train", path], tmp_path, environments=environments())
    assert set(whole.codes) == {0}, whole.said
    expected = result(tmp_path / "runs/small")
    hit = number = 0
    while hit < kills:
        number += 1
        assert number < 3 * kills, "most kills have to hit a run"
        folder = tmp_path / f"{number}"
        folder.mkdir()
        moment = drawn.uniform(0.02, 0.98) * whole.seconds
        ended = server.run(["train", path], folder, signal_after=moment, environments=environments())
        run = folder / "runs/small"
        if set(ended.codes) == {0} or not (run / "resolved.yaml").exists():
            continue  # too late, or before there was anything to go on with
        assert -signal.SIGKILL in ended.codes, ended.said
        whole_ones(run)
        resumed = server.run(["train", "runs/small"], folder, environments=environments())
        assert set(resumed.codes) == {0}, resumed.said
        whole_ones(run)
        assert result(run) == expected, f"killed after {moment:.3f} s of {whole.seconds:.3f}"
        assert leftovers(run) == []
        hit += 1
        shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.long
def test_killed_with_first_weights_and_frozen_layers(server: Forks, tmp_path: Path) -> None:
    """The weights lie elsewhere by the time that the run is resumed: they are taken once."""
    path = small(tmp_path)
    assert server.run(["train", path, "--seed", "5"], tmp_path).codes == (0,)
    shutil.move(tmp_path / "runs/small", tmp_path / "source")
    asked = ["train", path, "model.weights=source", "train.freeze=1"]
    assert server.run(asked, tmp_path).codes == (0,)
    shutil.move(tmp_path / "runs", tmp_path / "whole")
    killed = server.run(asked, tmp_path, signal_after=0.02, once_there_is=SAVED)
    assert killed.codes == (-signal.SIGKILL,), killed.said
    shutil.move(tmp_path / "source", tmp_path / "elsewhere")
    resumed = server.run(["train", "runs/small"], tmp_path)
    assert resumed.codes == (0,), resumed.said
    assert result(tmp_path / "runs/small") == result(tmp_path / "whole/small")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_within_a_step(server: Forks, tmp_path: Path, number: int, code: int) -> None:
    path = small(tmp_path)
    server.run(["train", path], tmp_path)
    shutil.move(tmp_path / "runs", tmp_path / "whole")
    stopped = server.run(["train", path], tmp_path, signal_after=0.02, once_there_is=SAVED, number=number)
    assert stopped.codes == (code,), stopped.said
    assert "saving after this step" in stopped.said
    assert "`edgecnn train runs/small` goes on from here" in stopped.said
    lines = Run(tmp_path / "runs/small").batches.read()
    found = Checkpoints(tmp_path / "runs/small/checkpoints").newest(lambda _: None)
    assert found is not None
    state = found[1]
    assert len(lines) == state.epoch * 9 + state.step, "nothing trained is lost"
    resumed = server.run(["train", "runs/small"], tmp_path)
    assert resumed.codes == (0,), resumed.said
    assert result(tmp_path / "runs/small") == result(tmp_path / "whole/small")


@pytest.mark.slow
@pytest.mark.long
def test_a_signal_to_several_processes_saves_too(server: Forks, tmp_path: Path) -> None:
    """Three of them: with two, the order of a sum can't show. Resumed, they end where an undisturbed run does."""
    path = small(tmp_path)
    whole = server.run(["train", path], tmp_path, environments=group(3))
    assert set(whole.codes) == {0}, whole.said
    shutil.move(tmp_path / "runs", tmp_path / "whole")
    at = {"signal_after": 0.02, "once_there_is": SAVED, "number": signal.SIGTERM}
    stopped = server.run(["train", path], tmp_path, environments=group(3), **at)  # type: ignore[arg-type]
    assert set(stopped.codes) == {143}, stopped.said
    resumed = server.run(["train", "runs/small"], tmp_path, environments=group(3))
    assert set(resumed.codes) == {0}, resumed.said
    expected, found = result(tmp_path / "whole/small"), result(tmp_path / "runs/small")
    for what in ("batches", "epochs", "last/model.safetensors", "last/optimizer.safetensors", "best/model.safetensors"):
        assert found[what] == expected[what], what


def test_a_run_is_trained_by_one_at_a_time(server: Forks, tmp_path: Path) -> None:
    path = small(tmp_path)
    assert server.run(["train", path], tmp_path).codes == (0,)
    with Run(tmp_path / "runs/small").held():
        refused = server.run(["train", "runs/small"], tmp_path)
    assert refused.codes == (2,)
    assert "runs/small: is being trained by another process" in refused.said


def test_pictures_that_came_or_went_are_noticed(server: Forks, tmp_path: Path) -> None:
    path = small(tmp_path)
    server.run(["train", path, "train.epochs=1"], tmp_path)
    next((tmp_path / "pictures/train/cat").iterdir()).unlink()
    resumed = server.run(["train", "runs/small"], tmp_path)
    assert resumed.codes == (2,)
    assert "was trained on other pictures (144 pictures" in resumed.said


def test_a_changed_seed_would_be_seen(server: Forks, tmp_path: Path) -> None:
    """The comparison is not blind."""
    path = small(tmp_path)
    server.run(["train", path], tmp_path)
    server.run(["train", path, "--seed", "1"], tmp_path)
    one, other = result(tmp_path / "runs/small"), result(tmp_path / "runs/small-2")
    for what in ("batches", "last/model.safetensors", "last/average.safetensors", "best/optimizer.safetensors"):
        assert one[what] != other[what]
    assert (
        json.loads(one["batches"].splitlines()[0])["pictures"]
        != json.loads(other["batches"].splitlines()[0])["pictures"]
    )

"""What is written comes back, bit for bit; what is damaged is noticed; and nothing that ends a process loses both."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from safetensors.torch import save as save_by_the_library
from torch import Tensor, nn

from edgecnn import storage
from edgecnn.errors import OutOfResources, UnusableFile, UsageError
from edgecnn.storage import sha256_file
from edgecnn.train import checkpoint
from edgecnn.train.checkpoint import Checkpoints, State, Tensors, load_model, read_state
from tests.small_disk import REPO, free, full_before, small_disk

LABELS = tuple("abc")
FILES = ("model.safetensors", "optimizer.safetensors", "average.safetensors", "state.json")


def state(epoch: int = 2) -> State:
    return State(epoch, 0.25, 0.5, 1, LABELS, step=3, loss_sum=1.5, right=7, stopped_early=True)


def net(width: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    layers = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width, 3))
    return layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def tensors(value: float = 0.0) -> Tensors:
    """A net's, with momentum and an average, each of them other numbers."""
    model = net().state_dict()
    momentum = {name: tensor + value + 1 for name, tensor in net().named_parameters()}
    average = {name: tensor.double() + value + 2 for name, tensor in model.items()}
    return Tensors({name: tensor + int(value) for name, tensor in model.items()}, momentum, average)


def same(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return set(found) == set(expected) and all(
        torch.equal(found[name], expected[name]) and found[name].dtype == expected[name].dtype for name in expected
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def silent(said: str) -> None:
    raise AssertionError(f"nothing was to be said: {said}")


# --- there and back ---------------------------------------------------------------------------------------------------


def test_there_and_back(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "new").newest(silent) is None
    Checkpoints(tmp_path).save_last(tensors(), state())
    assert names(tmp_path) == ["last"]
    assert names(tmp_path / "last") == sorted(FILES)
    read = Checkpoints(tmp_path).newest(silent)
    assert read is not None
    found, at = read
    assert at == state() == read_state(tmp_path / "last")
    assert set(at.sha256) == set(FILES)
    expected = tensors()
    assert same(found.model, expected.model)
    assert same(found.optimizer, expected.optimizer)
    assert same(found.average, expected.average)


def test_without_an_average_there_is_no_file(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    kept.save_last(Tensors(tensors().model, {}), state())
    assert names(tmp_path / "last") == ["model.safetensors", "optimizer.safetensors", "state.json"]
    read = kept.newest(silent)
    assert read is not None
    assert read[0].average == {}
    kept.save_best(tensors(), state())
    assert names(tmp_path / "best") == ["model.safetensors", "optimizer.safetensors", "state.json"]


def test_two_are_kept(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path)
    for epoch in range(4):
        kept.save_last(tensors(epoch), state(epoch))
        kept.save_best(tensors(epoch), state(epoch))
        expected = ["best", "last", "previous"] if epoch else ["best", "last"]
        assert names(tmp_path) == expected
        assert [read_state(tmp_path / name).epoch for name in expected] == [epoch, epoch, epoch - 1][: len(expected)]


@pytest.mark.parametrize("dtype", checkpoint.DTYPES, ids=str)
def test_the_bytes_are_those_of_the_library(dtype: torch.dtype, tmp_path: Path) -> None:
    """Whatever the order they come in, and however they lie in memory."""
    torch.manual_seed(0)
    given = {
        "weight": (torch.randn(4, 3, 5, 5) * 9).to(dtype).to(memory_format=torch.channels_last),
        'häuschen "1"': (torch.randn(5, 4) * 9).to(dtype).t(),
        "scalar": torch.tensor(3).to(dtype),
        "empty": torch.zeros(0, 3).to(dtype),
        "wide": torch.arange(3),
        "narrow": torch.ones(3, dtype=torch.bool),
    }
    expected = save_by_the_library({name: tensor.contiguous() for name, tensor in given.items()})
    for part in (given, dict(reversed(given.items()))):
        Checkpoints(tmp_path).save_best(Tensors(part, {}), state())
        assert (tmp_path / "best/model.safetensors").read_bytes() == expected


def test_another_program_can_read_the_weights(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save_best(tensors(), state())
    assert same(load_file(tmp_path / "best/model.safetensors"), tensors().model)


def test_weights_go_into_a_model_or_do_not_fit(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save_best(Tensors(net().state_dict(), {}), state())
    model = net(seed=9)
    load_model(tmp_path / "best", model)
    assert same(model.state_dict(), net().state_dict())
    assert next(model.parameters()).is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(UnusableFile, match=r"best/model\.safetensors: does not fit the recipe's model"):
        load_model(tmp_path / "best", net(width=5))


def test_state_knows_its_classes(tmp_path: Path) -> None:
    state().check_labels(LABELS, tmp_path)
    with pytest.raises(UsageError, match="was trained on the classes a, b, c, but the pictures have b, c, a now"):
        state().check_labels(("b", "c", "a"), tmp_path)


def test_a_checkpoint_from_before_there_were_hashes(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save_last(Tensors(net().state_dict(), {}), state())
    path = tmp_path / "last/state.json"
    old = ("epoch", "val_top1", "best_val_top1", "best_epoch", "labels", "schema")
    path.write_text(json.dumps({name: json.loads(path.read_text())[name] for name in old}))
    read = Checkpoints(tmp_path).newest(silent)
    assert read is not None
    assert read[1] == State(2, 0.25, 0.5, 1, LABELS)
    load_model(tmp_path / "last", net(seed=9))


# --- damage -----------------------------------------------------------------------------------------------------------


def flip(content: bytes, at: int, bit: int = 0) -> bytes:
    return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at:][1:]


DAMAGE = {
    "empty": lambda content: b"",
    "cut short": lambda content: content[:-2],
    "half": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"}",
    "zeros": lambda content: bytes(len(content)),
    "first byte": lambda content: flip(content, 0),
    "header": lambda content: flip(content, 40),
    "middle": lambda content: flip(content, len(content) // 2),
    "last byte": lambda content: flip(content, len(content) - 1),
    "missing": None,
}


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the checkpoints of epoch 2 and, before it, 1."""
    for epoch in (1, 2):
        Checkpoints(tmp_path).save_last(tensors(epoch), state(epoch))
    return tmp_path


def damage(path: Path, kind: str) -> None:
    change = DAMAGE[kind]
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_noticed_and_the_one_before_taken(file: str, kind: str, two: Path) -> None:
    damage(two / "last" / file, kind)
    said: list[str] = []
    kept = Checkpoints(two)
    read = kept.newest(said.append)
    assert read is not None
    assert read[1] == state(1)
    assert same(read[0].model, tensors(1).model)
    (sentence,) = said
    assert str(two / "last" / file) in sentence
    assert sentence.endswith(f"taking the checkpoint before it, {two / 'previous'}, of epoch 1")
    kept.save_last(tensors(3), state(3))
    assert [read_state(two / name).epoch for name in ("last", "previous")] == [3, 1], "the damaged one is not kept"

    damage(two / "last" / file, kind)
    damage(two / "previous" / file, kind)
    with pytest.raises(UnusableFile, match="bring one of them back, or train the recipe anew") as error:
        kept.newest(silent)
    assert all(str(two / name / file) in str(error.value) for name in ("last", "previous"))


def test_a_folder_that_is_missing(two: Path) -> None:
    shutil.rmtree(two / "last")
    said: list[str] = []
    read = Checkpoints(two).newest(said.append)
    assert read is not None
    assert read[1].epoch == 1
    assert said == [f"{two}/last is missing; taking the checkpoint before it, {two}/previous, of epoch 1"]


@pytest.mark.parametrize("file", ["model.safetensors", "state.json"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_weights_go_into_no_model(file: str, kind: str, tmp_path: Path) -> None:
    Checkpoints(tmp_path).save_best(tensors(), state())
    damage(tmp_path / "best" / file, kind)
    with pytest.raises(UnusableFile, match=file):
        load_model(tmp_path / "best", net())


def test_every_byte_of_the_state_counts(tmp_path: Path) -> None:
    """No hash but its own tells that an epoch or a step became another."""
    Checkpoints(tmp_path).save_best(tensors(), state())
    path = tmp_path / "best/state.json"
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(flip(content, at, at % 8))
        with pytest.raises(UnusableFile):
            read_state(tmp_path / "best")


def test_without_the_hashes_damage_would_pass(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: a reader that takes each hash for right."""
    damage(two / "last/model.safetensors", "last byte")
    before = state(2)
    monkeypatch.setattr(checkpoint, "read_state", lambda folder: before)
    read = Checkpoints(two).newest(silent)
    assert read is not None
    assert not same(read[0].model, tensors(2).model)


# --- SIGKILL ----------------------------------------------------------------------------------------------------------


def fork_savers(folder: str, can_exchange: str) -> None:
    """What the child process of the tests below does: for each line, fork a process that saves.

    "-" saves until it is killed; a number kills itself before so many file operations of its last save.
    """
    if can_exchange == "False":
        storage._exchange = lambda one, other: False
    for line in sys.stdin:
        if (number := os.fork()) == 0:
            _save_on(Path(folder), line.strip())
        print(number, flush=True)
        print(os.waitpid(number, 0)[1], flush=True)


def _save_on(folder: Path, moment: str) -> None:
    kept = Checkpoints(folder)
    kept.sweep()
    read = kept.newest(silent)
    epoch = read[1].epoch if read else 0
    if moment != "-":
        os.fsync = lambda descriptor: None  # what a process did outlives it without; a power cut is not tried here
        kept.save_last(tensors(), state(epoch + 1))
        _kill_before(int(moment))
        kept.save_last(tensors(), state(epoch + 2))
        os._exit(0)
    while True:
        epoch += 1
        kept.save_last(tensors(epoch), state(epoch))


def _kill_before(operation: int) -> None:
    """SIGKILL for this process before its file operation number `operation`, as Python's audit hooks count them."""
    count = 0

    def audit(event: str, arguments: object) -> None:
        nonlocal count
        count += event.startswith(("os.", "open"))
        if count == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)


class Savers:
    """The child process; `killed` lets it fork one that saves, and says whether that was killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin, process.stdout

    def killed(self, moment: str, after_s: float = 0.0) -> bool:
        print(moment, file=self._to, flush=True)
        number = int(self._from.readline())
        if moment == "-":
            time.sleep(after_s)
            os.kill(number, signal.SIGKILL)
        status = int(self._from.readline())
        assert status in (0, signal.SIGKILL), f"the process ended by itself: {status}"
        return status != 0


@contextmanager
def savers(folder: Path, can_exchange: bool = True) -> Iterator[Savers]:
    call = "import sys; from tests.train.test_checkpoint import fork_savers; fork_savers(*sys.argv[1:])"
    command = [sys.executable, "-c", call, str(folder), str(can_exchange)]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Savers(process)
        assert process.stdin is not None
        process.stdin.close()


def whole(folder: Path) -> int:
    """The epoch of a checkpoint, each file of which is there and has its hash."""
    found = read_state(folder)
    assert names(folder) == sorted(found.sha256)
    hashes = {name: sha256_file(folder / name) for name in found.sha256 if name != "state.json"}
    assert hashes.items() <= found.sha256.items()
    return found.epoch


def swept(folder: Path) -> None:
    Checkpoints(folder).sweep()
    assert set(names(folder)) <= {"last", "previous"}


@pytest.mark.slow
def test_kill_at_any_moment(tmp_path: Path) -> None:
    folder, drawn = tmp_path / "checkpoints", random.Random(0)  # noqa: S311 - moments, no secrets
    last, left = 0, 0
    folder.mkdir()
    with savers(folder) as forked:
        for _ in range(40):
            assert forked.killed("-", drawn.uniform(0, 0.15))
            left += len([name for name in names(folder) if name.startswith(".")])
            if last or (folder / "last").exists():
                assert whole(folder / "last") >= last
                last = whole(folder / "last")
            if (folder / "previous").exists():
                assert whole(folder / "previous") in (last - 1, last - 2)
            swept(folder)
    assert last > 40, "they had the time to save"
    assert left > 0, "some were killed in the middle"


@pytest.mark.slow
@pytest.mark.parametrize("can_exchange", [True, False])
def test_kill_before_each_file_operation(can_exchange: bool, tmp_path: Path) -> None:
    """Where two names can be exchanged, `last` is never missing. The fault planted: without that it is, and is seen."""
    missing, step, before = 0, 1, 2
    save_two(Checkpoints(tmp_path), 1)
    with savers(tmp_path, can_exchange) as forked:
        while forked.killed(str(step)):
            missing += not (tmp_path / "last").exists()
            swept(tmp_path)
            last = whole(tmp_path / "last")
            assert last in (before + 1, before + 2), "the old one or the new one"
            assert whole(tmp_path / "previous") in (last - 1, last - 2)
            before, step = last, step + 1
    assert step > 20
    assert (missing == 0) == can_exchange


# --- a full disk ------------------------------------------------------------------------------------------------------


def big(value: float) -> Tensors:
    """Many writes: each tensor is larger than a file's buffer."""
    return Tensors({f"weight{n}": torch.full((64, 64), value) for n in range(12)}, {"momentum": torch.zeros(3, 4096)})


def save_two(kept: Checkpoints, first: int) -> None:
    for epoch in (first, first + 1):
        kept.save_last(big(epoch), state(epoch))


WRITES = 14
"""Of saving `big`: twelve tensors, the optimizer's one, state.json; the short headers go with the first tensors."""


@pytest.mark.parametrize("write", range(1, 21))
def test_a_disk_that_fills_up(write: int, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=4) as disk:
        kept = Checkpoints(disk / "checkpoints")
        save_two(kept, 1)
        with full_before(write, disk), pytest.raises(OutOfResources, match="the disk is full; free some space"):
            save_two(kept, 3)
        free(disk)
        epoch = whole(disk / "checkpoints/last")
        assert epoch == (2 if write <= WRITES else 3)
        assert whole(disk / "checkpoints/previous") == epoch - 1
        assert names(disk / "checkpoints") == ["last", "previous"]
        kept.save_last(big(5), state(5))
        assert whole(disk / "checkpoints/last") == 5


def test_space_is_looked_at_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", mib=2) as disk:
        large = Tensors({"weight": torch.zeros(1 << 18)}, {"weight": torch.zeros(1 << 18)})
        monkeypatch.setattr(checkpoint, "whole_folder", None)
        with pytest.raises(
            OutOfResources, match=r"disk/last: the disk has 2\.0 MiB free, but 3\.0 MiB are needed; free some space"
        ):
            Checkpoints(disk).save_last(large, state())
        assert names(disk) == []

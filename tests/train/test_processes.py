"""Two processes are one: the same pictures, batch norm and, within rounding, weights; and the same again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from edgecnn.run import Run
from edgecnn.train import norm
from tests.train.forks import Forks, forks
from tests.train.test_kill import free_port, group
from tests.verbs.small_runs import class_folders, recipe

LAYERS = """
    - conv: {filters: 16, kernel: 3, stride: 2, batch_norm: true, activation: relu6}
    - inverted_residual: {filters: 16, expansion: 2}
    - inverted_residual: {filters: 24, expansion: 2, stride: 2}
    - global_average_pool
    - dense: {units: 3}
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    """Processes whose MKL sums in one order, whatever the processor and the size of a batch.

    What is held here is our arithmetic. Each step amplifies a difference by a half: where MKL picks other kernels
    for a batch of 143 than for 71 and 72 (with AMX), 20 steps at the quickstart's rates end 2.4e-3 apart, not 2.5e-4.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MKL_CBWR", "COMPATIBLE")
        with forks() as made:
            yield made


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """144 pictures to train on: an epoch is one step of 143, which two processes share as 71 and 72."""
    folder = tmp_path_factory.mktemp("pair")
    path = recipe(folder / "small.yaml", class_folders(folder / "pictures", train=60, test=2), layers=LAYERS)
    changed = path.read_text().replace("batch: 16", "batch: 143")
    path.write_text(changed)
    return path


def trained(server: Forks, folder: Path, asked: Path, epochs: int, *, paired: bool, more: tuple[str, ...] = ()) -> Path:
    folder.mkdir()
    environments = group(2) if paired else [{}]
    ended = server.run(["train", asked, f"train.epochs={epochs}", *more], folder, environments=environments)
    assert set(ended.codes) == {0}, ended.said
    return folder / "runs/small"


def apart(one: Path, other: Path) -> float:
    """The largest difference of two runs' last weights and statistics, as a share of the tensor's largest value."""
    a, b = (load_file(run / "checkpoints/last/model.safetensors") for run in (one, other))
    assert a.keys() == b.keys()
    floats = [name for name in a if a[name].is_floating_point()]
    return max(float((a[name] - b[name]).abs().max() / a[name].abs().max().clamp(min=1.0)) for name in floats)


FULL_RATE = ("train.warmup_epochs=0",)
"""From the first step on; where a warm-up begins, its rate is zero and no weight moves."""
QUICKSTART_RATES = ("train.lr0=0.2", "train.warmup_epochs=140")
"""Those of the first steps of recipes/quickstart.yaml, whose warm-up is 140 steps. At the full rate from the start
training amplifies rounding: after 20 steps one process on two threads is 5e-2 away from one on one thread."""


USUAL, MIXING = "train.augment=[crop, flip]", "train.augment=[alternating_flip, mixup, cutmix]"
PLAIN = "train.label_smoothing=0"
"""With 0.05 the same rounding ends 2.9e-3 apart after 20 steps: what differs is how training amplifies it."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "limit", "more"),
    [
        pytest.param(1, 1e-5, (*FULL_RATE, USUAL), id="one"),
        pytest.param(1, 1e-5, (*FULL_RATE, MIXING), id="one-mixing", marks=pytest.mark.long),
        pytest.param(20, 1e-3, (*QUICKSTART_RATES, USUAL, PLAIN), id="twenty", marks=pytest.mark.long),
    ],
)
def test_two_processes_learn_what_one_does(
    server: Forks, asked: Path, tmp_path: Path, steps: int, limit: float, more: tuple[str, ...]
) -> None:
    one = trained(server, tmp_path / "one", asked, steps, paired=False, more=more)
    two = trained(server, tmp_path / "two", asked, steps, paired=True, more=more)
    start = trained(server, tmp_path / "start", asked, 1, paired=False, more=(*more, "train.lr0=1e-30"))
    assert apart(one, two) <= limit
    assert apart(one, start) > 10 * limit, "there is something to compare"
    logs = [Run(run).batches.read() for run in (one, two)]
    seen = [[(line["epoch"], line["step"], line["pictures"]) for line in log] for log in logs]
    assert seen[0] == seen[1]
    assert len(seen[0]) == steps


@pytest.mark.slow
def test_two_processes_freeze_what_one_does(server: Forks, asked: Path, tmp_path: Path) -> None:
    more = (*FULL_RATE, "train.freeze=2", "train.ema=0.9")
    one = trained(server, tmp_path / "one", asked, 1, paired=False, more=more)
    two = trained(server, tmp_path / "two", asked, 1, paired=True, more=more)
    start = trained(server, tmp_path / "start", asked, 1, paired=False, more=(*more, "train.lr0=1e-30"))
    assert apart(one, two) <= 1e-5
    first, last = (load_file(run / "checkpoints/last/model.safetensors") for run in (start, two))
    floats = [name for name in first if first[name].is_floating_point()]
    still = [name for name in floats if torch.equal(first[name], last[name])]
    assert still == [name for name in floats if name.startswith(("conv_1.", "inverted_residual_2."))]


@pytest.mark.slow
def test_two_processes_have_one_teacher(server: Forks, asked: Path, tmp_path: Path) -> None:
    """Its training is shared as the student's is, and both learn from the weights that the first process wrote."""
    path = tmp_path / "small.yaml"
    path.write_text(asked.read_text() + "teacher:\n  model: {arch: resnet8, width: 0.5}\n  lr0: 0.05\n")
    one, two = (trained(server, tmp_path / name, path, 2, paired=name == "two") for name in ("one", "two"))
    for folder in ("teacher/checkpoints", "checkpoints"):
        alone, shared = (load_file(run / folder / "last/model.safetensors") for run in (one, two))
        for name, value in alone.items():
            assert torch.allclose(value.float(), shared[name].float(), atol=5e-3), (folder, name)
    assert sorted(path.name for path in two.parent.iterdir()) == ["small"]
    assert Run(two).teacher is not None


@pytest.mark.slow
@pytest.mark.long
def test_without_shared_statistics_two_processes_learn_something_else(
    server: Forks, asked: Path, tmp_path: Path
) -> None:
    """The planted fault: batch norm as each process sees it."""
    more = FULL_RATE
    one = trained(server, tmp_path / "one", asked, 1, paired=False, more=more)
    with forks("from edgecnn.train import norm; norm.share_statistics = lambda model: None") as faulty:
        two = trained(faulty, tmp_path / "two", asked, 1, paired=True, more=more)
    assert apart(one, two) > 1e-4


@pytest.mark.slow
def test_two_processes_do_the_same_again(server: Forks, asked: Path, tmp_path: Path) -> None:
    runs = [trained(server, tmp_path / name, asked, 3, paired=True, more=("train.ema=0.9",)) for name in "ab"]
    for file in ("last/model.safetensors", "last/average.safetensors", "best/optimizer.safetensors"):
        assert (runs[0] / "checkpoints" / file).read_bytes() == (runs[1] / "checkpoints" / file).read_bytes()


@pytest.mark.slow
def test_torchrun_itself(asked: Path, tmp_path: Path) -> None:
    """Only the first process speaks and writes; the answer is one JSON document."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--master-port", str(free_port())]
    arguments = ["-m", "edgecnn", "train", str(asked), "train.epochs=2", "--json"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*torchrun, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count('"schema": "edgecnn.train/1"') == 1
    assert ended.stderr.count("epoch   1") == 1
    assert [folder.name for folder in (tmp_path / "runs").iterdir()] == ["small"]
    assert len(Run(tmp_path / "runs/small").metrics.read()) == 2


AFTERWARDS = """
import sys
from pathlib import Path
from edgecnn.train import processes
exec(sys.argv[1])
with processes.joined() as all_of_them:
    import torch.distributed.nn.functional  # as torch.compile does, at the first step
    all_of_them.wait()
tasks = [task.read_text() for task in Path("/proc/self/task").glob("*/comm")]
sys.exit(any("gloo" in task for task in tasks))
"""
"""The exit code says whether one of gloo's threads is left when training has ended."""


@pytest.mark.parametrize(
    ("fault", "left"),
    [("", 0), ("processes._import_what_keeps_the_group = lambda: None", 1)],
    ids=["as-it-is", "planted"],
)
def test_no_thread_of_gloo_outlives_training(fault: str, left: int) -> None:
    """One that does asks a Python for its lock that has ended, which aborts the process now and then."""
    command = [sys.executable, "-c", AFTERWARDS, fault]
    started = [subprocess.Popen(command, env={**os.environ, **environment}) for environment in group(2)]
    assert [process.wait(120) for process in started] == [left, left]


def test_shared_batch_norm_alone_is_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one process its formulas, forward and back, are those of torch's batch norm."""
    monkeypatch.setattr(norm.dist, "all_reduce", lambda values: None)
    torch.manual_seed(0)
    for kind, shape in ((nn.BatchNorm2d, (5, 4, 3, 6)), (nn.BatchNorm1d, (7, 4))):
        plain, shared = kind(4), kind(4)
        with torch.no_grad():
            plain.weight.copy_(torch.rand(4) + 0.5)
            plain.bias.copy_(torch.randn(4))
        shared.load_state_dict(plain.state_dict())
        norm.share_statistics(nn.Sequential(shared))
        image = torch.randn(shape) * 3 + 1
        found = []
        for layer in (plain, shared):
            given = image.clone().requires_grad_()
            output = layer(given)
            (output * torch.linspace(-1, 2, output.numel()).reshape(shape)).sum().backward()
            found.append(
                (output, given.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var)
            )
            assert int(layer.num_batches_tracked) == 1
        for ours, torchs in zip(found[1], found[0], strict=True):
            assert torch.allclose(ours, torchs, rtol=1e-4, atol=1e-5)
        assert torch.equal(shared.eval()(image), plain.eval()(image)) or torch.allclose(shared(image), plain(image))

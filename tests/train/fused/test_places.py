"""A network with the kernels in it: the same weights under the same names, and the same training but for rounding."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.nn.network import plan_network
from edgecnn.recipe.schema import Model
from edgecnn.train import compilers
from edgecnn.train.choice import Open, fastest
from edgecnn.train.fused import compiled
from edgecnn.train.fused.compiled import NotCompiled
from edgecnn.train.fused.norm import BatchNormActivation
from edgecnn.train.fused.places import Done, fuse
from edgecnn.train.loader import Split
from edgecnn.train.step import Learner
from tests.train.nets import LABELS, SETTINGS, net, some

BATCH = 32


def network(**model: object) -> nn.Module:
    torch.manual_seed(0)
    return plan_network(Model.model_validate(model), (3, 32, 32), 10).build()


def learnt(model: nn.Module, fused: bool, steps: int = 6, **settings: object) -> list[float]:
    """The losses of some steps on one batch."""
    torch.manual_seed(1)
    images, classes = torch.randn(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    learner = Learner(model, replace(SETTINGS, batch=BATCH, fused=fused, **settings))  # type: ignore[arg-type]
    learner.train()
    return [float(learner.step(images, classes, 0.02)[0]) for _ in range(steps)]


def gradient(model: nn.Module, images: Tensor) -> Tensor:
    """Of all parameters, one after the other, as float64."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    functional.cross_entropy(model.train()(images), torch.arange(BATCH) % 10).backward()
    return torch.cat([value.grad.flatten().double() for value in model.parameters() if value.grad is not None])


NETS = [{"arch": name} for name in ("ds_cnn", "mobilenet_v2", "mobilenet_v3_small", "resnet8", "shufflenet_v2")]


@pytest.mark.parametrize("model", [*NETS, {"torchvision": "mobilenet_v2"}], ids=lambda model: "-".join(*model.items()))
def test_its_gradient_is_as_near_to_the_true_one_as_torchs(model: dict[str, str]) -> None:
    """In float32 a value beside a ReLU's bend may fall on either side; torch's two layouts differ by as much."""
    torch.manual_seed(1)
    images = torch.randn(BATCH, 3, 32, 32)
    lasting = images.contiguous(memory_format=torch.channels_last)
    last = network(**model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = copy.deepcopy(last)
    assert fuse(ours, torch.float32) > 3
    assert list(ours.state_dict()) == list(last.state_dict())
    true = gradient(network(**model).double(), images.double())
    off = [
        float((gradient(tried, seen) - true).norm() / true.norm())
        for tried, seen in ((ours, lasting), (last, lasting), (network(**model), images))
    ]
    assert off[0] <= 2.0 * max(off[1:]) < 0.1, off


def test_it_learns() -> None:
    without, with_kernels = (learnt(network(arch="ds_cnn"), fused, steps=12) for fused in (False, True))
    assert with_kernels[0] == pytest.approx(without[0], rel=1e-5)
    assert with_kernels[-1] == pytest.approx(without[-1], rel=0.1)
    assert with_kernels[-1] < 0.7 * with_kernels[0]


@pytest.mark.parametrize("model", NETS, ids=lambda model: "-".join(*model.items()))
def test_in_bfloat16_its_gradient_is_as_near_as_torchs(model: dict[str, str]) -> None:
    torch.manual_seed(1)
    images = torch.randn(BATCH, 3, 32, 32)
    last = network(**model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ours = copy.deepcopy(last)
    fuse(ours, torch.bfloat16)
    true = gradient(network(**model).double(), images.double())
    with torch.autocast("cpu", torch.bfloat16):
        seen = images.contiguous(memory_format=torch.channels_last)
        off = [float((gradient(tried, seen) - true).norm() / true.norm()) for tried in (ours, last)]
    assert off[0] <= 1.25 * off[1], off


def test_evaluation_is_the_plain_network() -> None:
    plain = network(arch="mobilenet_v2", width=0.5)
    learnt(plain, False, steps=2)
    fused = copy.deepcopy(plain)
    assert fuse(fused, torch.float32) == 52 + 17 + 2
    assert sum(isinstance(module, Done) for module in fused.modules()) == 35
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(plain.eval()(images), fused.eval()(images))
        assert torch.equal(plain(images), copy.deepcopy(fused)(images))


def test_frozen_layers_stay_what_they_are() -> None:
    plain, fused = network(arch="ds_cnn"), network(arch="ds_cnn")
    before = copy.deepcopy(fused.state_dict())
    without, with_kernels = (learnt(one, on, freeze=3) for one, on in ((plain, False), (fused, True)))
    assert with_kernels[0] == pytest.approx(without[0], rel=1e-5)
    still = [name for name, _ in list(fused.named_children())[:3]]
    for key, value in fused.state_dict().items():
        assert torch.equal(value, before[key]) == (key.split(".")[0] in still), key


def test_a_batch_norm_that_activates_elsewhere_does_not_here() -> None:
    """ResNet's second norm is added to the shortcut before its ReLU."""
    model = network(arch="resnet8")
    fuse(model, torch.float32)
    limits = [module.limits for module in model.modules() if isinstance(module, BatchNormActivation)]
    assert (0.0, float("inf")) in limits
    assert (-float("inf"), float("inf")) in limits


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Libraries are looked for anew, and again afterwards."""
    compiled.kernels.cache_clear()
    yield
    compiled.kernels.cache_clear()


@pytest.mark.usefixtures("forgotten")
def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "NAMES", ("no-such-compiler",))
    with pytest.raises(NotCompiled) as raised:
        Learner(network(arch="ds_cnn"), replace(SETTINGS, fused=True))
    assert raised.value.exit_code == 2
    assert str(raised.value) == (
        "train.fused=true: there is no C++ compiler; install one, such as g++; or begin a run with train.fused=false"
    )


@pytest.mark.usefixtures("forgotten")
def test_a_compiler_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "FLAGS", ("-std=c++17", "-fno-such-flag"))
    with pytest.raises(NotCompiled, match="no-such-flag"):
        fuse(network(arch="ds_cnn"), torch.float32)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("script", ["exit 3", "exec sleep 60"])
def test_a_compiler_that_is_none_is_given_up(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Already its version is asked for."""
    fake = tmp_path / "c++"
    fake.write_text(f"#!/bin/sh\n{script}\n")
    fake.chmod(0o755)
    monkeypatch.setattr(compilers, "NAMES", (str(fake),))
    monkeypatch.setattr(compiled, "SECONDS", 0.2)
    with pytest.raises(NotCompiled, match=r"c\+\+ (failed: exit 3|did not come back within)"):
        compiled.kernels(torch.float32)


@pytest.mark.usefixtures("forgotten")
def test_where_nothing_can_be_kept_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(compiled, "cache_dir", lambda: tmp_path / "file")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compiled.kernels(torch.float32)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_compiled_shares_torchs_threads() -> None:
    """An OpenMP of its own would have a second set of threads, which spin for the same cores."""
    compiled.kernels(torch.float32)
    with open("/proc/self/maps") as maps:
        loaded = {line.split()[-1] for line in maps if "libgomp" in line or "libomp" in line}
    assert len(loaded) == 1, loaded


def test_a_real_trial_of_them() -> None:
    """Whichever is faster here."""
    split = Split(some(0, 96), some(300, 10), LABELS)
    choices = Open(("float32",), (1,), ("channels_last",), (False, True), (False,))
    _, trials = fastest(lambda: net(seed=1), split, replace(SETTINGS, batch=32), choices, lambda _: None)
    assert [trial.fused for trial in trials] == [False, True]
    assert str(trials[1]) == "float32, 1 thread, channels-last, fused"

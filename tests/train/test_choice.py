"""What is timed before training, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from edgecnn.train import choice
from edgecnn.train.choice import STEPS, WARMUP, Open, Trial, fastest
from edgecnn.train.distill import Teacher
from edgecnn.train.fused.compiled import NotCompiled
from edgecnn.train.loader import Split
from tests.train.nets import LABELS, SETTINGS, net, some

ALL = Open(("float32", "bfloat16"), (2, 1), ("channels_last", "contiguous"), (False,), (False, True))
SPLIT = Split(some(0, 96), some(300, 10), LABELS)


Key = tuple[str, int, str, bool, bool]


def key_of(settings: Any) -> Key:
    return (settings.dtype, settings.threads, settings.layout, settings.fused, settings.compile)


def played(monkeypatch: pytest.MonkeyPatch, speeds: dict[Key, float]) -> None:
    """Trials come out as told; one that isn't told of is an error."""

    def timed(build: Any, split: Split, settings: Any, teacher: Any) -> Trial:
        return Trial(*key_of(settings), speeds[key_of(settings)])

    monkeypatch.setattr(choice, "_timed", timed)


def chosen(choices: Open = ALL, epochs: int = 4) -> tuple[Key, int]:
    settings, trials = fastest(net, SPLIT, replace(SETTINGS, epochs=epochs), choices, lambda _: None)
    return key_of(settings), len(trials)


FP32 = ("float32", 2, "channels_last", False, False)
BF16 = ("bfloat16", 2, "channels_last", False, False)


def test_one_change_at_a_time_and_kept_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ("bfloat16", 1, "channels_last", False, False)
    played(monkeypatch, {FP32: 100, BF16: 200, one: 300, ("bfloat16", 1, "contiguous", False, False): 250})
    assert chosen() == (one, 4)


def test_a_little_faster_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {("float32", 1, "channels_last", False, False): 101, ("float32", 2, "contiguous", False, False): 90}
    played(monkeypatch, {FP32: 100, BF16: 104, **others})
    assert chosen() == (FP32, 4)


def test_compiling_is_tried_where_training_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = replace(ALL, dtypes=("float32",), threads=(2,), layouts=("channels_last",))
    compiled = ("float32", 2, "channels_last", False, True)
    played(monkeypatch, {FP32: 1.0, compiled: 3.0})
    assert chosen(choices, epochs=10) == (FP32, 1)  # 96 pictures, ten epochs: 16 minutes
    assert chosen(choices, epochs=100) == (compiled, 2)


def test_what_a_recipe_names_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, {})
    named = Open(("bfloat16",), (1,), ("contiguous",), (False,), (False,))
    assert chosen(named) == (("bfloat16", 1, "contiguous", False, False), 0)


def test_a_real_trial() -> None:
    choices = Open(("float32", "bfloat16"), (1,), ("channels_last",), (False,), (False,))
    settings, trials = fastest(lambda: net(seed=1), SPLIT, replace(SETTINGS, batch=32), choices, lambda _: None)
    assert settings.dtype in ("float32", "bfloat16")
    assert [trial.dtype for trial in trials] == ["float32", "bfloat16"]
    assert min(trial.images_per_s for trial in trials) > 0
    assert str(trials[1]) == "bfloat16, 1 thread, channels-last"


FUSED = ("float32", 2, "channels_last", True, False)
ONE_WAY = replace(ALL, dtypes=("float32",), threads=(2,), layouts=("channels_last",), fused=(False, True))


def test_our_own_kernels_are_tried_and_kept_where_they_are_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = ("float32", 2, "channels_last", False, True)
    played(monkeypatch, {FP32: 1.0, FUSED: 1.3, compiled: 1.2})
    assert chosen(ONE_WAY, epochs=100) == (FUSED, 3)
    played(monkeypatch, {FP32: 1.0, FUSED: 1.3, compiled: 1.5})  # compiling is for torch's kernels
    assert chosen(ONE_WAY, epochs=100) == (compiled, 3)


def test_the_precision_is_tried_again_with_our_own_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = replace(ONE_WAY, dtypes=("float32", "bfloat16"), compile=(False,))
    both = ("bfloat16", 2, "channels_last", True, False)
    played(monkeypatch, {FP32: 1.0, BF16: 0.8, FUSED: 1.3, both: 2.0})
    assert chosen(choices) == (both, 4)
    played(monkeypatch, {FP32: 1.0, BF16: 2.0, both: 2.5, FUSED: 2.6})
    assert chosen(choices) == (both, 4)
    played(monkeypatch, {FP32: 1.0, BF16: 0.8, FUSED: 1.0})  # without them there is nothing new to see
    assert chosen(choices) == (FP32, 3)
    fixed = replace(choices, fused=(True,))
    played(monkeypatch, {FUSED: 1.0, both: 2.0})  # each once
    assert chosen(fixed) == (both, 2)


def test_a_teachers_answers_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are asked for in each step of a trial, in the precision that is tried."""
    monkeypatch.setattr(choice, "SECONDS", float("inf"))  # a busy machine tries as many steps
    asked: list[torch.dtype] = []

    class Asked(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            asked.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
            return torch.zeros(len(images), len(LABELS))

    choices = Open(("float32", "bfloat16"), (1,), ("channels_last",), (False,), (False,))
    settings = replace(SETTINGS, batch=32)
    fastest(lambda: net(seed=1), SPLIT, settings, choices, lambda _: None, Teacher(Asked(), 1.0, 1.0))
    assert asked == [torch.float32] * (STEPS + WARMUP) + [torch.bfloat16] * (STEPS + WARMUP)


def test_our_own_kernels_want_channels_last(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ("float32", 2, "contiguous", False, False)
    played(monkeypatch, {plain: 1.0})
    assert chosen(replace(ONE_WAY, layouts=("contiguous",), compile=(False,))) == (plain, 1)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        (
            "compile",
            RuntimeError("InductorError: /bin/false failed\nand much more"),
            "torch.compile does not work here (InductorError: /bin/false failed): training without it",
        ),
        (
            "fused",
            NotCompiled("there is no C++ compiler; install one, such as g++"),
            "our own training kernels do not work here (there is no C++ compiler; install one, such as g++): training "
            "without them",
        ),
    ],
)
def test_what_cannot_be_compiled_is_said_and_done_without(
    name: str, error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timed(build: Any, split: Split, settings: Any, teacher: Any) -> Trial:
        if getattr(settings, name):
            raise error
        return Trial(*key_of(settings), 1.0)

    monkeypatch.setattr(choice, "_timed", timed)
    heard: list[str] = []
    settings, _ = fastest(net, SPLIT, replace(SETTINGS, epochs=1000), replace(ALL, fused=(False, True)), heard.append)
    assert not getattr(settings, name)
    assert heard == [said]

"""What is timed before training, and what is made of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgecnn.train import choice
from edgecnn.train.choice import Open, Trial, fastest
from edgecnn.train.loader import Split
from tests.train.nets import LABELS, SETTINGS, net, some

ALL = Open(("float32", "bfloat16"), (2, 1), ("channels_last", "contiguous"), (False, True))
SPLIT = Split(some(0, 96), some(300, 10), LABELS)


def played(monkeypatch: pytest.MonkeyPatch, speeds: dict[tuple[str, int, str, bool], float]) -> None:
    """Trials come out as told; one that isn't told of is an error."""

    def timed(build: Any, split: Split, settings: Any) -> Trial:
        key = (settings.dtype, settings.threads, settings.layout, settings.compile)
        return Trial(*key, speeds[key])

    monkeypatch.setattr(choice, "_timed", timed)


def chosen(choices: Open = ALL, epochs: int = 4) -> tuple[tuple[str, int, str, bool], int]:
    settings, trials = fastest(net, SPLIT, replace(SETTINGS, epochs=epochs), choices, lambda _: None)
    return (settings.dtype, settings.threads, settings.layout, settings.compile), len(trials)


FP32 = ("float32", 2, "channels_last", False)
BF16 = ("bfloat16", 2, "channels_last", False)


def test_one_change_at_a_time_and_kept_where_it_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    one = ("bfloat16", 1, "channels_last", False)
    played(monkeypatch, {FP32: 100, BF16: 200, one: 300, ("bfloat16", 1, "contiguous", False): 250})
    assert chosen() == (one, 4)


def test_a_little_faster_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {("float32", 1, "channels_last", False): 101, ("float32", 2, "contiguous", False): 90}
    played(monkeypatch, {FP32: 100, BF16: 104, **others})
    assert chosen() == (FP32, 4)


def test_compiling_is_tried_where_training_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    choices = replace(ALL, dtypes=("float32",), threads=(2,), layouts=("channels_last",))
    compiled = ("float32", 2, "channels_last", True)
    played(monkeypatch, {FP32: 1.0, compiled: 3.0})
    assert chosen(choices, epochs=10) == (FP32, 1)  # 96 pictures, ten epochs: 16 minutes
    assert chosen(choices, epochs=100) == (compiled, 2)


def test_what_a_recipe_names_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    played(monkeypatch, {})
    named = Open(("bfloat16",), (1,), ("contiguous",), (False,))
    assert chosen(named) == (("bfloat16", 1, "contiguous", False), 0)


def test_a_real_trial() -> None:
    choices = Open(("float32", "bfloat16"), (1,), ("channels_last",), (False,))
    settings, trials = fastest(lambda: net(seed=1), SPLIT, replace(SETTINGS, batch=32), choices, lambda _: None)
    assert settings.dtype in ("float32", "bfloat16")
    assert [trial.dtype for trial in trials] == ["float32", "bfloat16"]
    assert min(trial.images_per_s for trial in trials) > 0
    assert str(trials[1]) == "bfloat16, 1 thread, channels-last"


def test_a_compiler_that_fails_is_said_and_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def timed(build: Any, split: Split, settings: Any) -> Trial:
        if settings.compile:
            raise RuntimeError("InductorError: /bin/false failed\nand much more")
        return Trial(settings.dtype, settings.threads, settings.layout, settings.compile, 1.0)

    monkeypatch.setattr(choice, "_timed", timed)
    said: list[str] = []
    settings, _ = fastest(net, SPLIT, replace(SETTINGS, epochs=1000), ALL, said.append)
    assert not settings.compile
    assert said == ["torch.compile does not work here (InductorError: /bin/false failed): training without it"]

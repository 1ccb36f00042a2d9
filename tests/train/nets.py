"""Trainers for the tests of this folder: a tiny net and a few hundred real pictures, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from edgecnn.data import Pictures
from edgecnn.nn.network import plan_network
from edgecnn.recipe.layers import BatchNorm, Conv, Dense, Dropout, GlobalAveragePool, Layer, Relu, SeparableConv
from edgecnn.recipe.schema import Model
from edgecnn.train.checkpoint import Checkpoints
from edgecnn.train.loader import Split
from edgecnn.train.loop import Trainer
from edgecnn.train.settings import Epoch, Progress, Settings, Step
from tests.verbs.small_runs import bundled

LABELS = tuple("abcdefghij")
PLAIN: tuple[Layer, ...] = (
    Conv(filters=8, stride=(2, 2), batch_norm=True, activation="relu"),
    SeparableConv(filters=16, stride=(2, 2)),
    BatchNorm(),
    Relu(),
    GlobalAveragePool(),
    Dense(units=10),
)
DROPPING: tuple[Layer, ...] = (*PLAIN[:-1], Dropout(rate=0.5), Dense(units=10))
SETTINGS = Settings(
    epochs=4,
    batch=32,
    optimizer="sgd",
    lr0=0.1,
    momentum=0.9,
    weight_decay=1e-3,
    schedule="cosine",
    warmup_epochs=1.0,
    label_smoothing=0.1,
    ema=None,
    clip_norm=None,
    patience=None,
    augment=("crop", "flip"),
    seed=3,
    device="cpu",
    dtype="float32",
    threads=1,
    layout="channels_last",
    fused=False,
    compile=False,
)


class Heard:
    """A journal that remembers; it asks to stop before the `stop_after`-th step."""

    def __init__(self, stop_after: int = -1) -> None:
        self.lines: list[Step] = []
        self.epochs: list[Epoch] = []
        self.reports: list[Progress] = []
        self.said: list[str] = []
        self.left = stop_after

    def steps(self, steps: Sequence[Step]) -> None:
        self.lines += steps

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def sync(self) -> None:
        pass

    def progress(self, progress: Progress) -> None:
        self.reports.append(progress)

    def message(self, text: str) -> None:
        self.said.append(text)

    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left == -1


def net(layers: tuple[Layer, ...] = PLAIN, seed: int = 0) -> nn.Module:
    """A net for 32x32 pictures and ten classes."""
    torch.manual_seed(seed)
    return plan_network(Model(layers=layers), (3, 32, 32), 10).build()


def some(first: int, count: int) -> Pictures:
    """Real training pictures of all classes."""
    return bundled("train").take(np.arange(first, first + count))


def trainer(checkpoints: Path, model: nn.Module | None = None, journal: Heard | None = None, **changed: Any) -> Trainer:
    """A trainer on 300 pictures (nine batches and a rest), validated on 100 others."""
    settings = replace(SETTINGS, **changed)
    split = Split(some(0, 300), some(300, 100), LABELS)
    return Trainer(net() if model is None else model, split, settings, Checkpoints(checkpoints), journal or Heard())

"""Trainers for the tests of this folder: a tiny net and a few hundred real pictures, on one thread."""

from __future__ import annotations

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
from edgecnn.train.loop import Settings, Trainer
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
    lr0=0.1,
    momentum=0.9,
    weight_decay=1e-3,
    warmup_epochs=1.0,
    label_smoothing=0.1,
    augment=("crop", "flip"),
    seed=3,
    device="cpu",
    dtype="float32",
    threads=1,
)


def net(layers: tuple[Layer, ...] = PLAIN, seed: int = 0) -> nn.Module:
    """A net for 32x32 pictures and ten classes."""
    torch.manual_seed(seed)
    return plan_network(Model(layers=layers), (3, 32, 32), 10).build()


def some(first: int, count: int) -> Pictures:
    """Real training pictures of all classes."""
    return bundled("train").take(np.arange(first, first + count))


def trainer(checkpoints: Path, model: nn.Module | None = None, **changed: Any) -> Trainer:
    """A trainer on 300 pictures (nine batches and a rest), validated on 100 others."""
    settings = replace(SETTINGS, **changed)
    return Trainer(
        net() if model is None else model, some(0, 300), some(300, 100), settings, LABELS, checkpoints, lambda _: None
    )

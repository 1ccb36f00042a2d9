"""What the loop obeys, and what it says while it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Everything the loop obeys; device, dtype, threads, layout, fused and compile are choices already made.

    lr0 is the highest learning rate, `ema` the decay of the weights' moving average and `clip_norm` the largest norm
    of a step's gradient; `patience` counts epochs without a better validation accuracy; `freeze` says which layers
    don't learn (train/freeze.py). None: not asked for. `keep` is the epoch that becomes the best checkpoint: best
    (by validation accuracy) or last. `weight_decay_on`: weights, or all, which is norms and biases too.
    """

    epochs: int
    batch: int
    optimizer: str
    lr0: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup_epochs: float
    label_smoothing: float
    ema: float | None
    clip_norm: float | None
    patience: int | None
    augment: tuple[str, ...]
    seed: int
    device: str
    dtype: str
    threads: int
    layout: str
    compile: bool
    freeze: int | str | None = None
    keep: str = "best"
    fused: bool = False
    weight_decay_on: str = "weights"


@dataclass(frozen=True)
class Progress:
    """Where training stands, a few times a second."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_s: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """One line of metrics.jsonl. Accuracies in 0..1; `lr` is the last step's; seconds include validation.

    Validation measures the moving average of the weights where there is one. After a stop within the epoch,
    `images_per_s` and `seconds` are those of the part trained since.
    """

    epoch: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    lr: float
    images_per_s: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """One line of batches.jsonl: epoch and step count from 1; `pictures` is the CRC-32 of the batch's numbers."""

    epoch: int
    step: int
    lr: float
    loss: float
    pictures: str

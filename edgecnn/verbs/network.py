"""What can be exported: a float graph with all that its files say about it, from a run or from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecnn.data import DataSpec, Pictures
from edgecnn.edge.artifact import ImageInput
from edgecnn.errors import EdgecnnError
from edgecnn.formats import check_labels
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.reference import Reference
from edgecnn.verbs.folders import Limits

EVALUATED = 64
"""Pictures on which the source's own logits are kept, for verify to hold fp32.onnx against."""
CALIBRATED = 512
"""Pictures that int8 is decided on, where nothing says otherwise."""
FLOAT_TOLERANCE = 1e-4
"""Of the largest logit: what two float engines may differ by."""
HALF_TOLERANCE = 2.0**-6
"""Of the largest logit: what fp16 files may differ from fp32 by; 32 roundings of 2^-11.

Measured in 2^-11: nine files of the packaged models on 64 pictures, mean 2.96, deviation 0.09, worst 3.03; their graphs
with each value rounded, worst 4.00; with every sum of products rounded too, as CPUs with float16 arithmetic may, 8.55
(cifar10-ds). The rest is for deeper networks.
"""
TOLERANCES = {"fp32": FLOAT_TOLERANCE, "fp16": HALF_TOLERANCE}
"""By precision."""


@dataclass(frozen=True)
class Network:
    """A classifier in canonical form. `labels` has one name a class, `output` is logits or probabilities."""

    name: str
    labels: tuple[str, ...]
    input: ImageInput
    output: str
    fp32: Graph
    evaluated: Array
    """uint8 [N, H, W, C]: pictures that are not of the test split."""
    logits: Array
    """float32 [N, K]: the source's own answers to them, from torch or from ONNX Runtime."""
    calibration: Pictures
    parents: Mapping[str, str]
    """What it was made from -> SHA-256."""
    limits: Limits
    data: DataSpec | None = None
    """The pictures that it was trained on; None where nobody knows."""
    train_data: str | None = None
    """Their fingerprint."""
    temperature: float = 1.0
    """What its logits are divided by before a softmax; 1 where nobody fitted one, and for probabilities."""
    unsure_below: float | None = None
    """Below this probability an answer is unsure; None where nobody knows."""

    def __post_init__(self) -> None:
        check_labels(self.labels)

    def check_graph(self) -> None:
        """EdgecnnError where the canonical graph does not answer as its source did."""
        check_float(Reference(self.fp32).output(self.evaluated), self.logits, "the traced graph")


def calibration_pictures(pictures: Pictures, count: int) -> Pictures:
    """`count` pictures (all, where there are fewer), drawn without regard to anything but their number."""
    order = np.random.default_rng(0).permutation(len(pictures.images))[:count]
    return pictures.take(np.sort(order))


def check_float(values: Array, expected: Array, what: str, tolerance: float = FLOAT_TOLERANCE) -> None:
    """EdgecnnError where two engines' float answers lie further apart than rounding explains."""
    difference, largest = float(np.abs(values - expected).max()), float(np.abs(expected).max())
    if not difference <= tolerance * largest:
        raise EdgecnnError(
            f"{what} differs from its source by {difference:.3g} where the largest value is {largest:.3g}"
        )

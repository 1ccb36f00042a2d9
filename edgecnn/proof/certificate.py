"""certificate.json: what verify found, with everything that is needed to find it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecnn.proof.parity import LayerReport, Parity
from edgecnn.quantize import PairSums


@dataclass(frozen=True)
class Accuracy:
    """One model on the test split beside fp32: the drop in points with its 95 % interval, and McNemar's p."""

    top1: float
    drop_pp: float
    drop_low_pp: float
    drop_high_pp: float
    mcnemar_p: float


@dataclass(frozen=True)
class LogitGrid:
    """How the reference's logits use their grid: distinct levels of 256, and the share at either end."""

    levels: int
    saturated: float


@dataclass(frozen=True)
class Picture:
    """A picture on which models disagree most: its name and class, and each model's answer."""

    name: str
    label: str
    steps: int
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Certificate:
    """certificate.json. Accuracies in 0..1 by artifact, `fp32` being the graph itself; drops in percentage points."""

    passed: bool
    n: int
    accuracy: Mapping[str, float]
    drop_pp: Mapping[str, float]
    details: Mapping[str, Accuracy]
    ties: int
    """Pictures whose two largest reference logits are equal; the lowest index wins."""
    parity: tuple[Parity, ...]
    logit_grid: LogitGrid | None
    layers: tuple[LayerReport, ...]
    float_apart: Mapping[str, float]
    """fp32 and fp16 artifacts: the largest difference from the fp32 graph, as a share of the largest logit."""
    worst: tuple[Picture, ...]
    failures: tuple[str, ...]
    limits: Mapping[str, float]
    bytes: Mapping[str, int]
    """Size of each artifact's model files."""
    hashes: Mapping[str, str]
    test_data: str
    versions: Mapping[str, str]
    machine: Mapping[str, str]
    created: str
    notes: tuple[str, ...] = ()
    """What a person should know about the pictures and the machine."""
    saturation: tuple[PairSums, ...] = ()
    """int8: what two products can come to, layer by layer."""
    split: str = "test"
    """test, given (pictures named by a person) or calibration (those kept at export)."""
    scope: str = "accuracy and parity"
    """"parity only" where the pictures' classes are unknown."""
    float_agreement: Mapping[str, float] = field(default_factory=dict)
    """fp32 and fp16 artifacts: the share of pictures on which the answer is the fp32 graph's."""
    schema: str = "edgecnn.verify/1"

"""What a device answers beside what this machine answers: the same file, engine and pictures on both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgecnn.edge.measure.process import Machine
from edgecnn.graph.edit import Array
from edgecnn.metrics import agreement
from edgecnn.proof.parity import Parity, compare


@dataclass(frozen=True)
class Answered:
    """One artifact in one engine: the file's own values [N, K] here, over there, and over there on golden pictures."""

    name: str
    here: Array
    there: Array
    golden: Array
    golden_there: Array
    tolerance: float
    """Of the largest value: what floats may differ by."""


@dataclass(frozen=True)
class FloatParity:
    """Float answers over there beside those here. apart: the largest difference, as a share of the largest value."""

    name: str
    n: int
    top1_agreement: float
    apart: float
    tolerance: float
    """What `apart` may be, by the file's precision."""


@dataclass(frozen=True)
class Golden:
    """The pictures that travel with an artifact, and how many of their values are the exported ones: to the
    bit, or of an int8 file that answers in floats to the step.

    apart: steps for int8, a share of the largest value for floats.
    """

    name: str
    n: int
    exact: float
    apart: float


@dataclass(frozen=True)
class DeviceCertificate:
    """certificate-<device>.json. Accuracies in 0..1 over there, by `<artifact> in <engine>`; drops in points, against
    the same file here.
    """

    passed: bool
    device: str
    n: int
    accuracy: Mapping[str, float]
    drop_pp: Mapping[str, float]
    parity: tuple[Parity, ...]
    float_parity: tuple[FloatParity, ...]
    golden: tuple[Golden, ...]
    ties: int
    """Pictures whose two largest int8 values, of the first int8 artifact here, are equal; the lowest index wins."""
    failures: tuple[str, ...]
    limits: Mapping[str, float]
    hashes: Mapping[str, str]
    test_data: str
    versions_here: Mapping[str, str]
    versions_there: Mapping[str, str]
    machine: Machine
    emulated: bool
    created: str
    notes: tuple[str, ...] = ()
    split: str = "test"
    scope: str = "accuracy and parity"
    schema: str = "edgecnn.verify/1"


def int8_parity(found: Answered, device: str) -> Parity:
    """Steps between here and there."""
    return compare(f"{found.name}, here", f"{found.name}, {device}", found.here, found.there)


def float_parity(found: Answered) -> FloatParity:
    """Differences between here and there."""
    apart = _apart(found.here, found.there)
    return FloatParity(found.name, len(found.here), agreement(found.here, found.there), apart, found.tolerance)


def golden_parity(found: Answered) -> Golden:
    """Over there, beside what the artifact says it answers."""
    expected, got = found.golden, found.golden_there
    integer = expected.dtype.kind in "iu"
    apart = float(np.abs(expected.astype(int) - got.astype(int)).max()) if integer else _apart(expected, got)
    return Golden(found.name, len(expected), float((expected == got).mean()), apart)


def _apart(reference: Array, other: Array) -> float:
    return float(np.abs(reference - other).max() / max(float(np.abs(reference).max()), 1e-30))

"""The data room's records: what they refuse, and what a fingerprint tells apart."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

import numpy as np
import pytest

from edgecnn.data import DataSpec, Pictures, fingerprint
from edgecnn.data import pictures as module
from edgecnn.errors import OutOfResources, UsageError
from edgecnn.records import from_json, to_json

SPEC = DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")


def some(count: int = 3) -> Pictures:
    images = np.arange(count * 12).astype(np.uint8).reshape(count, 2, 2, 3)
    return Pictures(images, np.arange(count, dtype=np.int64), tuple(f"train/{i}" for i in range(count)))


def test_a_spec_goes_through_json() -> None:
    assert from_json(DataSpec, json.loads(json.dumps(to_json(SPEC)))) == SPEC


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": "pictures"}, "either a source"),
        ({"source": None}, "either a source"),
        ({"val_fraction": 0.0}, "between 0 and 1, got 0.0"),
        ({"val_fraction": 1.0}, "between 0 and 1, got 1.0"),
        ({"height": 0}, "at least 1, got 0x32"),
        ({"resize": "crip"}, "did you mean 'crop'"),
        ({"broken": "skipped"}, "broken is one of refuse, skip, got 'skipped'; did you mean 'skip'"),
        ({"cache": "ram"}, "cache is one of auto, memory, disk, got 'ram'"),
    ],
)
def test_a_spec_that_makes_no_sense(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(SPEC, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((3, 2, 2, 3), np.float32)}, "expected uint8"),
        ({"images": np.zeros((3, 3, 2, 2), np.uint8)}, "expected uint8"),
        ({"classes": np.zeros(3, np.int32)}, "expected int64"),
        ({"classes": np.zeros(2, np.int64)}, r"expected int64 \[3\]"),
        ({"names": ("a", "b")}, "expected 3 names, got 2"),
    ],
)
def test_pictures_that_do_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(some(), **change)


def test_the_fingerprint_tells_every_change_apart() -> None:
    base = some()
    changed_pixel = base.images.copy()
    changed_pixel[2, 1, 1, 2] ^= 1
    others = [
        dataclasses.replace(base, images=changed_pixel),
        dataclasses.replace(base, images=base.images.reshape(3, 1, 4, 3)),
        dataclasses.replace(base, classes=base.classes[::-1].copy()),
        dataclasses.replace(base, names=("train/0", "train/2", "train/1")),
        base.take(np.array([1, 0, 2])),
        base.take(np.array([0, 1])),
    ]
    prints = {fingerprint(pictures) for pictures in (base, *others)}
    assert len(prints) == 7
    assert fingerprint(some()) == fingerprint(base)
    many = some(700)  # more than are hashed at a time
    whole = hashlib.sha256(repr(many.images.shape).encode() + many.images.tobytes() + many.classes.tobytes())
    whole.update("\0".join(many.names).encode())
    assert fingerprint(many) == whole.hexdigest()
    assert fingerprint(dataclasses.replace(base, images=np.asfortranarray(base.images))) == fingerprint(base)


def test_more_pictures_than_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: 2**20)
    assert module.blank(100, 32, 32).shape == (100, 32, 32, 3)
    with pytest.raises(OutOfResources, match=r"1,000 pictures of 224x224 take 144 MiB of memory, and 1 MiB are free"):
        module.blank(1000, 224, 224)

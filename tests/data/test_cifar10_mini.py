"""The bundled pictures: what the issue promises of them, and, with the full set at hand, that they are CIFAR-10's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import SPLITS, DataSpec, open_dataset
from edgecnn.data.sources.cifar10 import SOURCE as CIFAR10
from edgecnn.data.sources.cifar10_mini import SOURCE, tile, untile
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile
from edgecnn.packaged import folder

REPO = Path(__file__).parents[2]
BUNDLED = folder("cifar10_mini")
SPEC = DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")


def test_balanced_and_small() -> None:
    dataset = open_dataset(SPEC)
    counts = {split: np.bincount(dataset.load(split).classes).tolist() for split in SPLITS}
    assert counts == {"train": [450] * 10, "val": [50] * 10, "test": [100] * 10}
    assert sum(path.stat().st_size for path in BUNDLED.iterdir()) < 12e6


def test_it_is_cifar10_bit_for_bit(cifar10_dir: Path) -> None:
    for part in ("train", "test"):
        full, mini = CIFAR10.read(cifar10_dir, part), SOURCE.read(BUNDLED, part)
        places = np.array([int(name.removeprefix(f"{part}/")) for name in mini.names])
        assert len(set(places)) == len(places)
        assert np.array_equal(full.images[places], mini.images)
        assert np.array_equal(full.classes[places], mini.classes)


@pytest.mark.slow
def test_the_tool_makes_the_same_files(cifar10_dir: Path, tmp_path: Path) -> None:
    inexact = REPO.parent / "shared/data/cifar10/inexact_indices.json"
    if not inexact.is_file():
        pytest.skip(f"needs {inexact}, the pictures that are left out")
    tool = REPO / "tools/make_cifar10_mini"
    out = tmp_path / "made"
    subprocess.run([sys.executable, tool, cifar10_dir, "--leave-out", inexact, "--out", out], check=True)
    assert (out / "index.json").read_bytes() == (BUNDLED / "index.json").read_bytes(), "the same pictures"
    assert sorted(path.name for path in out.iterdir()) == sorted(path.name for path in BUNDLED.iterdir())


def test_tiles_go_there_and_back() -> None:
    images = np.random.default_rng(0).integers(0, 256, (1000, 32, 32, 3), np.uint8)
    strip = tile(images)
    assert np.array_equal(strip[32:64, 64:96], images[42]), "row 1, column 2 of 40"
    assert np.array_equal(untile(strip), images)


def test_damage_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "cifar10_mini"
    shutil.copytree(BUNDLED, copy)
    shutil.copy(copy / "train_00.webp", copy / "test_00.webp")
    SOURCE.read(copy, "train")
    with pytest.raises(UnusableFile, match=r"the bundled test pictures are not what index\.json says"):
        SOURCE.read(copy, "test")
    (copy / "train_03.webp").unlink()
    with pytest.raises(UnusableFile, match=r"train_03\.webp: can't be read"):
        SOURCE.read(copy, "train")


def test_train_does_not_need_the_test_strips(tmp_path: Path) -> None:
    copy = tmp_path / "cifar10_mini"
    shutil.copytree(BUNDLED, copy)
    (copy / "test_00.webp").unlink()
    assert len(SOURCE.read(copy, "train")) == 5000


def test_sample_pictures_are_the_bundled_ones(sample_pictures: dict[str, Path]) -> None:
    test = open_dataset(SPEC).load("test")
    assert tuple(sample_pictures) == CIFAR10.labels
    for number, path in enumerate(sample_pictures.values()):
        assert np.array_equal(pixels.read(path), test.images[test.classes.tolist().index(number)])

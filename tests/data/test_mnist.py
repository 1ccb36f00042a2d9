"""MNIST and Fashion-MNIST as sources: where they are looked for, what is said where they are not, and the real one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import SPLITS, DataSpec, fingerprint, idx, open_dataset
from edgecnn.data.sources import find_source
from edgecnn.edge import pixels
from tests.data.idx_files import write_set
from tests.verbs.small_runs import edgecnn

FOLDERS = {"mnist": "mnist", "fashion_mnist": "fashion-mnist"}


def spec(source: str, channels: int = 1, side: int = 28, cache: str = "auto") -> DataSpec:
    return DataSpec(source, None, 0.1, side, side, "crop", channels=channels, cache=cache)


@pytest.fixture(autouse=True)
def _nothing_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGECNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(idx, "DEBIAN", tmp_path / "debian")


@pytest.mark.parametrize("name", FOLDERS)
def test_splits(name: str, tmp_path: Path) -> None:
    write_set(tmp_path / FOLDERS[name])
    dataset = open_dataset(spec(name), tmp_path)
    loaded = {split: dataset.load(split) for split in SPLITS}
    assert {split: len(pictures) for split, pictures in loaded.items()} == {"train": 540, "val": 60, "test": 100}
    assert np.bincount(loaded["val"].classes).tolist() == [6] * 10
    assert sorted((*loaded["train"].names, *loaded["val"].names)) == sorted(f"train/{i}" for i in range(600))
    assert {pictures.images.shape[1:] for pictures in loaded.values()} == {(28, 28, 1)}


@pytest.mark.parametrize("name", FOLDERS)
def test_where_they_are_looked_for(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find_source(name)
    assert source.locate(tmp_path) is None
    folder = write_set(tmp_path / FOLDERS[name])
    assert source.locate(tmp_path) == source.locate(folder) == folder
    assert source.locate(None) is None
    monkeypatch.setenv("EDGECNN_DATA", str(tmp_path))
    assert source.locate(None) == folder


def test_debians_package_comes_last(tmp_path: Path) -> None:
    packaged = write_set(tmp_path / "debian/fashion-mnist")
    assert find_source("fashion_mnist").locate(tmp_path) == packaged
    own = write_set(tmp_path / "fashion-mnist")
    assert find_source("fashion_mnist").locate(tmp_path) == own
    assert find_source("mnist").locate(tmp_path / "debian/fashion-mnist") is None


def test_colour_of_grey_is_the_same_value_three_times(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    grey, colour = (open_dataset(spec("mnist", channels), tmp_path).load("val") for channels in (1, 3))
    assert np.array_equal(colour.images, np.repeat(grey.images, 3, axis=3))
    assert fingerprint(colour) != fingerprint(grey)


@pytest.mark.parametrize("channels", [1, 3])
def test_another_size_goes_through_fit_and_the_cache(channels: int, tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    plain = open_dataset(spec("mnist"), tmp_path).load("test")
    expected = np.stack([pixels.fit(image, 32, 32, "crop", channels) for image in plain.images])
    for where in ("memory", "disk", "disk"):
        found = open_dataset(spec("mnist", channels, 32, where), tmp_path).load("test")
        assert isinstance(found.images, np.memmap) == (where == "disk")
        assert np.array_equal(found.images, expected)


@pytest.mark.parametrize(("name", "advice"), [("mnist", "DIR/mnist"), ("fashion_mnist", "apt install dataset-fashion")])
def test_data_get_says_how(name: str, advice: str, tmp_path: Path) -> None:
    left = edgecnn("data", "get", name)
    assert left.code == 3
    for part in (f"the pictures of {name} are not here", advice, "train-images-idx3-ubyte.gz", "--data DIR"):
        assert part in left.err
    assert name in edgecnn("data", "list").out
    folder = write_set(tmp_path / FOLDERS[name])
    left = edgecnn("data", "get", name, "--data", tmp_path)
    assert left.code == 0
    assert str(folder) in left.out


def test_data_check_counts_them(tmp_path: Path) -> None:
    write_set(tmp_path / "mnist")
    left = edgecnn("data", "check", "mnist", "--data", tmp_path)
    assert left.code == 0, left.err
    assert "540" in left.out


def test_damage_is_exit_3_and_one_sentence(tmp_path: Path) -> None:
    path = write_set(tmp_path / "fashion-mnist") / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    for command in (("train", "recipes/mnist_dense.yaml"), ("data", "check", "fashion_mnist")):
        left = edgecnn(*command, "--data", tmp_path)
        assert left.code == 3
        (line,) = [line for line in left.err.splitlines() if "train-labels" in line]
        assert f"{path}: is damaged or cut off" in line
        assert "apt install dataset-fashion-mnist" in line


def test_the_real_one(fashion_mnist_dir: Path) -> None:
    dataset = open_dataset(spec("fashion_mnist"), fashion_mnist_dir)
    loaded = {split: dataset.load(split) for split in SPLITS}
    assert [len(loaded[split]) for split in SPLITS] == [54_000, 6_000, 10_000]
    assert [np.unique(np.bincount(loaded[split].classes)).tolist() for split in SPLITS] == [[5400], [600], [1000]]
    every = np.concatenate([loaded["train"].images, loaded["val"].images]) / 255
    assert every.mean() == pytest.approx(0.2860, abs=1e-4), "the mean that is given for the set"
    assert every.std() == pytest.approx(0.3530, abs=1e-4)
    assert dataset.labels[loaded["test"].classes[0]] == "ankle_boot"

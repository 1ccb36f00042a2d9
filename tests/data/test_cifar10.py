"""The official binary layout: a small set written by hand, and the real one where it lies at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.data import SPLITS, DataSpec, fingerprint, open_dataset
from edgecnn.data.sources import cifar10
from edgecnn.edge import pixels
from edgecnn.errors import UnusableFile, UsageError

SPEC = DataSpec("cifar10", None, 0.1, 32, 32, "crop")
EACH = 40  # records in a file of the small set; the real ones have 10,000


@pytest.fixture
def small_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six files of 40 records, no data anywhere else; returns the folder above them."""
    monkeypatch.setattr(cifar10, "RECORDS", EACH)
    monkeypatch.delenv("EDGECNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "sets" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for file in (*cifar10.FILES["train"], *cifar10.FILES["test"]):
        records = random.integers(0, 256, (EACH, 3073), np.uint8)
        records[:, 0] = np.arange(EACH) % 10
        records.tofile(folder / file)
    return folder.parent


def test_pixels_and_classes_lie_as_the_layout_says(small_dir: Path) -> None:
    content = (small_dir / "cifar-10-batches-bin/test_batch.bin").read_bytes()
    test = open_dataset(SPEC, small_dir).load("test")
    assert test.images.shape == (EACH, 32, 32, 3)
    for picture, row, column, channel in [(0, 0, 0, 0), (7, 5, 9, 1), (39, 31, 31, 2)]:
        place = picture * 3073 + 1 + channel * 1024 + row * 32 + column
        assert test.images[picture, row, column, channel] == content[place]
    assert test.classes.tolist() == [content[i * 3073] for i in range(EACH)]
    assert test.names[7] == "test/7"


def test_train_and_val_share_the_five_batches(small_dir: Path) -> None:
    dataset = open_dataset(SPEC, small_dir)
    train, val = dataset.load("train"), dataset.load("val")
    assert (len(train), len(val)) == (180, 20)
    assert sorted((*train.names, *val.names)) == sorted(f"train/{i}" for i in range(200))
    assert np.bincount(val.classes).tolist() == [2] * 10
    batch3 = np.fromfile(small_dir / "cifar-10-batches-bin/data_batch_3.bin", np.uint8).reshape(EACH, 3073)
    for pictures in (train, val):
        for name, image in zip(pictures.names, pictures.images, strict=True):
            number = int(name.removeprefix("train/")) - 2 * EACH
            if 0 <= number < EACH:
                assert np.array_equal(image.transpose(2, 0, 1).ravel(), batch3[number, 1:])


def test_train_and_val_do_not_need_the_test_file(small_dir: Path) -> None:
    before = [fingerprint(open_dataset(SPEC, small_dir).load(split)) for split in ("train", "val")]
    (small_dir / "cifar-10-batches-bin/test_batch.bin").unlink()
    dataset = open_dataset(SPEC, small_dir)
    assert [fingerprint(dataset.load(split)) for split in ("train", "val")] == before
    with pytest.raises(UnusableFile, match=r"test_batch\.bin: can't be read.*edgecnn data get cifar10"):
        dataset.load("test")


def test_where_it_is_looked_for(small_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_dir / "cifar-10-batches-bin"
    empty = tmp_path / "empty"
    assert cifar10.SOURCE.locate(small_dir) == cifar10.SOURCE.locate(folder) == folder
    assert cifar10.SOURCE.locate(empty) is None
    monkeypatch.setenv("EDGECNN_DATA", str(small_dir))
    assert cifar10.SOURCE.locate(empty) == cifar10.SOURCE.locate(None) == folder
    monkeypatch.delenv("EDGECNN_DATA")
    cached = tmp_path / "cache/edgecnn/cifar-10-batches-bin"
    cached.parent.mkdir(parents=True)
    folder.rename(cached)
    assert cifar10.SOURCE.locate(None) == cached


def test_nowhere(small_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile) as raised:
        open_dataset(SPEC, tmp_path / "empty")
    for part in (str(tmp_path / "empty"), "edgecnn data get cifar10", "--data DIR", "source: cifar10_mini"):
        assert part in str(raised.value)


def test_damaged_files_are_named(small_dir: Path) -> None:
    path = small_dir / "cifar-10-batches-bin/data_batch_2.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UnusableFile, match=r"data_batch_2\.bin: expected 122,920 bytes, got 122,919"):
        open_dataset(SPEC, small_dir).load("train")
    path.write_bytes(b"\x0b" + content[1:])
    with pytest.raises(UnusableFile, match=r"data_batch_2\.bin: expected classes 0 to 9, got 11"):
        open_dataset(SPEC, small_dir).load("val")
    path.unlink()
    with pytest.raises(UnusableFile, match=r"data_batch_2\.bin: can't be read"):
        open_dataset(SPEC, small_dir).load("train")


def test_another_size_goes_through_fit(small_dir: Path) -> None:
    plain = open_dataset(SPEC, small_dir).load("test")
    for resize in pixels.RESIZE_RULES:
        fitted = open_dataset(DataSpec("cifar10", None, 0.1, 24, 40, resize), small_dir).load("test")
        assert fitted.images.shape == (EACH, 24, 40, 3)
        assert np.array_equal(fitted.images[5], pixels.fit(plain.images[5], 24, 40, resize))


def test_an_unknown_split(small_dir: Path) -> None:
    with pytest.raises(UsageError, match="no split 'valid'; did you mean 'val'"):
        open_dataset(SPEC, small_dir).load("valid")


def test_the_real_one(cifar10_dir: Path) -> None:
    dataset = open_dataset(SPEC, cifar10_dir)
    loaded = {split: dataset.load(split) for split in SPLITS}
    assert [len(loaded[split]) for split in SPLITS] == [45_000, 5_000, 10_000]
    assert [np.unique(np.bincount(loaded[split].classes)).tolist() for split in SPLITS] == [[4500], [500], [1000]]
    every = np.concatenate([loaded["train"].images, loaded["val"].images])
    mean = every.mean(axis=(0, 1, 2)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=1e-4), "the means that papers give"
    assert dataset.labels[loaded["test"].classes[0]] == "cat"

"""Training and export never open the test split: with its files gone they give the same bytes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecnn.data.listed import BACKGROUND, read_rows
from edgecnn.data.sources import cifar10
from edgecnn.errors import UnusableFile
from edgecnn.verbs.eval import evaluate
from edgecnn.verbs.export import export
from edgecnn.verbs.new import new
from edgecnn.verbs.train import train
from tests.data.photos import photos
from tests.verbs.small_runs import LAYERS, bundled, class_folders, recipe, tree

EACH = 100
TEN = """
    - conv: {filters: 8, stride: 2, batch_norm: true, activation: relu}
    - conv: {filters: 16, stride: 2, activation: relu}
    - global_average_pool
    - dense: {units: 10}
"""


def folders(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders, and a recipe for them."""
    class_folders(root / "pictures")
    return recipe(root / "small.yaml", root / "pictures")


def listed(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder a class, split by a list, with a background; and a recipe for it beside the list."""
    photos(root / "pictures", 40)
    photos(root / "none of these", 20, ("frog",))
    made = new(root / "pictures", background=root / "none of these", out=root / "made.yaml")
    path = recipe(root / "small.yaml", "FOLDER", layers=LAYERS.replace("units: 3", "units: 4"))
    list_and_more = "folder: pictures, splits: made.splits.csv, background: none of these"
    path.write_text(path.read_text().replace("folder: FOLDER", list_and_more))
    assert made.classes["background"]["test"] == 5
    return path


def binary(root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10's official layout, in files of a hundred real pictures each, and a recipe for it."""
    monkeypatch.setattr(cifar10, "RECORDS", EACH)
    monkeypatch.setenv("EDGECNN_DATA", str(root))
    folder = root / cifar10.FOLDER
    folder.mkdir(parents=True)
    for number, file in enumerate((*cifar10.FILES["train"], *cifar10.FILES["test"])):
        pictures = bundled("train").take(np.arange(number * EACH, (number + 1) * EACH))
        planes = pictures.images.transpose(0, 3, 1, 2).reshape(EACH, -1)
        np.concatenate([pictures.classes[:, None].astype(np.uint8), planes], axis=1).tofile(folder / file)
    path = recipe(root / "small.yaml", "FOLDER", layers=TEN)
    path.write_text(path.read_text().replace("folder: FOLDER", "source: cifar10"))
    return path


def made(path: Path, place: Path) -> dict[str, str]:
    """Train and export: file -> SHA-256, of all that comes out but clock times and plots."""
    run = train(path, root=place).run
    export(run, out=place / "export")
    kept = tree(run / "checkpoints") | {f"export/{name}": content for name, content in tree(place / "export").items()}
    here = str(run.resolve()).encode()  # export.json says where the run's list of splits lies
    known = {name: content.replace(here, b"RUN") for name, content in kept.items() if content is not None}
    return {name: hashlib.sha256(content).hexdigest() for name, content in known.items()}


def pictures_of(pictures: Path, split: str) -> list[Path]:
    """The files of a split of class folders or of a list."""
    found = [*pictures.glob(f"{split}/*/*")]
    for splits in pictures.parent.glob("*.splits.csv"):
        folders = {BACKGROUND: pictures.parent / "none of these"}
        found += [folders.get(row.label, pictures) / row.path for row in read_rows(splits) if row.split == split]
    return [path for path in found if path.exists()]


def no_files(pictures: Path) -> None:
    for file in [*pictures_of(pictures, "test"), *pictures.glob("test_batch.bin")]:
        file.unlink()


def no_folder(pictures: Path) -> None:
    no_files(pictures)
    shutil.rmtree(pictures / "test", ignore_errors=True)


def others(pictures: Path) -> None:
    for file in pictures_of(pictures, "test"):
        Image.new("RGB", (9, 9)).save(file)
    for file in pictures.glob("test_batch.bin"):
        file.write_bytes(bytes(file.stat().st_size))


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout", [folders, *(pytest.param(layout, marks=pytest.mark.long) for layout in (listed, binary))]
)
def test_same_hashes_without_the_test_files(
    layout: Callable[[Path, pytest.MonkeyPatch], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = layout(tmp_path / "data", monkeypatch)
    pictures = next(found for found in (tmp_path / "data").iterdir() if found.is_dir() and " " not in found.name)
    expected = made(path, tmp_path / "with")
    assert {"last/model.safetensors", "best/model.safetensors", "export/fp32.onnx", "export/int8.onnx"} <= set(expected)
    for target, files in {
        "tflite": ["model.tflite"],
        "onnx": ["model.onnx"],
        "openvino": ["model.xml", "model.bin"],
    }.items():
        for precision in ("fp32", "int8"):
            assert {f"export/{target}-{precision}/{file}" for file in files} <= set(expected)

    for number, remove in enumerate((others, no_files, no_folder)):
        remove(pictures)
        assert made(path, tmp_path / f"without{number}") == expected, remove.__name__
    with pytest.raises(UnusableFile, match="test"):
        evaluate(tmp_path / "without0/small")

    # The gate is not blind: a pixel of a few training pictures changes the hashes. (One alone may be held out for val.)
    for one in [path for path in pictures_of(pictures, "train") if path.parent.name == "cat"][:10]:
        image = np.asarray(Image.open(one)).copy()
        image[5, 5] ^= 128
        Image.fromarray(image).save(one)
    for one in pictures.glob("data_batch_1.bin"):
        content = bytearray(one.read_bytes())
        for record in range(10):
            content[record * cifar10.RECORD_BYTES + 100] ^= 128
        one.write_bytes(content)
    changed = made(path, tmp_path / "changed")
    assert changed["last/model.safetensors"] != expected["last/model.safetensors"]


@pytest.mark.slow
def test_two_exports_of_a_run_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(folders(tmp_path / "data", monkeypatch), root=tmp_path / "runs").run
    for name in ("a", "b"):
        export(run, out=tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")

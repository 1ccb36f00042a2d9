"""`predict` on picture files and the evaluation of the same files give the same answers: there is one pixel path."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgecnn.edge import pixels
from edgecnn.edge.artifact import read_manifest
from edgecnn.metrics import softmax
from edgecnn.verbs import eval as evaluation
from edgecnn.verbs.export import export
from edgecnn.verbs.train import train
from tests.verbs.small_runs import edgecnn, of_class, recipe

CLASSES = ("airplane", "automobile", "frog", "ship")
LAYERS = """
    - conv: {filters: 16, stride: 2, batch_norm: true, activation: relu}
    - conv: {filters: 32, stride: 2, batch_norm: true, activation: relu}
    - global_average_pool
    - dense: {units: UNITS}
"""
ROTATED = {1: 0, 3: 180, 6: 90, 8: 270}
"""EXIF orientation -> how far, counter-clockwise, the stored picture is turned from the upright one."""


def save_jpeg(image: NDArray[np.uint8], path: Path, number: int) -> None:
    """A real picture as cameras and webs make them: of any size and aspect, some turned by EXIF, some grey."""
    random = np.random.default_rng(number)
    size = (int(random.integers(20, 200)), int(random.integers(20, 200)))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
    if number % 7 == 3:
        picture = picture.convert("L")
    exif = Image.Exif()
    orientation = list(ROTATED)[number % 4]
    exif[0x0112] = orientation
    picture = picture.rotate(ROTATED[orientation], expand=True)
    picture.save(path, quality=int(random.integers(60, 96)), exif=exif)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 240 training and 200 test JPEGs made from the bundled pictures."""
    root = tmp_path_factory.mktemp("jpegs")
    for split, count in (("train", 60), ("test", 50)):
        for label in CLASSES:
            (root / split / label).mkdir(parents=True)
            for number, image in enumerate(of_class(split, label)[:count]):
                save_jpeg(image, root / split / label / f"{number:03}.jpg", number)
    return root


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 400 training and 200 test photographs of the developers' photo set."""
    source = Path(os.environ.get("EDGECNN_DATA", "none")) / "imagenette2-128"
    if not source.is_dir():
        pytest.skip("needs the photo set: set EDGECNN_DATA to the folder that holds imagenette2-128")
    root = tmp_path_factory.mktemp("photos")
    for split, given, count in (("train", "train", 40), ("test", "val", 20)):
        for folder in sorted((source / given).iterdir()):
            (root / split / folder.name).mkdir(parents=True)
            for file in sorted(folder.iterdir())[:count]:
                (root / split / folder.name / file.name).symlink_to(file)
    return root


@dataclass(frozen=True)
class Evaluated:
    """Evaluation's answer to each picture: file -> [K] logits."""

    logits: dict[str, NDArray[Any]]

    def labels(self, names: list[str]) -> dict[str, str]:
        return {name: names[int(values.argmax())] for name, values in self.logits.items()}


def evaluate(model: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluated:
    """`eval`, and what it computed on the way to its record."""
    kept: dict[str, NDArray[Any]] = {}
    record = evaluation._record

    def listen(model: Path, split: str, values: Any, pictures: Any, *more: Any) -> Any:
        kept.update(zip(pictures.names, values, strict=True))
        return record(model, split, values, pictures, *more)

    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "_record", listen)
        found = evaluation.evaluate(model)
    assert found.n == len(kept) == 200
    return Evaluated(kept)


def predict(artifact: Path, root: Path) -> dict[str, dict[str, float]]:
    """`predict` through the command line: file -> label -> probability."""
    files = sorted((root / "test").rglob("*.*"))
    left = edgecnn("predict", artifact, *files, "--top", "100", "--json")
    assert left.code == 0, left.err
    rows = json.loads(left.out)
    return {
        Path(row["image"]).relative_to(root).as_posix(): {f["label"]: f["probability"] for f in row["top"]}
        for row in rows
    }


def first(answers: dict[str, dict[str, float]]) -> dict[str, str]:
    return {name: max(found, key=lambda label: found[label]) for name, found in answers.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "resize"), [("drawn", "crop"), ("drawn", "letterbox"), ("drawn", "stretch"), ("photos", "crop")]
)
def test_predict_and_eval_answer_alike(
    which: str, resize: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root: Path = request.getfixturevalue(which)
    labels = sorted(folder.name for folder in (root / "train").iterdir())
    path = recipe(tmp_path / "jpegs.yaml", root, layers=LAYERS.replace("UNITS", str(len(labels))), size=32)
    path.write_text(path.read_text().replace("{size: 32}", f"{{size: 32, resize: {resize}}}"))
    run = train(path, {"train.epochs": 10}, root=tmp_path / "runs").run
    export(run, targets=["tflite"], out=tmp_path / "export")

    torch = evaluate(run, monkeypatch).labels(labels)
    assert len(set(torch.values())) >= 3, "a net that always says the same would pass any test"
    fp32 = evaluate(tmp_path / "export/tflite-fp32", monkeypatch)
    predicted = predict(tmp_path / "export/tflite-fp32", root)
    assert first(predicted) == fp32.labels(labels) == torch

    int8 = evaluate(tmp_path / "export/tflite-int8", monkeypatch)
    predicted_int8 = predict(tmp_path / "export/tflite-int8", root)
    temperature = read_manifest(tmp_path / "export/tflite-fp32").temperature
    for evaluated, answers in ((fp32, predicted), (int8, predicted_int8)):
        for name, values in evaluated.logits.items():
            expected = dict(zip(labels, softmax(values / temperature).tolist(), strict=True))
            assert answers[name] == pytest.approx(expected, abs=1e-6), name

    # The gate is not blind: another resizer, or pictures that lie as they are stored, are seen.
    def nearest(image: Any, height: int, width: int, resize: str, channels: int = 3) -> Any:
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)

    for part, fault in (("fit", nearest), ("_upright", lambda image, orientation: image)):
        if (which, part) == ("photos", "_upright"):
            continue
        with monkeypatch.context() as patched:
            patched.setattr(pixels, part, fault)
            assert first(predict(tmp_path / "export/tflite-fp32", root)) != torch, part

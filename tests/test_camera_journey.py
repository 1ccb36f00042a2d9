"""From a folder of photos to a live view, through the command line: new -> train -> export -> verify -> camera."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.data import DataSpec, open_dataset

REPO = Path(__file__).parents[1]
CLASSES = ("automobile", "cat", "ship")
PICTURES = 60


def edgecnn(*arguments: str, cwd: Path) -> str:
    """Run the command line as a user does; what it prints on stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"edgecnn {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}"
    return done.stdout


def photos(folder: Path, split: str, count: int) -> Path:
    """A folder a class, of the bundled pictures."""
    pictures = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop"))
    loaded = pictures.load(split)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
        found = np.flatnonzero(loaded.classes == pictures.labels.index(name))[:count]
        for number in found:
            cv2.imwrite(str(folder / name / f"{number:05}.png"), loaded.images[number][:, :, ::-1])
    return folder


@pytest.mark.slow
def test_a_folder_of_photos_becomes_a_live_view(tmp_path: Path) -> None:
    photos(tmp_path / "photos", "train", PICTURES)
    held_out = photos(tmp_path / "held out", "test", 10)

    made = json.loads(edgecnn("new", "photos", "--json", cwd=tmp_path))
    assert set(made["classes"]) == set(CLASSES)
    recipe = made["recipe"]
    edgecnn("train", recipe, "train.epochs=20", "train.threads=1", "--json", cwd=tmp_path)
    edgecnn("export", "--int8", "--target", "tflite", "--json", cwd=tmp_path)
    edgecnn("verify", "--json", cwd=tmp_path)

    lines = edgecnn("camera", "--source", str(held_out), "--view", "none", cwd=tmp_path).splitlines()
    results = [json.loads(line) for line in lines]
    assert len(results) == 30, "every picture of a folder is classified, once"
    for result in results:
        assert {"frame", "label", "probability", "age_ms", "stages_ms"} <= set(result)
    right = sum(result["top"][0]["label"] == Path(result["image"]).parent.name for result in results)
    assert right >= 15, "ten were chance"

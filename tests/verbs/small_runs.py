"""Small real runs for other tests: pictures of three classes from the bundled CIFAR-10, and recipes a second trains."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgecnn.cli import main
from edgecnn.data import DataSpec, Pictures, open_dataset
from edgecnn.verbs.export import export
from edgecnn.verbs.train import train

LABELS = ("cat", "ship", "truck")
LAYERS = """
    - conv: {filters: 8, kernel: 3, stride: 2, batch_norm: true, activation: relu}
    - conv: {filters: 16, kernel: 3, stride: 2, batch_norm: true, activation: relu}
    - global_average_pool
    - dense: {units: 3}
"""


PINNED = "threads: 1, dtype: float32, layout: channels_last, fused: false, compile: false"
"""What would otherwise be timed and chosen, now this way and now that."""


@dataclass(frozen=True)
class Left:
    """What a command left behind: its exit code, and what it said on stdout and stderr."""

    code: int
    out: str
    err: str


def edgecnn(*arguments: object) -> Left:
    """Run the command line in this process; an exception that reaches its user is the test's too."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
    return Left(code, out.getvalue(), err.getvalue())


@cache
def bundled(split: str) -> Pictures:
    """The bundled pictures of a split, 32x32."""
    return open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load(split)


def of_class(split: str, label: str) -> NDArray[np.uint8]:
    """The bundled pictures of a class: uint8 [N, 32, 32, 3]."""
    names = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).labels
    pictures = bundled(split)
    return pictures.images[pictures.classes == names.index(label)]


def class_folders(root: Path, *, train: int = 40, test: int = 8, labels: Sequence[str] = LABELS) -> Path:
    """`root`/train/<class>/ and test/<class>/ with so many lossless pictures of each class."""
    for split, count in (("train", train), ("test", test)):
        for label in labels:
            folder = root / split / label
            folder.mkdir(parents=True)
            for number, image in enumerate(of_class(split, label)[:count]):
                Image.fromarray(image).save(folder / f"{number:03}.png", compress_level=1)
    return root


def recipe(
    path: Path, data: Path | str, *, layers: str = LAYERS, size: int = 16, name: str = "small", train_more: str = ""
) -> Path:
    """A recipe file for class folders; `train_more` is added to what stands under `train:`."""
    path.write_text(
        f"name: {name}\n"
        f"data: {{folder: {data}, val_fraction: 0.2}}\n"
        f"input: {{size: {size}}}\n"
        f"model:\n  layers:{layers}"
        f"train: {{epochs: 2, batch: 16, lr0: 0.1, warmup_epochs: 1, {PINNED}{train_more and ', '}{train_more}}}\n"
        "quantize: {calibration: {images: 64}}\n"
    )
    return path


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its content, and every folder; hidden ones are the point."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in found}


@dataclass(frozen=True)
class SmallRun:
    """A finished run of `recipe` on the pictures in `data`, with an export of all six files; tests copy what they
    change."""

    data: Path
    recipe: Path
    run: Path
    export: Path


def small_run_in(folder: Path) -> SmallRun:
    """Train and export."""
    data = class_folders(folder / "pictures")
    made = SmallRun(
        data, recipe(folder / "small.yaml", data), folder / "runs/small", folder / "runs/small/export/first"
    )
    train(made.recipe, root=folder / "runs")
    export(made.run, out=made.export)
    return made

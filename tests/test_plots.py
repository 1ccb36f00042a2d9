"""Plots: whole PNG files of a size that a screen shows, whatever there is to draw. How they look, eyes have judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgecnn import plots

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def epochs(count: int) -> list[dict[str, Any]]:
    """Lines of metrics.jsonl as a good run writes them."""
    share = [1 - 0.9 * 0.8**i for i in range(count)]
    return [
        {
            "epoch": i + 1,
            "train_loss": 2.4 - 1.5 * share[i],
            "val_loss": 2.3 - 1.4 * share[i] + 0.1 * (i % 3 == 1),
            "train_top1": 0.8 * share[i],
            "val_top1": 0.85 * share[i] - 0.05 * (i % 3 == 1),
        }
        for i in range(count)
    ]


def table(classes: int, each: int = 100) -> Any:
    """A confusion matrix that is mostly right."""
    random = np.random.default_rng(0)
    return random.multinomial(each // 4, [1 / classes] * classes, size=classes) + np.eye(classes, dtype=int) * each


def seen(path: Path) -> Any:
    """The picture as uint8 [H, W, 3]: written whole, of a sensible size, neither empty nor dark."""
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    image = cv2.imread(str(path))
    assert image is not None
    assert 300 <= image.shape[0] <= 2400
    assert 300 <= image.shape[1] <= 2600
    assert path.stat().st_size < 1_000_000
    assert image.mean() > 128, "dark on light"
    assert len(np.unique(image.astype(np.int32) @ (1, 256, 65536))) > 50, "colours"
    return image


def has_colour(image: Any, colour: str, least: int) -> bool:
    wanted = [int(colour[i : i + 2], 16) for i in (5, 3, 1)]
    return int((np.abs(image.astype(int) - wanted).max(axis=2) < 12).sum()) >= least


@pytest.mark.parametrize("count", [1, 2, 30, 400])
def test_curves(tmp_path: Path, count: int) -> None:
    plots.curves(epochs(count), tmp_path / "curves.png")
    image = seen(tmp_path / "curves.png")
    assert has_colour(image, plots.ORANGE, 30), "the best epoch is marked"
    assert has_colour(image, plots.BLUE, 30)


def test_no_epochs_are_no_picture(tmp_path: Path) -> None:
    plots.curves([], tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "classes", [2, 10, pytest.param(20, marks=pytest.mark.slow), pytest.param(100, marks=pytest.mark.slow)]
)
def test_confusion(tmp_path: Path, classes: int) -> None:
    labels = [LABELS[i] if classes <= 10 else f"class {i} with a long name" for i in range(classes)]
    plots.confusion(table(classes), labels, tmp_path / "confusion.png")
    seen(tmp_path / "confusion.png")


def test_a_class_without_pictures(tmp_path: Path) -> None:
    empty = table(3)
    empty[1] = 0
    plots.confusion(empty, LABELS[:3], tmp_path / "confusion.png")
    seen(tmp_path / "confusion.png")


def test_names_that_could_be_formulas(tmp_path: Path) -> None:
    """matplotlib reads text between dollars as a formula; a class may be called so."""
    plots.confusion(table(3), ("$x^2$", "$\\frac{$", "50$"), tmp_path / "confusion.png")
    seen(tmp_path / "confusion.png")


def test_an_old_picture_is_replaced(tmp_path: Path) -> None:
    plots.curves(epochs(3), tmp_path / "curves.png")
    before = (tmp_path / "curves.png").read_bytes()
    plots.curves(epochs(4), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes() != before
    assert len(list(tmp_path.iterdir())) == 1


def costs(models: int, engines: int, *, known: bool = True, valid: bool = True) -> list[plots.Cost]:
    return [
        plots.Cost(
            f"model{m}", f"{precision} in engine{e}", f"engine{e}", precision == "int8", 100.0 * (m + 1) + 10 * e,
            130.0 * (m + 1), 0.91 + 0.003 * m if known else None, valid
        )
        for m in range(models)
        for e in range(engines)
        for precision in ("int8", "fp32")
    ]  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["accuracy known", "unknown"])
@pytest.mark.parametrize(("models", "engines"), [(1, 1), (2, 3), (9, 2)])
def test_costs(tmp_path: Path, models: int, engines: int, known: bool) -> None:
    plots.costs(costs(models, engines, known=known), "vm", tmp_path / "bench.png")
    image = seen(tmp_path / "bench.png")
    assert has_colour(image, plots.BLUE, 500)
    assert (image.shape[1] > 1200) is known, "accuracies have a panel of their own"


def test_what_a_busy_machine_has_spoilt_is_pale(tmp_path: Path) -> None:
    plots.costs(costs(1, 1, valid=False), "vm", tmp_path / "bench.png")
    blue = [int(plots.BLUE[i : i + 2], 16) for i in (5, 3, 1)]
    assert int((np.abs(seen(tmp_path / "bench.png").astype(int) - blue).max(axis=2) < 12).sum()) < 1500


def test_costs_of_models_whose_names_could_be_formulas(tmp_path: Path) -> None:
    rows = [plots.Cost(name, "$\\frac{$", "e", True, 1e6, 2e6, 0.5, True) for name in ("$x^2$", "50$", "a" * 60)]
    plots.costs(rows, "$\\frac{$ on vm", tmp_path / "bench.png")
    seen(tmp_path / "bench.png")


def test_no_costs_are_no_picture(tmp_path: Path) -> None:
    plots.costs([], "vm", tmp_path / "bench.png")
    assert list(tmp_path.iterdir()) == []


def courses(count: int, *, throttled: bool = True, known: bool = True) -> list[plots.Course]:
    minutes = [i / 12 for i in range(1, 61)]
    held = [throttled and minute > 3 for minute in minutes]
    return [
        plots.Course(
            f"$\\frac{{$ in engine {number}",
            minutes,
            [100.0 * (1 + number + 0.2 * back) for back in held],
            [130.0 * (1 + number + 0.2 * back) for back in held],
            [50.0 + 7 * minute if known else None for minute in minutes],
            [(1000.0 if back else 1500.0) if known and not number else None for back in held],
            held,
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_curves_over_minutes(count: int, tmp_path: Path) -> None:
    plots.sustained(courses(count), "$\\frac{$ on vm", tmp_path / "x-sustained.png")
    image = seen(tmp_path / "x-sustained.png")
    assert has_colour(image, plots.BLUE, 500)


def test_readings_that_nobody_has_are_no_panel(tmp_path: Path) -> None:
    heights = []
    for known in (True, False):
        (tmp_path / str(known)).mkdir()
        plots.sustained(courses(1, known=known, throttled=False), "vm", tmp_path / str(known) / "x.png")
        heights.append(seen(tmp_path / str(known) / "x.png").shape[0])
    assert heights[0] > heights[1] + 300

"""Plots of a run: learning curves and a confusion matrix, as PNG files written whole.

Colours are from Okabe and Ito's palette, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.metrics import Array
from edgecnn.records import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"


def curves(epochs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Loss and accuracy, training beside validation, from the lines of metrics.jsonl; the best epoch is marked."""
    if not epochs:
        return
    figure, (left, right) = _axes(2, width=10, height=3.8)
    x = [line["epoch"] for line in epochs]
    dot = "." if len(x) == 1 else None  # a line through one point is not to be seen
    left.plot(
        x, [line["train_loss"] for line in epochs], marker=dot, color=GREY, label="training, augmented and smoothed"
    )
    left.plot(x, [line["val_loss"] for line in epochs], marker=dot, color=BLUE, label="validation")
    left.set(xlabel="epoch", ylabel="cross-entropy", title="Loss")
    top1 = [100 * line["val_top1"] for line in epochs]
    best = max(range(len(top1)), key=lambda i: top1[i])
    right.plot(x, [100 * line["train_top1"] for line in epochs], marker=dot, color=GREY, label="training, augmented")
    right.plot(x, top1, marker=dot, color=BLUE, label="validation")
    right.plot([x[best]], [top1[best]], "o", color=ORANGE, label=f"best: {top1[best]:.2f} % at epoch {x[best]}")
    right.set(xlabel="epoch", ylabel="top-1 accuracy, %", title="Accuracy")
    for axis in (left, right):
        axis.set_xlim(x[0] - 0.5, x[-1] + 0.5)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if len(x) == 1:
            axis.set_xticks(x)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    _write(figure, path)


def confusion(table: Array, labels: Sequence[str], path: Path) -> None:
    """How often each class (row) was called each class (column), in percent of the row; counts stand in `table`."""
    count = len(labels)
    side = min(16.0, 2.5 + 0.55 * count)
    figure, (axis,) = _axes(1, width=side + 0.8, height=side)
    share = 100.0 * table / table.sum(axis=1, keepdims=True).clip(min=1)
    picture = axis.imshow(share, cmap="Blues", vmin=0, vmax=100)
    if count <= 20:
        for row in range(count):
            for column in range(count):
                if table[row, column]:
                    colour = "white" if share[row, column] > 55 else "black"
                    axis.text(
                        column, row, f"{share[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=8
                    )
    words: dict[str, Any] = {"parse_math": False, "fontsize": 10 if count <= 20 else max(4, 10 - count // 20)}
    slope: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor"} if count <= 20 else {"rotation": 90}
    axis.set_xticks(range(count), labels, ha="right" if count <= 20 else "center", **slope, **words)
    axis.set_yticks(range(count), labels, **words)
    n = int(table.sum())
    axis.set(
        xlabel="predicted", ylabel="true", title=f"Validation: {100 * table.trace() / max(n, 1):.2f} % of {n:,} right"
    )
    figure.colorbar(picture, ax=axis, label="% of the true class", fraction=0.046, pad=0.04)
    _write(figure, path)


def _axes(columns: int, *, width: float, height: float) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False)
    return figure, list(axes[0])


def _write(figure: Figure, path: Path) -> None:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, bbox_inches="tight")
    write_whole(path, out.getvalue())

"""Plots of a run: learning curves, a confusion matrix, what models cost; as PNG files written whole.

Colours are from Okabe and Ito's palette, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn.metrics import Array
from edgecnn.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#999999"
PALETTE = (BLUE, ORANGE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vP*X"
PALE = 0.35
ACCURACY_SPAN = 2.0
"""Percentage points that an axis of accuracies shows at least: less would make a difference of what is none."""


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


@dataclass(frozen=True)
class Cost:
    """One model in one engine; `variant` is what tells it apart from others of that model. `top1` in 0..1."""

    model: str
    variant: str
    engine: str
    quantized: bool
    p50_us: float
    p90_us: float
    top1: float | None
    valid: bool


def costs(rows: Sequence[Cost], title: str, path: Path) -> None:
    """Latencies as bars; beside them accuracy against latency, for the rows whose accuracy is known.

    Colour is the engine; among accuracies the shape is the model, filled where it is int8. What a busy machine has
    spoilt is pale.
    """
    if not rows:
        return
    known = [row for row in rows if row.top1 is not None]
    height = max(3.6, 1.8 + 0.34 * len(rows))
    figure, axes = _axes(2 if known else 1, width=13 if known else 8, height=height)
    unit, divisor = ("ms", 1000.0) if min(row.p50_us for row in rows) >= 1000 else ("µs", 1.0)
    colours = dict(zip(dict.fromkeys(row.engine for row in rows), PALETTE * len(rows), strict=False))
    shapes = dict(zip(dict.fromkeys(row.model for row in known), MARKERS * len(rows), strict=False))
    _bars(axes[0], rows, colours, divisor)
    axes[0].set_xlabel(f"latency, {unit}: median, and the line to the 90th percentile")
    axes[0].set_title(title, parse_math=False)
    if known:
        _accuracies(axes[1], known, colours, shapes, divisor)
        axes[1].set(xlabel=f"median latency, {unit}", ylabel="top-1 accuracy, %", title="Accuracy against latency")
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.set_axisbelow(True)
        axis.spines[["top", "right"]].set_visible(False)
    handles = _legend(rows, colours, shapes)
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    _write(figure, path)


def _bars(axis: Any, rows: Sequence[Cost], colours: Mapping[str, str], divisor: float) -> None:
    """The fastest on top, from 0."""
    ordered = sorted(rows, key=lambda row: row.p50_us, reverse=True)
    for place, row in enumerate(ordered):
        p50, p90 = row.p50_us / divisor, row.p90_us / divisor
        axis.barh(place, p50, color=colours[row.engine], height=0.7, alpha=1.0 if row.valid else PALE)
        axis.plot([p50, max(p50, p90)], [place, place], color="black", linewidth=1)
    several = len({row.model for row in rows}) > 1
    names = [f"{row.model} {row.variant}" if several else row.variant for row in ordered]
    axis.set_yticks(range(len(ordered)), names, parse_math=False)
    axis.set_xlim(left=0)


def _accuracies(
    axis: Any, rows: Sequence[Cost], colours: Mapping[str, str], shapes: Mapping[str, str], divisor: float
) -> None:
    """Latency from 0; accuracy in a span in which a difference of no importance looks like none."""
    accuracies = [100 * row.top1 for row in rows if row.top1 is not None]
    for row, accuracy in zip(rows, accuracies, strict=True):
        dot = _dot(shapes[row.model], colours[row.engine], row.quantized)
        axis.plot(row.p50_us / divisor, accuracy, alpha=1.0 if row.valid else PALE, **dot)
    low, high = min(accuracies), max(accuracies)
    spare = max(0.15 * (high - low), (ACCURACY_SPAN - (high - low)) / 2)
    axis.set_ylim(low - spare, high + spare)
    axis.set_xlim(0, 1.1 * max(row.p50_us for row in rows) / divisor)


def _dot(shape: str, colour: str, filled: bool) -> dict[str, Any]:
    face = colour if filled else "white"
    return {"marker": shape, "color": colour, "markerfacecolor": face, "markersize": 8, "linestyle": "none"}


def _legend(rows: Sequence[Cost], colours: Mapping[str, str], shapes: Mapping[str, str]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(color=colour, label=engine) for engine, colour in colours.items()]
    if not all(row.valid for row in rows):
        handles.append(Patch(color=GREY, alpha=PALE, label="pale: invalid"))
    if len(shapes) > 1:
        handles += [Line2D([], [], label=model, **_dot(shape, GREY, True)) for model, shape in shapes.items()]
    for quantized, label in ((True, "int8"), (False, "float")):
        if any(row.quantized is quantized and row.top1 is not None for row in rows):
            handles.append(Line2D([], [], label=label, **_dot("o", GREY, quantized)))
    return handles


@dataclass(frozen=True)
class Course:
    """One model over minutes: for each bucket when it ended, its latencies and the device's readings at that time."""

    name: str
    minutes: Sequence[float]
    p50_us: Sequence[float]
    p90_us: Sequence[float]
    temperature_c: Sequence[float | None]
    clock_mhz: Sequence[float | None]
    throttled: Sequence[bool]


def sustained(courses: Sequence[Course], title: str, path: Path) -> None:
    """Latency over time, and below it temperature and clock where they are known; marked where it throttled."""
    shown = [
        (name, label)
        for name, label in (("temperature_c", "temperature, C"), ("clock_mhz", "clock, MHz"))
        if any(value is not None for course in courses for value in getattr(course, name))
    ]
    figure, axes = _axes(1, width=9, height=3.6 + 2.2 * len(shown), rows=1 + len(shown))
    unit, divisor = ("ms", 1000.0) if min(min(course.p50_us) for course in courses) >= 1000 else ("µs", 1.0)
    for place, course in enumerate(courses):
        colour = PALETTE[place % len(PALETTE)]
        p50, p90 = ([value / divisor for value in values] for values in (course.p50_us, course.p90_us))
        axes[0].plot(course.minutes, p50, color=colour, marker=".", label=course.name)
        axes[0].plot(course.minutes, p90, color=colour, linewidth=0.8, linestyle="--")
        held = [(at, value) for at, value, back in zip(course.minutes, p50, course.throttled, strict=True) if back]
        axes[0].plot([at for at, _ in held], [value for _, value in held], "x", color="black", markersize=4)
        for axis, (name, _) in zip(axes[1:], shown, strict=True):
            values = [float("nan") if value is None else value for value in getattr(course, name)]
            axis.plot(course.minutes, values, color=colour, marker=".")
    axes[0].set(ylabel=f"latency, {unit} (p90 dashed)", ylim=(0, None))
    axes[0].set_title(title, parse_math=False)
    for axis, (_, label) in zip(axes[1:], shown, strict=True):
        axis.set_ylabel(label)
    axes[-1].set_xlabel("minutes without a pause")
    if any(any(course.throttled) for course in courses):
        axes[0].plot([], [], "x", color="black", markersize=4, label="the device held itself back")
    for axis in axes:
        axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(loc="outside lower center", ncols=2, frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)
    _write(figure, path)


def _axes(columns: int, *, width: float, height: float, rows: int = 1) -> tuple[Figure, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=rows > 1)
    return figure, list(axes.flat)


def _write(figure: Figure, path: Path) -> None:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120, bbox_inches="tight")
    write_whole(path, out.getvalue())

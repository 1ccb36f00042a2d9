"""What `inspect` prints about networks: their layers, one layer's formulas, and two of them side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from edgecnn.cli.show import heading, size, table

if TYPE_CHECKING:
    from edgecnn.nn.arithmetic import Explanation
    from edgecnn.nn.table import LayerRow
    from edgecnn.verbs.inspect import InspectRecord
    from edgecnn.verbs.side_by_side import Half, Pairing, SideBySide

ANY = 10_000
"""Columns of a terminal on which every table fits."""
NARROWER = ((), ("fp32 B",), ("fp32 B", "type"), ("fp32 B", "type", "stride"), ("fp32 B", "type", "stride", "int8 B"))
"""What is left out of the table until the rest fits."""
FIGURES = {
    "layers": "layers",
    "params": "parameters",
    "macs": "MACs",
    "peak_activation_bytes_int8": "peak of activations, int8 bytes",
    "peak_activation_bytes_fp32": "peak of activations, fp32 bytes",
}


def inspected(console: Console, record: InspectRecord) -> None:
    """`inspect`, or of --explain the one layer alone."""
    if record.explain is not None:
        _explained(console, record.explain)
        return
    heading(console, f"{record.name}, input {_shape(record.input)}")
    console.print(_fitting(console, [_layers(record, without) for without in NARROWER]))
    console.print(
        "output: CxHxW or N; MACs: multiply-adds of one picture; sees, stride: receptive field of a value and distance "
        "of neighbours, in input pixels, rows x columns; int8 B, fp32 B: bytes of the output"
    )
    peak = record.peak_activation_bytes
    console.print(
        f"activations take at most {size(peak.int8)} at once in int8, {size(peak.fp32)} in fp32 "
        "(what an operation reads and makes, and what is held for later)"
    )
    if record.float_islands:
        console.print(f"in float inside int8 files, by quantize.float_islands: {', '.join(record.float_islands)}")
    console.print("one layer's formulas: --explain LAYER", style="dim")


def _layers(record: InspectRecord, without: Sequence[str]) -> Table:
    columns = ("layer", "type", "output", "params", "MACs", "sees", "stride", "int8 B", "fp32 B")
    shown = [i for i, column in enumerate(columns) if column not in without]
    made = table(*(columns[i] for i in shown), left=len([i for i in shown if i < 2]))
    for row in record.layers:
        cells = _cells(row)
        made.add_row(*(cells[i] for i in shown))
    total = ("in all", "", "", f"{record.params:,}", f"{record.macs:,}", "", "", "", "")
    made.add_row(*(total[i] for i in shown), style="bold")
    return made


def _cells(row: LayerRow) -> tuple[str, ...]:
    return (
        row.name,
        row.type,
        _shape(row.output),
        f"{row.params:,}",
        f"{row.macs:,}",
        _shape(row.receptive_field),
        _shape(row.stride),
        f"{row.activation_bytes_int8:,}",
        f"{row.activation_bytes_fp32:,}",
    )


def _explained(console: Console, found: Explanation) -> None:
    """A line a formula: in letters, with numbers, the result."""
    heading(console, f"{found.layer}, {found.type}: {_shape(found.input)} -> {_shape(found.output)}")
    made = table("", "formula", "with numbers", "", left=3)
    for line in found.formulas:
        made.add_row(line.what, line.formula, line.numbers, f"= {line.result}" if line.numbers else line.result)
    console.print(made)
    letters = {letter for line in found.formulas for letter in LETTERS if letter in _words(line.formula)}
    said = ", ".join(f"{letter} {meaning}" for letter, meaning in LETTERS.items() if letter in letters)
    if said:
        console.print(said, style="dim")


LETTERS = {
    "in": "rows or columns of the input",
    "out": "of the output",
    "K": "kernel",
    "Kh": "kernel's rows",
    "Kw": "kernel's columns",
    "S": "stride",
    "P": "padding on each side",
    "D": "dilation",
    "C": "channels or features of the input",
    "G": "groups",
    "F": "filters (channels of the output)",
    "U": "units",
    "H": "rows",
    "W": "columns of the output",
    "r": "receptive field before it",
    "j": "stride before it",
}


def _words(formula: str) -> set[str]:
    plain = "".join(letter if letter.isalpha() else " " for letter in formula)
    return set(plain.split())


def compared(console: Console, record: SideBySide) -> None:
    """`inspect A B`: layers in two columns, and the totals' differences."""
    heading(console, f"a: {record.a.given}, {record.a.name}, input {_shape(record.a.input)}")
    heading(console, f"b: {record.b.given}, {record.b.name}, input {_shape(record.b.input)}")
    console.print(_fitting(console, [_pairs(record.layers, wide) for wide in (True, False)]))
    made = table("", "a", "b", "b - a", "b / a")
    for line in record.differences:
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
        made.add_row(FIGURES[line.what], f"{line.a:,}", f"{line.b:,}", f"{line.difference:+,}", ratio, style="bold")
    console.print()
    console.print(made)


def _pairs(layers: Sequence[Pairing], wide: bool) -> Table:
    """Layers that are the same on both sides are dim."""
    outputs = ("output a", "b") if wide else ()
    made = table("layer", *outputs, "params a", "b", "MACs a", "b")
    for layer in layers:
        cells = zip(_half(layer.a, wide), _half(layer.b, wide), strict=True)
        made.add_row(layer.name, *(cell for pair in cells for cell in pair), style="dim" if layer.same else None)
    return made


def _half(half: Half | None, wide: bool) -> Iterator[str]:
    if wide:
        yield "-" if half is None else _shape(half.output)
    yield "-" if half is None else f"{half.params:,}"
    yield "-" if half is None else f"{half.macs:,}"


def _fitting(console: Console, tables: Sequence[Table]) -> Table:
    """The first that needs no folding, or the last."""
    for made in tables:
        if Measurement.get(console, console.options.update(max_width=ANY), made).maximum <= console.width:
            return made
    return tables[-1]


def _shape(shape: Sequence[float]) -> str:
    return "x".join(f"{size:.4g}" if isinstance(size, float) else str(size) for size in shape)

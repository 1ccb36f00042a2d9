"""What `inspect` prints about a model file."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from edgecnn.cli.show import heading, percent, size, table

if TYPE_CHECKING:
    from edgecnn.inspection.report import FileInspectRecord, FileLayer
    from edgecnn.inspection.view import Finding

WIDE = 110
"""Columns of a terminal."""
IN_ANOTHER = "in another"
LISTED = 6
"""Layers that a finding names; --json has them all."""
LONGEST = 40
INDENT = 4
TOLD = 64
"""Bytes of a type's weights from which on they are."""


def inspected(console: Console, record: FileInspectRecord) -> None:
    """`inspect MODEL`: layers, sizes, and what should be changed."""
    shape = "x".join(map(str, record.input)) or "none"
    heading(console, f"{record.name}, {record.format}, input {shape}, {size(record.bytes)}")
    console.print(_layers(record, console.width >= WIDE))
    _totals(console, record)
    for finding in record.findings:
        _finding(console, finding)
    if not record.findings:
        console.print("nothing that should be changed", style="green")


def _layers(record: FileInspectRecord, wide: bool) -> Table:
    """The table; on a narrow terminal without sizes, and 8 bits or not in the place of kernels."""
    last = ("weights", "gives", "run by") if wide else ("bits",)
    made = table("layer", "type", "output", "params", "MACs", *last, left=3)
    for column in made.columns[2:5]:
        column.no_wrap = True
    for column in made.columns[6:]:
        column.justify = "left"
    for row in record.layers:
        figures = (f"{row.params:,}" if row.params else "", f"{row.macs:,}" if row.macs else "")
        more = (size(row.weight_bytes) if row.params else "", row.dtype, row.kernel) if wide else (_bits(row),)
        made.add_row(_short(row.name), row.type, "x".join(map(str, row.output)), *figures, *more)
    more = (_weights(record), "", "") if wide else ("",)
    made.add_row("in all", "", "", f"{record.params:,}", f"{record.macs:,}", *more, style="bold")
    return made


def _short(name: str) -> str:
    """The end of a long name, where converters keep what differs."""
    return name if len(name) <= LONGEST else f"...{name[-LONGEST:]}"


def _bits(row: FileLayer) -> str:
    return "8" if row.integer else "" if row.kernel == IN_ANOTHER else "32"


def _weights(record: FileInspectRecord) -> str:
    return size(sum(record.sizes.values()))


def _totals(console: Console, record: FileInspectRecord) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in record.ops.items())
    sizes = ", ".join(f"{kind} {size(count)}" for kind, count in record.sizes.items() if count >= TOLD)
    console.print(f"operations: {counts}")
    console.print(
        f"weights: {sizes or 'none'}; {size(max(0, record.bytes - sum(record.sizes.values())))} is not weights"
    )
    peak = record.peak_activation_bytes
    console.print(f"activations take at most {size(peak.int8)} at once in int8, {size(peak.fp32)} in fp32")
    if record.source:
        share = f"{percent(record.int8_share)} of the" if record.int8_share else "no"
        console.print(f"{share} multiply-adds run in 8 bits, as {record.engine} says ({record.source})", soft_wrap=True)


def _finding(console: Console, finding: Finding) -> None:
    style = "red" if finding.effect == "accuracy" else "yellow"
    console.print()
    console.print(f"{finding.effect}: {finding.what}", style=style, soft_wrap=True)
    named = ", ".join(map(_short, finding.layers[:LISTED]))
    more = f" and {len(finding.layers) - LISTED} more" if len(finding.layers) > LISTED else ""
    for label, text in (("in", named + more), ("because", finding.why), ("change", finding.change)):
        if not text:
            continue
        lines = textwrap.wrap(f"{label}: {text}", max(20, console.width - INDENT))
        console.print(textwrap.indent("\n".join(lines), " " * INDENT))

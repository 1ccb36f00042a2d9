"""What `inspect` prints about a model file."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.console import Console

from edgecnn.cli.show import heading, percent, size, table

if TYPE_CHECKING:
    from edgecnn.inspection.report import FileInspectRecord
    from edgecnn.inspection.view import Finding

LISTED = 6
"""Layers that a finding names; --json has them all."""
INDENT = 4


def inspected(console: Console, record: FileInspectRecord) -> None:
    """`inspect MODEL`: layers, sizes, and what should be changed."""
    shape = "x".join(map(str, record.input)) or "none"
    heading(console, f"{record.name}, {record.format}, input {shape}, {size(record.bytes)}")
    made = table("layer", "type", "output", "params", "MACs", "weights", "gives", "run by", left=3)
    made.columns[6].justify = made.columns[7].justify = "left"
    for row in record.layers:
        figures = (f"{row.params:,}" if row.params else "", f"{row.macs:,}" if row.macs else "")
        weights = size(row.weight_bytes) if row.params else ""
        output = "x".join(map(str, row.output))
        made.add_row(row.name, row.type, output, *figures, weights, row.dtype, row.kernel)
    made.add_row("in all", "", "", f"{record.params:,}", f"{record.macs:,}", _weights(record), "", "", style="bold")
    console.print(made)
    _totals(console, record)
    for finding in record.findings:
        _finding(console, finding)
    if not record.findings:
        console.print("nothing that should be changed", style="green")


def _weights(record: FileInspectRecord) -> str:
    return size(sum(record.sizes.values()))


def _totals(console: Console, record: FileInspectRecord) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in record.ops.items())
    sizes = ", ".join(f"{kind} {size(count)}" for kind, count in record.sizes.items())
    console.print(f"operations: {counts}")
    console.print(
        f"weights: {sizes or 'none'}; {size(max(0, record.bytes - sum(record.sizes.values())))} is not weights"
    )
    if record.source:
        console.print(
            f"{percent(record.int8_share)} of the multiply-adds run in 8 bits; by {record.source} of {record.engine}"
        )


def _finding(console: Console, finding: Finding) -> None:
    style = "red" if finding.effect == "accuracy" else "yellow"
    console.print()
    console.print(f"{finding.effect}: {finding.what}", style=style, soft_wrap=True)
    named = ", ".join(finding.layers[:LISTED])
    more = f" and {len(finding.layers) - LISTED} more" if len(finding.layers) > LISTED else ""
    for label, text in (("in", named + more), ("because", finding.why), ("change", finding.change)):
        lines = textwrap.wrap(f"{label}: {text}", max(20, console.width - INDENT))
        console.print(textwrap.indent("\n".join(lines), " " * INDENT))

"""What bench prints of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from edgecnn.cli.show import heading, table

if TYPE_CHECKING:
    from edgecnn.measuring.measurement import Row

SLOWEST = 10
"""Operators that are shown of each row; --json has them all."""


def operators(console: Console, row: Row, name: str) -> None:
    """The slowest operators of a row, and how much of their time was spent with integers."""
    from edgecnn.measuring.profiling import integer_share

    whole, share = sum(op.us for op in row.ops), integer_share(row.ops)
    said = "" if share is None else f", {100 * share:.0f} % of it in integers"
    heading(console, f"{name}: {len(row.ops)} operators, {whole:,.0f} µs{said}")
    made = table("operator", "type", "kernel", "µs", "%", "integer", left=3)
    for op in sorted(row.ops, key=lambda op: -op.us)[:SLOWEST]:
        integer = "" if op.integer is None else "yes" if op.integer else "no"
        made.add_row(op.name, op.type, op.kernel, f"{op.us:,.1f}", f"{100 * op.us / (whole or 1):.0f}", integer)
    console.print(made)

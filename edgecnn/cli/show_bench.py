"""What bench and compare print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from edgecnn.cli.show import heading, percent, size, table
from edgecnn.cli.show_profile import operators

if TYPE_CHECKING:
    from edgecnn.measuring.counting import CountRecord
    from edgecnn.measuring.measurement import BenchRecord, Row, Sustained, Unmeasured
    from edgecnn.verbs.compare import Change, CompareRecord, RowChange


NAMED = 3
"""Rows that a note names; of more it says how many."""
SPOILT = " windows spoilt"
"""In the notes about windows that do not count."""


@dataclass(frozen=True)
class Unit:
    """In which unit a column of times is, so that its figures can be held against each other."""

    name: str
    per_us: float

    def write(self, value_us: float) -> str:
        """Three figures or more."""
        value = value_us * self.per_us
        return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def unit_of(values_us: Iterable[float]) -> Unit:
    """Milliseconds where the shortest time has one, else microseconds."""
    return Unit("ms", 1e-3) if min(values_us) >= 1000 else Unit("µs", 1.0)


def benched(console: Console, record: BenchRecord) -> None:
    """`bench`: models in the order they were given, each one's fastest first; what is wrong with rows stands below."""
    machine = record.machine
    heading(console, f"{record.device}: {machine.cores} x {machine.processor or machine.architecture}")
    unit = unit_of(row.p50_us for row in record.rows)
    order = {row.model: place for place, row in reversed([*enumerate(record.rows)])}
    ordered = sorted(record.rows, key=lambda row: (order[row.model], row.p50_us))
    columns = {name: [write(row) for row in ordered] for name, write in _columns(unit).items()}
    columns = _fitting(columns, console.width)
    made = table(*columns, left=4)
    for cells in zip(*columns.values(), strict=True):
        made.add_row(*cells)
    console.print(made)
    console.print(
        f"p50, p90, p99: of {sum(row.n for row in record.rows):,} inferences in all, each timed by itself; RAM: peak "
        "beyond a process that has only loaded the runtime; load, first: opening the file, its first inference",
        style="dim",
    )
    _device(console, record)
    for row in record.rows:
        if row.ops:
            operators(console, row, _name(row))
    _sustained(console, record)
    _notes(console, record)


def counted(console: Console, record: CountRecord) -> None:
    """`bench` on an emulated device: models in the order they were given, each one's cheapest first."""
    heading(console, f"{record.device}: emulated, so there are no times")
    order = {row.model: place for place, row in reversed([*enumerate(record.rows)])}
    made = table("model", "file", "runtime", "M instructions", "least", "most", "KiB", "top-1", left=3)
    for row in sorted(record.rows, key=lambda row: (order[row.model], row.instructions)):
        counts = [f"{value / 1e6:,.3f}" for value in (row.instructions, row.least, row.most)]
        top1 = "" if row.top1 is None else percent(row.top1)
        kind = f"{row.target}-{row.precision}" if row.precision else row.target
        made.add_row(row.model, kind, row.runtime, *counts, f"{row.model_bytes / 1024:,.0f}", top1)
    console.print(made)
    console.print(
        "guest instructions of one inference on one thread, the engine and the Python around it: median, least and "
        f"most of {record.protocol.n}, after {record.protocol.warmup}; they repeat, and say nothing about time",
        style="dim",
        soft_wrap=True,
    )
    _unmeasured(console, record.unmeasured, "not counted")


def _unmeasured(console: Console, failed: Sequence[Unmeasured], what: str) -> None:
    """What was refused for one reason is said once."""
    said: dict[tuple[str, str], list[Unmeasured]] = {}
    for one in failed:
        said.setdefault((one.runtime, one.reason), []).append(one)
    for (runtime, reason), ones in said.items():
        who = ones[0].model if len({one.model for one in ones}) == 1 else f"{len(ones)} rows"
        console.print(f"{what}: {who} in {runtime}: {reason}", soft_wrap=True)


def _columns(unit: Unit) -> dict[str, Callable[[Row], str]]:
    """What stands above each column, and what a row has in it."""
    return {
        "": lambda row: "!" if not row.valid else "" if row.steady else "~",
        "model": lambda row: row.model,
        "file": lambda row: f"{row.target}-{row.precision}" if row.precision else row.target,
        "runtime": lambda row: row.runtime,
        "threads": lambda row: str(row.threads),
        f"p50 {unit.name}": lambda row: unit.write(row.p50_us),
        "p90": lambda row: unit.write(row.p90_us),
        "p99": lambda row: unit.write(row.p99_us),
        "KiB": lambda row: f"{row.model_bytes / 1024:,.0f}",
        "RAM MiB": lambda row: "" if row.peak_rss_mib is None else f"{row.peak_rss_mib:,.1f}",
        "arena KiB": lambda row: "" if row.arena_bytes is None else f"{row.arena_bytes / 1024:,.0f}",
        "load ms": lambda row: f"{row.load_ms:,.1f}",
        "first ms": lambda row: f"{row.first_us / 1000:,.1f}",
        "top-1": lambda row: "" if row.top1 is None else percent(row.top1),
    }


def _fitting(columns: dict[str, list[str]], width: int) -> dict[str, list[str]]:
    """Without columns that say nothing, and on a narrow terminal without those that say least: --json has them all."""
    kept = {name: cells for name, cells in columns.items() if any(cells) or not name}
    if set(kept["threads"]) == {"1"}:
        del kept["threads"]
    for least in ("arena KiB", "first ms", "load ms", "p99", "top-1", "KiB"):
        if sum(max(map(len, (name, *cells))) + 2 for name, cells in kept.items()) <= width:
            break
        kept.pop(least, None)
    return kept


def _device(console: Console, record: BenchRecord) -> None:
    """How hot and slow the device was at worst, where it says."""
    from edgecnn.measuring.cooling import state
    from edgecnn.measuring.validity import worst

    readings = worst([row.during for row in record.rows if row.during is not None])
    if readings is not None and (readings.temperature_c is not None or readings.clock_mhz is not None):
        console.print(f"the device meanwhile, at worst: {state(readings)}", style="dim")


def _sustained(console: Console, record: BenchRecord) -> None:
    """The curves over minutes: the first minute against the last."""
    if not record.sustained:
        return
    from edgecnn.measuring.sustained import ends, finding

    halves = [[[bucket.p50_us for bucket in end] for end in ends(curve)] for curve in record.sustained]
    unit = unit_of(value for pair in halves for end in pair for value in end)
    made = table("without a pause", f"first minute p50 {unit.name}", "last", "", left=1)
    for curve, (first, last) in zip(record.sustained, halves, strict=True):
        name = _name(curve)
        made.add_row(name, unit.write(median(first)), unit.write(median(last)), finding(curve))
    console.print(made)


def _notes(console: Console, record: BenchRecord) -> None:
    """What is said of several rows is said once; what spoilt windows, by the worst row."""
    said: dict[str, list[str]] = {}
    for row in record.rows:
        for note in row.notes:
            if note not in row.against and SPOILT not in note:
                said.setdefault(note, []).append(_name(row))
    for note, names in said.items():
        who = "" if note.startswith("no ") else _who(names, len(record.rows))
        console.print(f"{who}{note}", soft_wrap=True)
    _unmeasured(console, record.unmeasured, "not measured")
    _again(console, record)
    _invalid(console, record)
    if record.advice:
        console.print(record.advice, soft_wrap=True)
    if record.budget is not None and record.budget.met_by is not None:
        console.print(f"within the budget: {record.budget.met_by}", soft_wrap=True)


def _again(console: Console, record: BenchRecord) -> None:
    """Valid rows of which windows were measured again."""
    rows = [row for row in record.rows if row.valid and row.spoilt]
    if rows:
        worst = max(rows, key=lambda row: len(row.spoilt))
        notes = "; ".join(note for note in worst.notes if SPOILT in note)
        many = f"{len(rows)} of {len(record.rows)} rows have" if len(record.rows) > 1 else "the row has"
        console.print(f"{many} windows that were spoilt, left out and measured again, at most: {notes}", soft_wrap=True)


def _invalid(console: Console, record: BenchRecord) -> None:
    from edgecnn.measuring.measurement import BUSY

    rows = [row for row in record.rows if not row.valid]
    if rows:
        busiest = max(rows, key=lambda row: (row.busy.others or 0, row.busy.waited or 0))
        held_back = [row for row in rows if not all(reason.startswith(BUSY) for reason in row.against)]
        worst = held_back[0] if held_back else busiest
        again = "nothing holds the device back" if held_back else "the machine is idle"
        console.print(
            f"{len(rows)} of {len(record.rows)} rows are invalid (!), at worst: {'; '.join(worst.against)}. "
            f"Measure again when {again}",
            style="red",
            soft_wrap=True,
        )


def _who(names: Sequence[str], rows: int) -> str:
    """All of them, a few by their names, or how many."""
    if len(names) == rows > 1:
        return "all rows: "
    return f"{', '.join(names)}: " if len(names) <= NAMED else f"{len(names)} of {rows} rows: "


def _name(row: Row | RowChange | Sustained) -> str:
    from edgecnn.measuring.measurement import row_name

    return row_name(row.model, row.target, row.precision, row.runtime, row.threads).removesuffix(", 1 thread")


def compared(console: Console, record: CompareRecord) -> None:
    """`compare`: what moved, by row."""
    heading(console, f"{record.before} -> {record.after} on {record.device}")
    made = table("row", "figure", "before", "after", "change", "95 %", "", left=2)
    for row in record.rows:
        for place, change in enumerate(row.changes):
            made.add_row(_name(row) if place == 0 else "", *_cells(change))
    console.print(made)
    said: dict[str, list[str]] = {}
    for row in record.rows:
        for note in row.notes:
            said.setdefault(note, []).append(_name(row))
    for note, names in said.items():
        console.print(f"{_who(names, len(record.rows))}{note}", soft_wrap=True)
    for where, only in ((record.before, record.only_before), (record.after, record.only_after)):
        for name in only:
            console.print(f"only in {where}: {name}", soft_wrap=True)
    for difference in record.differences:
        console.print(difference, soft_wrap=True)
    for failure in record.failures:
        console.print(f"failed: {failure}", style="red", soft_wrap=True)
    if not record.failures:
        console.print(f"nothing that was compared grew beyond {record.tolerance_percent:g} % for certain")


def _cells(change: Change) -> Sequence[str]:
    name, before, after = _written(change)
    moved = "" if change.ratio is None else f"{100 * (change.ratio - 1):+.1f} %"
    interval = ""
    if change.low is not None and change.high is not None and change.low != change.high:
        interval = f"{100 * (change.low - 1):+.1f} .. {100 * (change.high - 1):+.1f} %"
    return name, before, after, moved, interval, "worse" if change.worse else "better" if change.better else ""


def _written(change: Change) -> tuple[str, str, str]:
    """The figure's name for people, and both values with their unit."""
    values = change.before, change.after
    if change.figure == "model_bytes":
        return "size", size(int(values[0])), size(int(values[1]))
    if change.figure == "peak_rss_mib":
        return "memory", f"{values[0]:,.1f} MiB", f"{values[1]:,.1f} MiB"
    if change.figure == "instructions":
        return "instructions", f"{values[0] / 1e6:,.3f} M", f"{values[1] / 1e6:,.3f} M"
    unit = unit_of(values)
    before, after = (f"{unit.write(value)} {unit.name}" for value in values)
    return change.figure.removesuffix("_us"), before, after

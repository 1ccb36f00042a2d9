"""`edgecnn compare`: what moved between two bench records, and what grew beyond a tolerance for certain."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.measuring.counting import CountedRow, CountRecord
from edgecnn.measuring.measurement import BenchRecord, Row, row_name
from edgecnn.metrics import median_interval
from edgecnn.records import read_json, to_json

RSS_GRAIN_MIB = 0.25
"""How far two readings of the same model's peak memory may lie apart: heaps grow a little this way or that."""


@dataclass(frozen=True)
class Change:
    """One figure of one row, before and after. `ratio` is after / before; the interval is 95 %, and exact for bytes.

    An interval of None: too few windows to have one, or the figure before is none to divide by. `worse` where the
    whole interval lies above the tolerance, `better` where it lies below it.
    """

    figure: str
    before: float
    after: float
    ratio: float | None
    low: float | None
    high: float | None
    worse: bool
    better: bool


@dataclass(frozen=True)
class RowChange:
    """A row that both records have. `notes` say which figures are not compared, and why."""

    model: str
    target: str
    runtime: str
    precision: str | None
    threads: int
    same_file: bool
    changes: tuple[Change, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class CompareRecord:
    """What moved; `failures` name what is worse beyond the tolerance."""

    before: Path
    after: Path
    device: str
    tolerance_percent: float
    rows: tuple[RowChange, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    differences: tuple[str, ...]
    """What else is not the same: versions, the governor."""
    failures: tuple[str, ...]
    times_compared: int
    """Rows that are valid in both."""
    schema: str = "edgecnn.compare/1"


def compare(before: Path | str, after: Path | str, *, tolerance_percent: float = 5.0) -> CompareRecord:
    """Compare two bench records, row by row: model, target, runtime, precision and threads are the same.

    Times are compared by their windows' medians, with an interval for the ratio that holds with 95 %: its ends come
    from two 97.5 % intervals of the medians. That covers what differs from window to window, not what would differ
    from one start of the process to another. Instructions of an emulated device are compared by the least and the most
    of them. Raises UnusableFile for what is no record, UsageError where records
    can't be compared.
    """
    if not 0.0 <= tolerance_percent < math.inf:
        raise UsageError(f"the tolerance is a number of percent, 0 or more, not {tolerance_percent}")
    first, last = _read(Path(before)), _read(Path(after))
    if type(first) is not type(last):
        raise UsageError(f"{before} and {after} can't be compared: one has times, the other counts instructions")
    _refuse_different(first, last)
    old, new = {_name(row): row for row in first.rows}, {_name(row): row for row in last.rows}
    both = [name for name in new if name in old]
    if not both:
        raise UsageError(
            f"{before} and {after} have no row in common: a row is a model in a runtime with a number of threads"
        )
    rows = tuple(_row_change(old[name], new[name], 1.0 + tolerance_percent / 100.0) for name in both)
    return CompareRecord(
        Path(before),
        Path(after),
        first.device,
        tolerance_percent,
        rows,
        tuple(name for name in old if name not in new),
        tuple(name for name in new if name not in old),
        tuple(_differences(first, last)),
        tuple(
            f"{name}: {_sentence(change)}"
            for name, row in zip(both, rows, strict=True)
            for change in row.changes
            if change.worse
        ),
        sum(old[name].valid and new[name].valid for name in both),
    )


def _read(path: Path) -> BenchRecord | CountRecord:
    record: BenchRecord | CountRecord
    record = read_json(CountRecord, path) if _is_count(path) else read_json(BenchRecord, path)
    known = (BenchRecord.schema, type(record.protocol).schema)
    if (record.schema, record.protocol.schema) != known:
        raise UsageError(
            f"{path}: was written by another edgecnn ({record.schema}, {record.protocol.schema}; this one reads "
            f"{known[0]}, {known[1]}); measure again"
        )
    if record.rows and not any(row.valid for row in record.rows):
        reasons = (reason for row in record.rows if isinstance(row, Row) for reason in row.against)
        why = next(reasons, "the record does not say why")
        raise UsageError(f"{path}: all its rows are invalid ({why}); measure again before it is compared")
    names = [_name(row) for row in record.rows]
    if len(set(names)) < len(names):
        raise UnusableFile(f"{path}: has several rows of one name")
    return record


def _is_count(path: Path) -> bool:
    """Whether a file calls itself an emulated device's; what else is wrong with it, reading it as a record says."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("emulated") is True


def _refuse_different(first: BenchRecord | CountRecord, last: BenchRecord | CountRecord) -> None:
    """UsageError where a difference would be another device's or another way of measuring."""
    here, there = to_json(first.protocol), to_json(last.protocol)
    differing = [f"{key} {here[key]} and {there[key]}" for key in here if here[key] != there[key]]
    if differing:
        raise UsageError(f"the records were measured by different protocols: {', '.join(differing)}; measure one again")
    for what, one, other in (
        ("devices", first.device, last.device),
        ("processors", first.machine.processor, last.machine.processor),
        ("numbers of processors", first.machine.cores, last.machine.cores),
        ("instruction sets", first.machine.instruction_sets, last.machine.instruction_sets),
    ):
        if one != other:
            raise UsageError(f"the records are of different {what}: {one} and {other}")


def _name(row: Row | CountedRow) -> str:
    return row_name(row.model, row.target, row.precision, row.runtime, row.threads)


def _differences(first: BenchRecord | CountRecord, last: BenchRecord | CountRecord) -> list[str]:
    names = sorted({*first.versions, *last.versions})
    pairs = [(name, first.versions.get(name), last.versions.get(name)) for name in names]
    pairs += [
        ("governor", first.machine.governor, last.machine.governor),
        ("system", first.machine.system, last.machine.system),
    ]
    return [f"{name}: {one or 'none'}, then {other or 'none'}" for name, one, other in pairs if one != other]


# --- one row ---------------------------------------------------------------------------------------------------------


def _row_change(old: Row | CountedRow, new: Row | CountedRow, most: float) -> RowChange:
    changes: list[Change] = []
    notes: list[str] = []
    if isinstance(old, CountedRow) and isinstance(new, CountedRow):
        ends = [(float(row.least), float(row.most)) for row in (old, new)]
        changes.append(_change("instructions", old.instructions, new.instructions, ends[0], ends[1], most))
    elif isinstance(old, Row) and isinstance(new, Row):
        changes, notes = _measured(old, new, most)
    before, after = float(old.model_bytes), float(new.model_bytes)
    changes.append(_change("model_bytes", before, after, (before, before), (after, after), most))
    return RowChange(
        new.model,
        new.target,
        new.runtime,
        new.precision,
        new.threads,
        old.sha256 == new.sha256,
        tuple(changes),
        tuple(notes),
    )


def _measured(old: Row, new: Row, most: float) -> tuple[list[Change], list[str]]:
    """What moved of times and memory, and what is not compared."""
    changes, notes = [], []
    invalid = [when for when, row in (("before", old), ("after", new)) if not row.valid]
    if invalid:
        notes.append(f"times not compared: invalid {' and '.join(invalid)}")
    else:
        changes += [_time("p50_us", old, new, most), _time("p90_us", old, new, most)]
    if old.peak_rss_mib is None or new.peak_rss_mib is None:
        notes.append("peak_rss_mib not compared: a record has none")
    else:
        changes.append(_memory(old.peak_rss_mib, new.peak_rss_mib, most))
    return changes, notes


def _time(figure: str, old: Row, new: Row, most: float) -> Change:
    before, after = ([float(getattr(window, figure)) for window in row.windows] for row in (old, new))
    intervals = median_interval(before, 0.975), median_interval(after, 0.975)
    return _change(figure, getattr(old, figure), getattr(new, figure), *intervals, most)


def _memory(before: float, after: float, most: float) -> Change:
    grains = [(max(0.0, value - RSS_GRAIN_MIB), value + RSS_GRAIN_MIB) for value in (before, after)]
    return _change("peak_rss_mib", before, after, grains[0], grains[1], most)


def _change(
    figure: str,
    before: float,
    after: float,
    around_before: tuple[float, float] | None,
    around_after: tuple[float, float] | None,
    most: float,
) -> Change:
    ratio = after / before if before > 0 else None
    low = high = None
    if around_before is not None and around_after is not None:
        low = around_after[0] / around_before[1] if around_before[1] > 0 else None
        high = around_after[1] / around_before[0] if around_before[0] > 0 else None
    worse = low is not None and low > most
    better = high is not None and high < 1.0 / most
    return Change(figure, before, after, ratio, low, high, worse, better)


def _sentence(change: Change) -> str:
    grown = "" if change.ratio is None else f" ({100 * (change.ratio - 1):+.1f} %)"
    return f"{change.figure} {change.before:,.6g}, then {change.after:,.6g}{grown}"

"""What to ship on the device that was measured, in a paragraph: which file, engine and threads, and what that costs.

From valid rows only. A difference within the spread of the windows is a tie, and then the simpler one is taken: fewer
threads, the smaller file.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecnn.errors import plural
from edgecnn.measuring.measurement import BenchRecord, Row
from edgecnn.metrics import median_interval

MOST_DROP_PP = 1.0
"""What is so many points less accurate than the best is not advised, however fast: a recipe's usual limit."""
THREADS_WORTH = 0.8
"""More threads are advised where they bring the time down to this share: others on the device want processors too."""


def advise(record: BenchRecord) -> str:
    """A paragraph with a few sentences for each model."""
    valid = [row for row in record.rows if row.valid]
    if not valid:
        return f"No advice for {record.device}: no row is valid, so nothing is known about it."
    models = list(dict.fromkeys(row.model for row in record.rows))
    said = [_of_model([row for row in valid if row.model == model], model, record.device) for model in models]
    left_out = len(record.rows) - len(valid)
    if left_out:
        said.append(f"{plural(left_out, 'invalid row')} {'was' if left_out == 1 else 'were'} left out.")
    return " ".join(said)


def _of_model(rows: Sequence[Row], model: str, device: str) -> str:
    if not rows:
        return f"{model}: no advice, no row is valid."
    accurate = _accurate_enough(rows)
    settled = [_settled(same) for same in _variants(accurate)]
    fastest = min(settled, key=lambda row: row.p50_us)
    ties = [row for row in settled if not _faster(fastest, row)]
    best = min(ties, key=lambda row: (row.threads, row.model_bytes, row.p50_us))
    parts = [
        *_beside_float(best, settled),
        *_accuracy(best, rows),
        *_more_threads(best, accurate),
        *_next(best, [row for row in settled if row is not best], [row for row in ties if row is not best]),
    ]
    memory = "" if best.peak_rss_mib is None else f", {best.peak_rss_mib:,.1f} MiB of memory"
    head = f"{model} on {device}: ship {_name(best)}: {_time(best.p50_us)}{memory}, {best.model_bytes / 1024:,.0f} KiB"
    if len(rows) == 1:
        parts.append("it is the only valid row")
    return "; ".join([head, *parts]) + "."


# --- choosing --------------------------------------------------------------------------------------------------------


def _accurate_enough(rows: Sequence[Row]) -> list[Row]:
    best = max((row.top1 for row in rows if row.top1 is not None), default=None)
    if best is None:
        return list(rows)
    return [row for row in rows if row.top1 is None or 100 * (best - row.top1) <= MOST_DROP_PP]


def _variants(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in nothing but their threads, together."""
    found: dict[tuple[str, str | None, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.target, row.precision, row.runtime), []).append(row)
    return list(found.values())


def _settled(same: Sequence[Row]) -> Row:
    """As many threads as are worth it."""
    first, *others = sorted(same, key=lambda row: row.threads)
    for row in others:
        if row.p50_us <= THREADS_WORTH * first.p50_us and _faster(row, first):
            first = row
    return first


def _faster(one: Row, other: Row) -> bool:
    """Whether `one` is faster for certain: the intervals of the medians of their windows don't meet."""
    return _interval(one)[1] < _interval(other)[0]


def _interval(row: Row) -> tuple[float, float]:
    """Two of these that don't meet differ with 95 %; of too few windows, all that they span."""
    medians = [window.p50_us for window in row.windows]
    return median_interval(medians, 0.975) or (min(medians), max(medians))


# --- saying ----------------------------------------------------------------------------------------------------------


def _beside_float(best: Row, settled: Sequence[Row]) -> list[str]:
    """What is saved against fp32: in the same engine, or where it is fastest."""
    floats = [row for row in settled if row.precision == "fp32"]
    if best.precision in (None, "fp32") or not floats:
        return []
    same = [row for row in floats if row.runtime == best.runtime and row.target == best.target]
    beside = min(same or floats, key=lambda row: row.p50_us)
    than = "fp32" if same else f"fp32 in {beside.runtime}"
    if beside.threads != best.threads:
        than += f" with {_threads(beside)}"
    size = f"{100 * best.model_bytes / beside.model_bytes:.0f} % of its size"
    if _faster(best, beside):
        return [f"{beside.p50_us / best.p50_us:.1f}x faster than {than}, {size}"]
    return [f"as fast as {than} within the spread, {size}"]


def _accuracy(best: Row, rows: Sequence[Row]) -> list[str]:
    exact = next((row.top1 for row in rows if row.precision == "fp32" and row.top1 is not None), None)
    if best.top1 is None:
        return ["its accuracy is not known"]
    if exact is None or best.precision == "fp32":
        return [f"{100 * best.top1:.2f} % accurate"]
    points = 100 * (exact - best.top1)
    if abs(points) < 0.005:
        return ["as accurate as fp32"]
    return [f"{abs(points):.2f} points {'less' if points > 0 else 'more'} accurate"]


def _more_threads(best: Row, rows: Sequence[Row]) -> list[str]:
    kind = (best.target, best.precision, best.runtime)
    more = [row for row in rows if (row.target, row.precision, row.runtime) == kind and row.threads > best.threads]
    if not more:
        return []
    top = min(more, key=lambda row: row.p50_us)
    if _faster(top, best):
        return [f"{top.threads} threads bring {100 * (best.p50_us / top.p50_us - 1):.0f} % more"]
    return ["more threads bring nothing"]


def _next(best: Row, others: Sequence[Row], ties: Sequence[Row]) -> list[str]:
    """The runner-up: one that is as fast, or how much slower the next one is."""
    if ties:
        return [f"a tie within the spread with {' and '.join(map(_name, ties))}"]
    if not others:
        return []
    second = min(others, key=lambda row: row.p50_us)
    times = second.p50_us / best.p50_us
    slower = f"{times:.1f}x as long" if times >= 2 else f"{100 * (times - 1):.0f} % longer"
    return [f"next comes {_name(second)}, which takes {slower}"]


def _name(row: Row) -> str:
    kind = f"{row.target} {row.precision}" if row.precision else row.target
    return f"{kind} in {row.runtime} with {_threads(row)}"


def _threads(row: Row) -> str:
    return plural(row.threads, "thread")


def _time(microseconds: float) -> str:
    return f"{microseconds / 1000:,.2f} ms" if microseconds >= 100 else f"{microseconds:,.1f} µs"

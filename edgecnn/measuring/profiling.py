"""What each operator of a model takes in an engine, and whether an int8 model really ran as int8 there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgecnn.edge.measure.process import Open
from edgecnn.edge.runtimes import OpTime, Profile
from edgecnn.errors import DeviceError, LinkLost, MissingExtra, UnusableFile
from edgecnn.measuring.measurement import Protocol, Row
from edgecnn.measuring.place import Place
from edgecnn.measuring.turns import Entry, patience_s
from edgecnn.measuring.worker import Worker

FEWEST, MOST, FOR_S = 10, 200, 1.0
"""How often a model is run: for about a second, and between these."""
NAMED = 3
"""Operators in floating point that a note names."""


def profile_each(
    entries: Sequence[Entry],
    protocol: Protocol,
    size: tuple[int, int] | None,
    place: Place,
    message: Callable[[str], None],
) -> list[Profile]:
    """A profile of each entry, or the reason why there is none; each in a process of its own, after all is measured.

    Raises LinkLost.
    """
    found = []
    for number, entry in enumerate(entries):
        message(f"{entry.name}: operators, {number + 1} of {len(entries)}")
        try:
            found.append(_profile(entry, protocol, size, place))
        except LinkLost:
            raise
        except (DeviceError, MissingExtra, UnusableFile) as error:
            found.append(Profile((), str(error)))
    return found


def _profile(entry: Entry, protocol: Protocol, size: tuple[int, int] | None, place: Place) -> Profile:
    wanted = Open(place.path_there(entry.subject.path), entry.threads, size, protocol.warmup_s, protocol.warmup_least)
    with Worker(entry.subject.path, place) as worker:
        worker.load_engine(entry.runtime.name)
        each_s = worker.open(wanted, patience_s(entry, protocol)).fastest_us / 1e6
        runs = min(MOST, max(FEWEST, round(FOR_S / max(each_s, 1e-9))))
        return worker.profile(runs, 2 * patience_s(entry, protocol) + 20 * runs * each_s)


def profiled(row: Row, found: Profile) -> Row:
    """A row with its operators, or with a note why it has none; and one where an int8 model computed in float."""
    notes = [] if found.reason is None else [f"no ops: {found.reason}"]
    if row.precision == "int8":
        notes += float_note(found.ops)
    return replace(row, ops=found.ops, notes=(*row.notes, *notes))


def integer_share(ops: Sequence[OpTime]) -> float | None:
    """The share of the operators' time that was spent computing with integers; None where an engine does not tell."""
    known = [op for op in ops if op.integer is not None]
    whole = sum(op.us for op in known)
    return sum(op.us for op in known if op.integer) / whole if whole > 0 else None


def float_note(ops: Sequence[OpTime]) -> list[str]:
    """What an int8 model computed in floating point, the slowest first; nothing where it was all int8."""
    floats = sorted((op for op in ops if op.integer is False), key=lambda op: -op.us)
    share = integer_share(ops)
    if not floats or share is None:
        return []
    named = ", ".join(f"{op.name} ({op.type}{f', {op.kernel}' if op.kernel else ''})" for op in floats[:NAMED])
    more = f" and {len(floats) - NAMED} more" if len(floats) > NAMED else ""
    return [
        f"int8 ran in floating point in {len(floats)} of {len(ops)} operators, {100 * (1 - share):.0f} % of their "
        f"time: {named}{more}"
    ]

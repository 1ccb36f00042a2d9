"""`edgecnn bench --device` on an emulated one: instructions instead of times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from edgecnn import __version__
from edgecnn.measuring.counting import Counted, CountedRow, CountProtocol, CountRecord, count
from edgecnn.measuring.rows import unmeasured
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry
from edgecnn.remote.profiles import Profile
from edgecnn.verbs.reached import reached

UNEVEN = 0.01
"""A larger share between the least and the most of a row's counts is said."""


def count_on(
    profile: Profile,
    subjects: Sequence[Subject],
    entries: Sequence[Entry],
    size: tuple[int, int] | None,
    message: Callable[[str], None],
) -> CountRecord:
    """Count on an emulated device. Raises what the first entry failed of where none could be counted."""
    protocol = CountProtocol()
    with reached(profile, subjects, message) as device:
        found = count(entries, protocol, size, message, device)
    rows = tuple(_row(counted) for counted in found if counted.failed is None)
    if not rows:
        raise next(counted.failed for counted in found if counted.failed is not None)
    engines = [counted.engine for counted in found if counted.engine is not None]
    return CountRecord(
        profile.name,
        rows,
        tuple(unmeasured(one.entry, one.failed) for one in found if one.failed is not None),
        protocol,
        engines[0].machine,
        {"edgecnn": __version__} | {name: version for engine in engines for name, version in engine.versions.items()},
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _row(counted: Counted) -> CountedRow:
    assert counted.found is not None, "a row that did not fail was counted"
    assert counted.opened is not None, "and opened before"
    subject, found = counted.entry.subject, counted.found
    notes = [f"no arena_bytes: {counted.opened.arena.reason}"] if counted.opened.arena.reason else []
    if found.most - found.least > UNEVEN * found.median:
        notes.append(f"uneven: from {found.least:,} to {found.most:,} instructions")
    return CountedRow(
        model=subject.name,
        target=subject.target,
        runtime=counted.entry.runtime.name,
        precision=subject.precision,
        threads=counted.entry.threads,
        n=found.n,
        instructions=found.median,
        least=found.least,
        most=found.most,
        counter_instructions=found.reading,
        model_bytes=subject.bytes,
        arena_bytes=counted.opened.arena.value,
        valid=True,
        notes=tuple(notes),
        top1=subject.top1,
        path=str(subject.path),
        sha256=subject.sha256,
    )

"""What was found in turns -> the rows of a record."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from edgecnn.errors import EdgecnnError, MissingExtra
from edgecnn.measuring.cooling import state
from edgecnn.measuring.measurement import BUSY, Protocol, Row, SpoiltWindow, Unmeasured, too_busy
from edgecnn.measuring.turns import Entry, Measured, Spoilt
from edgecnn.measuring.validity import busy_of, worst


def unmeasured(entry: Entry, failed: EdgecnnError) -> Unmeasured:
    """What is written down of an entry that failed."""
    subject = entry.subject
    missing = isinstance(failed, MissingExtra)
    return Unmeasured(
        subject.name, subject.target, entry.runtime.name, entry.threads, str(failed), str(subject.path), missing
    )


def make_row(measured: Measured, protocol: Protocol) -> Row:
    """The row of an entry that did not fail: of the windows that count, or, where those are too few, of the spoilt ones
    alone, and then it is invalid.
    """
    assert measured.opened is not None, "a row that did not fail was opened"
    assert measured.engine is not None, "and its engine loaded before"
    entry, opened, engine = measured.entry, measured.opened, measured.engine
    made_of = _made_of(measured, protocol)
    samples_us = np.concatenate(made_of.samples) / 1e3
    least, p50, p90, p99 = (round(float(value), 3) for value in np.percentile(samples_us, [0, 50, 90, 99]))
    busy = busy_of(made_of.loads, engine.machine.cores)
    steady = measured.steady(protocol)
    too_much, spoilt = too_busy(busy, protocol), _spoilt_notes(measured)
    against = list(too_much)
    if not measured.enough(protocol):  # what is said of the row as a whole is not said of its windows again
        against += [note for note in spoilt if not (too_much and note.startswith(BUSY))]
    told = spoilt if measured.enough(protocol) else []
    notes = [*against, *told, *_remarks(measured, made_of, steady)]
    return Row(
        model=entry.subject.name,
        target=entry.subject.target,
        runtime=entry.runtime.name,
        precision=entry.subject.precision,
        threads=entry.threads,
        n=len(samples_us),
        min_us=least,
        p50_us=p50,
        p90_us=p90,
        p99_us=p99,
        model_bytes=entry.subject.bytes,
        peak_rss_mib=_beyond(measured.peak_rss_mib, engine.peak_rss_mib),
        arena_bytes=opened.arena.value,
        valid=not against,
        notes=tuple(notes),
        steady=steady,
        load_ms=opened.load_ms,
        first_us=opened.first_us,
        process_peak_rss_mib=measured.peak_rss_mib,
        import_only_rss_mib=engine.peak_rss_mib,
        top1=entry.subject.top1,
        busy=busy,
        windows=tuple(made_of.windows),
        path=str(entry.subject.path),
        sha256=entry.subject.sha256,
        before=measured.before,
        during=worst(made_of.readings),
        after=measured.after,
        spoilt=tuple(_told(window) for window in measured.spoilt),
        against=tuple(against),
    )


def _made_of(measured: Measured, protocol: Protocol) -> Measured:
    """The windows that count; where those are too few, the spoilt ones alone."""
    if measured.enough(protocol) or not measured.spoilt:
        return measured
    spoilt = measured.spoilt
    return replace(
        measured,
        windows=[each.window for each in spoilt],
        samples=[each.samples for each in spoilt],
        loads=[each.load for each in spoilt],
        readings=[each.after for each in spoilt],
    )


def _told(spoilt: Spoilt) -> SpoiltWindow:
    return SpoiltWindow(spoilt.window, spoilt.verdict.reasons, spoilt.after.temperature_c, spoilt.after.clock_mhz)


def _spoilt_notes(measured: Measured) -> list[str]:
    """What spoilt how many windows, and how hot and slow it was at worst; what spoilt most of them first."""
    taken = len(measured.windows) + len(measured.spoilt)
    counted: dict[str, list[str]] = {}
    for spoilt in measured.spoilt:
        for reason in spoilt.verdict.reasons:
            counted.setdefault(re.sub(r"[\d.,]+", "#", reason), []).append(reason)
    states = worst([spoilt.after for spoilt in measured.spoilt])
    at = f" ({state(states)})" if states is not None and (states.temperature_c or states.clock_mhz) else ""
    most_first = sorted(counted.values(), key=len, reverse=True)
    return [
        f"{reasons[0]}: {len(reasons)} of {taken} windows spoilt{at if reasons is most_first[0] else ''}"
        for reasons in most_first
    ]


def _remarks(measured: Measured, made_of: Measured, steady: bool) -> list[str]:
    """What a reader of the row should know."""
    assert measured.opened is not None, "asked for rows only"
    assert measured.engine is not None, "asked for rows only"
    n, cores = sum(window.n for window in made_of.windows), measured.engine.machine.cores
    remarks = []
    if not steady and not measured.gave_up:  # more time would have brought nothing
        remarks.append("not steady (~) in the time given: a larger --seconds gives more")
    if measured.opened.arena.reason is not None:
        remarks.append(f"no arena_bytes: {measured.opened.arena.reason}")
    if measured.peak_rss_mib is None or measured.engine.peak_rss_mib is None:
        remarks.append("no peak_rss_mib: the system does not say (VmHWM in /proc/self/status)")
    if n < 100:
        remarks.append(f"p99_us of {n} inferences is near the slowest of them")
    if measured.entry.threads > cores:
        remarks.append(f"{measured.entry.threads} threads on {cores} processors")
    return remarks


def _beyond(peak_mib: float | None, import_only_mib: float | None) -> float | None:
    return None if peak_mib is None or import_only_mib is None else peak_mib - import_only_mib

"""Latency over minutes: each model runs alone without a pause, and the device may get as hot as it gets.

Here throttling is what one wants to know: it spoils nothing, it is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from edgecnn.edge.measure.process import Open
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.measure.sensors import NOW
from edgecnn.edge.measure.timing import MOST
from edgecnn.errors import DeviceError, LinkLost, MissingExtra, UnusableFile
from edgecnn.measuring.cooling import cool_down
from edgecnn.measuring.measurement import Bucket, Protocol, Sustained
from edgecnn.measuring.monitor import Site
from edgecnn.measuring.turns import EVERY_S, Entry, patience_s
from edgecnn.measuring.worker import Worker
from edgecnn.metrics import Array

BUCKET_S = 5.0
PIECE_S = 1.0
"""A bucket is timed in pieces of about this length, or of as many inferences as the process keeps."""
MINUTE_S = 60.0


def sustain(
    entries: Sequence[Entry],
    protocol: Protocol,
    size: tuple[int, int] | None,
    minutes: float,
    site: Site,
    message: Callable[[str], None],
) -> tuple[Sustained, ...]:
    """Run each entry alone for so many minutes; what can't be run is left out: `measure` has said why.

    Between two entries the device cools down, for `protocol.cooling_s` at most. Raises DeviceError where its watch
    says nothing any more, LinkLost where its place can't be reached.
    """
    found = []
    for number, entry in enumerate(entries):
        if number:
            cool_down(site.watch, site.limits, protocol, protocol.cooling_s, message)
        message(f"{entry.name}: alone for {minutes:g} min, {number + 1} of {len(entries)}")
        try:
            buckets = _run(entry, protocol, size, minutes * 60, site, message)
        except LinkLost:
            raise
        except (DeviceError, MissingExtra, UnusableFile) as error:
            message(f"no curve of {entry.name}: {error}")
            continue
        subject = entry.subject
        found.append(
            Sustained(
                subject.name, subject.target, entry.runtime.name, subject.precision, entry.threads, minutes, buckets
            )
        )
    return tuple(found)


def slowed(curve: Sustained) -> float:
    """Median latency of the last minute over that of the first, of a run of under two minutes of its two halves."""
    first, last = ends(curve)
    return float(np.median([bucket.p50_us for bucket in last]) / np.median([bucket.p50_us for bucket in first]))


def ends(curve: Sustained) -> tuple[list[Bucket], list[Bucket]]:
    """The buckets of the first and of the last minute; of a run of under two minutes its two halves."""
    end_s = curve.buckets[-1].at_s
    span_s = min(MINUTE_S, end_s / 2)
    first = [bucket for bucket in curve.buckets if bucket.at_s <= span_s]
    last = [bucket for bucket in curve.buckets if bucket.at_s > end_s - span_s]
    return first or list(curve.buckets[:1]), last


def finding(curve: Sustained) -> str:
    """`slows by 12 % in 6 min, 82.0 C at most`: the first minute against the last."""
    change = 100 * (slowed(curve) - 1)
    words = "stays as fast"
    if abs(change) >= 1:
        words = f"slows by {change:.0f} %" if change > 0 else f"gets {-change:.0f} % faster"
    _, last = ends(curve)
    hottest = max((bucket.temperature_c for bucket in curve.buckets if bucket.temperature_c is not None), default=None)
    clocks = [bucket.clock_mhz for bucket in last if bucket.clock_mhz is not None]
    throttled = sum(bool((bucket.throttled or 0) & NOW) for bucket in curve.buckets)
    parts = [
        f"{words} in {curve.minutes:g} min",
        None if hottest is None else f"{hottest:.1f} C at most",
        f"{min(clocks):.0f} MHz in the end" if clocks else None,
        f"held back by the device in {throttled} of {len(curve.buckets)} readings" if throttled else None,
    ]
    return ", ".join(part for part in parts if part is not None)


# --- one model -------------------------------------------------------------------------------------------------------


def _run(
    entry: Entry,
    protocol: Protocol,
    size: tuple[int, int] | None,
    seconds: float,
    site: Site,
    message: Callable[[str], None],
) -> tuple[Bucket, ...]:
    wanted = Open(
        site.place.path_there(entry.subject.path), entry.threads, size, protocol.warmup_s, protocol.warmup_least
    )
    with Worker(entry.subject.path, site.place) as worker:
        worker.load_engine(entry.runtime.name)
        fastest_us = worker.open(wanted, patience_s(entry, protocol)).fastest_us
        count = min(MOST, max(1, round(min(PIECE_S, seconds) * 1e6 / fastest_us)))
        patience = patience_s(entry, protocol) + 20 * count * fastest_us / 1e6
        buckets: list[Bucket] = []
        began = said = time.monotonic()
        while (spent := time.monotonic() - began) < seconds:
            until = began + min(spent + min(BUCKET_S, seconds / 2), seconds)
            samples = _samples(worker, count, patience, until)
            buckets.append(_bucket(time.monotonic() - began, samples, site.watch.read()))
            if time.monotonic() - said >= EVERY_S:
                said = time.monotonic()
                message(f"{said - began:.0f} of {seconds:.0f} s")
    return tuple(buckets)


def _samples(worker: Worker, count: int, patience: float, until: float) -> Array:
    """Inferences one after the other until a point in time: int64 [n] nanoseconds."""
    pieces: list[Array] = []
    while not pieces or time.monotonic() < until:
        pieces.append(worker.window(count, patience)[1])
    return np.concatenate(pieces)


def _bucket(at_s: float, samples: Array, readings: Readings) -> Bucket:
    p50_us, p90_us = (round(float(value) / 1e3, 3) for value in np.percentile(samples, [50, 90]))
    return Bucket(
        round(at_s, 3),
        len(samples),
        p50_us,
        p90_us,
        readings.temperature_c,
        readings.clock_mhz,
        readings.throttled,
    )

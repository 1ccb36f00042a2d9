"""One inference after the other, each by the clock."""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

from edgecnn.edge.runtimes import Array, Session

MOST = 8192
"""Inferences in a window at most: 64 KiB of samples."""


def warm_up(session: Session, arrays: Sequence[Array], seconds: float, least: int) -> int:
    """Run for `seconds` and at least `least` times; the nanoseconds that the fastest took."""
    fastest, runs, began = 0, 0, perf_counter_ns()
    while runs < least or perf_counter_ns() - began < seconds * 1e9:
        start = perf_counter_ns()
        session.run(*arrays)
        took = perf_counter_ns() - start
        fastest = took if runs == 0 else min(fastest, took)
        runs += 1
    return fastest


def time_window(session: Session, arrays: Sequence[Array], samples: array[int], count: int) -> None:
    """Time `count` inferences into `samples`, in nanoseconds each; garbage collection rests meanwhile.

    samples: type code q, preallocated. Nothing but reading the clock twice stands between two calls, below a
    microsecond together; of that, less than a tenth is inside a sample.
    """
    run, clock = session.run, perf_counter_ns
    with no_garbage_collection():
        for i in range(count):
            began = clock()
            run(*arrays)
            samples[i] = clock() - began


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Let it rest in the block: it would be counted to whatever runs when it comes."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()

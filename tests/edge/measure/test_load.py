"""Whose the machine was: read from /proc, here written by hand."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edgecnn.edge.measure.load import Counters, between, read_counters

TICKS = os.sysconf("SC_CLK_TCK")


def proc(folder: Path, stat: str, schedstat: str | None = None) -> Path:
    (folder / "self").mkdir(parents=True, exist_ok=True)
    (folder / "stat").write_text(stat)
    if schedstat is not None:
        (folder / "self/schedstat").write_text(schedstat)
    return folder


def test_the_columns_of_stat(tmp_path: Path) -> None:
    """user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice; guests are in user already."""
    fake = proc(tmp_path, "cpu  100 20 30 5000 700 4 6 40 90 1\ncpu0 1 2 3 4\n", "111 2500000000 9\n")
    counters = read_counters(fake)
    assert counters.busy_s == pytest.approx(160 / TICKS)
    assert counters.stolen_s == pytest.approx(40 / TICKS)
    assert counters.waited_s == pytest.approx(2.5)


@pytest.mark.parametrize("stat", ["", "cpu  1 2 3\n", "cpu  a b c d e f g h\n"])
def test_what_is_not_said_is_absent(tmp_path: Path, stat: str) -> None:
    counters = read_counters(proc(tmp_path, stat))
    assert (counters.busy_s, counters.stolen_s, counters.waited_s) == (None, None, None)
    load = between(counters, counters)
    assert (load.others_s, load.stolen_s, load.waited_s) == (None, None, None)


def test_others_are_all_less_this_process() -> None:
    first = Counters(10.0, 1.0, 100.0, 5.0, 0.5, 7)
    last = Counters(12.0, 2.5, 103.0, 5.25, 0.75, 17)
    load = between(first, last)
    assert (load.wall_s, load.own_s, load.others_s) == (2.0, 1.5, 1.5)
    assert (load.stolen_s, load.waited_s, load.switches) == (0.25, 0.25, 10)


def test_this_machine_counts_this_process() -> None:
    before = read_counters()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    load = between(before, read_counters())
    assert load.own_s == pytest.approx(0.3, abs=0.05)
    assert load.wall_s >= 0.29
    assert load.others_s is not None
    assert load.others_s > -0.1, "what this process used is in the machine's sum"

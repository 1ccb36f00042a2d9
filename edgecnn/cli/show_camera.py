"""The camera's answers and summary, for people and scripts."""

from __future__ import annotations

import json

from rich.console import Console

from edgecnn.cli import show
from edgecnn.edge.camera.figures import Summary
from edgecnn.edge.camera.live import Result
from edgecnn.records import to_json


def line(result: Result) -> None:
    """One line of JSON on stdout, at once."""
    print(json.dumps(to_json(result), ensure_ascii=False), flush=True)


def nothing(result: Result) -> None:
    """A view shows it."""


def sentence(summary: Summary) -> str:
    """The session in one sentence."""
    if not summary.results:
        return "no frame was answered"
    age = f"age {summary.age_p50_ms:.1f} ms (p50), {summary.age_p90_ms:.1f} ms (p90)"
    if summary.results == 1:
        return f"1 result, {age}"
    rates = f"{summary.results_per_s:,.1f} results/s of {summary.frames_per_s:,.1f} frames/s"
    dropped = f"{100 * summary.dropped:.1f} % dropped"
    return f"{summary.results:,} results in {summary.seconds:,.1f} s: {rates}, {dropped}, {age}"


def summary(console: Console, record: Summary) -> None:
    """The sentence, and a table of where the time went."""
    console.print(sentence(record), soft_wrap=True)
    if record.stages_ms:
        lines = [(name, f"{spent:.2f}") for name, spent in record.stages_ms.items()]
        console.print(show.rows(show.table("stage", "median ms"), lines))
    if record.restarts:
        console.print(f"capture or inference was started again {record.restarts} times")

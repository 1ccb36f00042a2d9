"""Bench records by hand, and a model that the null runtime reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from edgecnn.edge.measure.process import Machine
from edgecnn.measuring.measurement import BenchRecord, Busy, Protocol, Row, Window

IDLE = Busy(0.01, 0.0, 0.001, 2.0)
MACHINE = Machine("Linux 6.12", "aarch64", "Raspberry Pi 5", 4, ("asimd", "asimddp"), "performance", (0.1, 0.1, 0.1))


def null_model(folder: Path, name: str = "model.null", text: str = '{"classes": 7}') -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def row(p50_us: float = 100.0, *, spread: float = 0.01, windows: int = 10, **changed: Any) -> Row:
    """A valid row whose windows' medians lie evenly within `spread` of `p50_us`, and their p90s 20 % higher."""
    places = [1 + spread * (2 * i / (windows - 1) - 1) for i in range(windows)]
    made = Row(
        model="ds_cifar",
        target="tflite",
        runtime="litert",
        precision="int8",
        threads=1,
        n=1000 * windows,
        min_us=0.9 * p50_us,
        p50_us=p50_us,
        p90_us=1.2 * p50_us,
        p99_us=2 * p50_us,
        model_bytes=200_000,
        peak_rss_mib=5.0,
        arena_bytes=None,
        valid=True,
        notes=("no arena_bytes: it does not tell",),
        steady=True,
        load_ms=1.5,
        first_us=300.0,
        process_peak_rss_mib=42.0,
        import_only_rss_mib=37.0,
        top1=0.9127,
        busy=IDLE,
        windows=tuple(Window(1000, p50_us * place, 1.2 * p50_us * place) for place in places),
        path="export/tflite-int8/model.tflite",
        sha256={"model.tflite": "0" * 64},
    )
    return dataclasses.replace(made, **changed)


def record(*rows: Row, **changed: Any) -> BenchRecord:
    """A record of rows on a quiet Raspberry Pi."""
    made = BenchRecord(
        "raspberrypi",
        rows or (row(),),
        (),
        Protocol(5.0),
        MACHINE,
        {"edgecnn": "0.1.0", "numpy": "2.4.6", "ai-edge-litert": "2.3.0"},
        "2026-11-25T12:00:00+00:00",
    )
    return dataclasses.replace(made, **changed)

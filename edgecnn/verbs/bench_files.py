"""Where bench's records lie, and the plots beside them."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from edgecnn import plots
from edgecnn.edge.measure.sensors import NOW
from edgecnn.errors import UsageError
from edgecnn.measuring.counting import CountRecord
from edgecnn.measuring.measurement import BenchRecord, Row, Sustained, row_name
from edgecnn.measuring.subject import Subject
from edgecnn.records import write_json
from edgecnn.verbs.subjects import run_of


def this_machine() -> str:
    """What this machine is called."""
    return platform.node() or "localhost"


def check_place(path: Path) -> None:
    """UsageError where nothing can be written, before minutes are spent on measuring, or the plots' names are taken."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: can't be written; name a file in a folder of yours with --out")
    if path.suffix.lower() != ".json":
        raise UsageError(f"{path}: a record is JSON, with its plots beside it; name it {path.with_suffix('.json')}")


def default_path(subjects: Sequence[Subject], device: str) -> Path:
    """<device>-<time>.json in the bench/ of the run that all models are in, else in bench/ here."""
    found = {run_of(subject.path) for subject in subjects}
    run = found.pop() if len(found) == 1 else None
    folder = (run or Path()) / "bench"
    device = re.sub(r"[^A-Za-z0-9._-]+", "-", device)
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    name, number = f"{device}-{stamp}", 2
    while (folder / f"{name}.json").exists():
        name, number = f"{device}-{stamp}-{number}", number + 1
    return folder / f"{name}.json"


def write_record(record: BenchRecord | CountRecord, path: Path, message: Callable[[str], None]) -> None:
    """Write it, and say where."""
    write_json(path, record)
    message(f"record: {path}")


def write_plots(record: BenchRecord, path: Path, message: Callable[[str], None]) -> None:
    """What models cost, beside the record, and where there are any, their curves over minutes."""
    costs, curves = path.with_suffix(".png"), path.with_name(f"{path.stem}-sustained.png")
    try:
        plots.costs([_cost(row, record) for row in record.rows], _title(record), costs)
        message(f"plot: {costs}")
        if record.sustained:
            plots.sustained([_course(curve, record) for curve in record.sustained], _title(record), curves)
            message(f"plot: {curves}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        message("no plot: matplotlib is not installed; pip install 'edgecnn[train]'")


def _course(curve: Sustained, record: BenchRecord) -> plots.Course:
    name = row_name(curve.model, curve.target, curve.precision, curve.runtime, curve.threads)
    several = len({row.model for row in record.rows}) > 1
    buckets = curve.buckets
    return plots.Course(
        name if several else name.removeprefix(f"{curve.model} "),
        [bucket.at_s / 60 for bucket in buckets],
        [bucket.p50_us for bucket in buckets],
        [bucket.p90_us for bucket in buckets],
        [bucket.temperature_c for bucket in buckets],
        [bucket.clock_mhz for bucket in buckets],
        [bool((bucket.throttled or 0) & NOW) for bucket in buckets],
    )


def _title(record: BenchRecord) -> str:
    models = sorted({row.model for row in record.rows})
    return f"{models[0]} on {record.device}" if len(models) == 1 else record.device


def _cost(row: Row, record: BenchRecord) -> plots.Cost:
    several = len({other.threads for other in record.rows}) > 1
    name = row_name(row.model, row.target, row.precision, row.runtime, row.threads).removeprefix(f"{row.model} ")
    variant = name if several else name.partition(",")[0]
    return plots.Cost(
        row.model, variant, row.runtime, row.precision == "int8", row.p50_us, row.p90_us, row.top1, row.valid
    )

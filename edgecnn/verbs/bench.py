"""`edgecnn bench`: what models cost on this machine or a device, each in a process of its own, taking turns."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from edgecnn import __version__, plots
from edgecnn.edge.runtimes import Runtime, all_runtimes, find_runtime
from edgecnn.errors import MissingExtra, UsageError
from edgecnn.measuring.measurement import BenchRecord, Busy, Protocol, Row, Unmeasured, row_name, too_busy, within
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.turns import Entry, Measured, measure
from edgecnn.records import write_json
from edgecnn.remote.profiles import load_profile
from edgecnn.verbs.reached import reached
from edgecnn.verbs.subjects import find_subjects, run_of

Models = Sequence[str | Path]
SECONDS = 5.0


def bench(
    models: Models | str | Path | None = None,
    *,
    threads: Sequence[int] = (1,),
    runtimes: Sequence[str] = (),
    seconds: float = SECONDS,
    input_size: tuple[int, int] | None = None,
    device: str | None = None,
    out: Path | None = None,
    message: Callable[[str], None] = lambda text: None,
) -> BenchRecord:
    """Measure models in every engine that reads them, or in `runtimes`, with each number of threads.

    models: runs, exports, artifacts, packaged models, or model files of any origin; None is the newest run.
    seconds: for each row, at most; windows end earlier when all rows are steady.
    input_size: height and width for pictures whose size a file leaves open.
    device: the profile of a device, on which they are measured over SSH in the engines that its profile names; None is
    this machine.
    out: the record's file; by default in the models' run, or in bench/ here. A plot is written beside it.

    Raises UsageError where a name or an engine doesn't fit, DeviceError where a device can't be used, and what the
    first model was refused for where none could be measured: UnusableFile, MissingExtra. Rows that a busy machine has
    spoilt are there, with `valid` False.
    """
    given: list[str | Path | None] = [models] if models is None or isinstance(models, str | Path) else [*models]
    subjects = find_subjects(given or [None], message)
    profile = load_profile(device) if device is not None else None
    asked = runtimes or (profile.runtimes if profile is not None else ())
    entries = _entries(subjects, [find_runtime(name) for name in asked], threads)
    path = out or _place(subjects, device or _here())
    _check_place(path)
    message(f"measuring {len(entries)} row{'s' if len(entries) > 1 else ''}, up to {seconds:g} s each")
    if profile is None:
        protocol = within(seconds)
        found = measure(entries, protocol, input_size, message)
    else:
        with reached(profile, subjects, message) as there:
            protocol = replace(within(seconds), together=there.together())
            found = measure(entries, protocol, input_size, message, there)
    record = _record(found, protocol, device or _here())
    write_json(path, record)
    message(f"record: {path}")
    _plot(record, path.with_suffix(".png"), message)
    return record


def _entries(subjects: Sequence[Subject], asked: Sequence[Runtime], threads: Sequence[int]) -> list[Entry]:
    """Which models are measured in which engines; UsageError where the engines asked for read none of them."""
    entries = [
        Entry(subject, runtime, count)
        for subject in subjects
        for runtime in (asked or all_runtimes().values())
        if subject.target in runtime.reads
        for count in threads
    ]
    if not entries:
        formats = sorted({subject.target for subject in subjects})
        able = [name for name, runtime in all_runtimes().items() if set(formats) & set(runtime.reads)]
        raise UsageError(
            f"{' and '.join(runtime.name for runtime in asked)} reads no {' or '.join(formats)} files; choose from "
            f"{', '.join(able)}"
        )
    return entries


# --- the record ------------------------------------------------------------------------------------------------------


def _record(found: Sequence[Measured], protocol: Protocol, device: str) -> BenchRecord:
    machine = next((measured.engine.machine for measured in found if measured.engine is not None), None)
    rows = tuple(_row(measured, protocol) for measured in found if measured.failed is None)
    if not rows or machine is None:
        first = next(measured.failed for measured in found if measured.failed is not None)
        raise first
    versions: dict[str, str] = {"edgecnn": __version__}
    for measured in found:
        versions.update(measured.engine.versions if measured.engine is not None else {})
    return BenchRecord(
        device,
        rows,
        tuple(_unmeasured(measured) for measured in found if measured.failed is not None),
        protocol,
        machine,
        versions,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )


def _unmeasured(measured: Measured) -> Unmeasured:
    entry, failed = measured.entry, measured.failed
    subject = entry.subject
    missing = isinstance(failed, MissingExtra)
    return Unmeasured(
        subject.name, subject.target, entry.runtime.name, entry.threads, str(failed), str(subject.path), missing
    )


def _row(measured: Measured, protocol: Protocol) -> Row:
    assert measured.opened is not None, "a row that did not fail was opened"
    assert measured.engine is not None, "and its engine loaded before"
    entry, opened, engine = measured.entry, measured.opened, measured.engine
    samples_us = np.concatenate(measured.samples) / 1e3
    least, p50, p90, p99 = (round(float(value), 3) for value in np.percentile(samples_us, [0, 50, 90, 99]))
    busy = _busy(measured, engine.machine.cores)
    spoilt = too_busy(busy, protocol)
    peak = _beyond(measured.peak_rss_mib, engine.peak_rss_mib)
    steady = measured.steady(protocol)
    notes = [*spoilt, *_remarks(measured, steady, protocol)]
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
        peak_rss_mib=peak,
        arena_bytes=opened.arena.value,
        valid=not spoilt,
        notes=tuple(notes),
        steady=steady,
        load_ms=opened.load_ms,
        first_us=opened.first_us,
        process_peak_rss_mib=measured.peak_rss_mib,
        import_only_rss_mib=engine.peak_rss_mib,
        top1=entry.subject.top1,
        busy=busy,
        windows=tuple(measured.windows),
        path=str(entry.subject.path),
        sha256=entry.subject.sha256,
    )


def _remarks(measured: Measured, steady: bool, protocol: Protocol) -> list[str]:
    """What a reader of the row should know."""
    assert measured.opened is not None, "asked for rows only"
    assert measured.engine is not None, "asked for rows only"
    n, cores = sum(window.n for window in measured.windows), measured.engine.machine.cores
    remarks = []
    if not steady:
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


# --- busyness --------------------------------------------------------------------------------------------------------


def _busy(measured: Measured, cores: int) -> Busy:
    loads = measured.loads
    wall_s = sum(load.wall_s for load in loads)
    return Busy(
        _share([load.others_s for load in loads], wall_s * cores),
        _share([load.stolen_s for load in loads], wall_s * cores),
        _share([load.waited_s for load in loads], wall_s),
        _share([load.switches for load in loads], wall_s),
    )


def _share(parts: Sequence[float | None], whole: float) -> float | None:
    known = [part for part in parts if part is not None]
    return max(0.0, sum(known) / whole) if len(known) == len(parts) else None


# --- files -----------------------------------------------------------------------------------------------------------


def _here() -> str:
    """What this machine is called."""
    return platform.node() or "localhost"


def _check_place(path: Path) -> None:
    """UsageError where nothing can be written, before minutes are spent on measuring."""
    folder = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UsageError(f"{path}: can't be written; name a file in a folder of yours with --out")


def _place(subjects: Sequence[Subject], device: str) -> Path:
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


def _plot(record: BenchRecord, path: Path, message: Callable[[str], None]) -> None:
    try:
        plots.costs([_cost(row, record) for row in record.rows], _title(record), path)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "matplotlib":
            raise
        message("no plot: matplotlib is not installed; pip install 'edgecnn[train]'")
    else:
        message(f"plot: {path}")


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

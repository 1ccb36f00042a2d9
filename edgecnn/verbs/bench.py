"""`edgecnn bench`: what models cost on this machine or a device, each in a process of its own, taking turns."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from edgecnn import __version__, plots
from edgecnn.edge.measure.sensors import NOW
from edgecnn.edge.runtimes import Runtime, find_runtime, usual_runtimes
from edgecnn.errors import UsageError
from edgecnn.measuring.advice import advise
from edgecnn.measuring.budget import check_budget
from edgecnn.measuring.counting import CountRecord
from edgecnn.measuring.measurement import BenchRecord, Protocol, Row, Sustained, row_name, within
from edgecnn.measuring.monitor import Monitor, Site, Watching
from edgecnn.measuring.profiling import profile_each, profiled
from edgecnn.measuring.rows import make_row, unmeasured
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.sustained import sustain
from edgecnn.measuring.turns import Entry, Measured, measure
from edgecnn.records import write_json
from edgecnn.remote.profiles import load_profile
from edgecnn.verbs.budgets import Found, find_budget
from edgecnn.verbs.counted import count_on
from edgecnn.verbs.reached import placed, watching_of
from edgecnn.verbs.subjects import find_subjects, run_of

Models = Sequence[str | Path]
SECONDS = 5.0
LOCAL = "local"
"""What this machine is called besides."""


def bench(
    models: Models | str | Path | None = None,
    *,
    threads: Sequence[int] = (1,),
    runtimes: Sequence[str] = (),
    seconds: float = SECONDS,
    input_size: tuple[int, int] | None = None,
    device: str | None = None,
    out: Path | None = None,
    sustained_min: float | None = None,
    profile: bool = False,
    check: bool = False,
    watching: Watching | None = None,
    message: Callable[[str], None] = lambda text: None,
) -> BenchRecord | CountRecord:
    """Measure models in every engine that reads them, or in `runtimes`, with each number of threads.

    models: runs, exports, artifacts, packaged models, or model files of any origin; None is the newest run.
    seconds: for each row, at most; windows end earlier when all rows are steady.
    input_size: height and width for pictures whose size a file leaves open.
    device: the profile of a device, on which they are measured over SSH in the engines that its profile names; None is
    this machine.
    out: the record's file; by default in the models' run, or in bench/ here. A plot is written beside it.
    sustained_min: afterwards each row runs alone for so many minutes, for the curve over time.
    profile: afterwards time the operators of each row, where its engine tells.
    check: hold the rows against the budget of the models' recipe; the record says what came of it.
    watching: what reads the device's temperature, clock and throttling, and its limits; None is what its profile says.
    Windows that heat, throttling, a low clock, swapping or other work has spoilt are measured again, after the device
    has cooled down. An emulated device has no times: its record counts instructions.

    Raises UsageError where a name or an engine doesn't fit, or the budget is missing or for another device, DeviceError
    where a device can't be used, and what the first model was refused for where none could be measured: UnusableFile,
    MissingExtra. Rows of which all or too many windows were spoilt are there, with `valid` False.
    """
    given: list[str | Path | None] = [models] if models is None or isinstance(models, str | Path) else [*models]
    subjects = find_subjects(given or [None], message)
    about = load_profile(device) if device is not None else None
    asked = runtimes or (about.runtimes if about is not None else ())
    entries = _entries(subjects, [find_runtime(name) for name in asked], threads)
    name = device or _here()
    if check and about is not None and about.emulated:
        raise UsageError(f"{name} is emulated: it has no times to hold a budget against")
    found_budget = find_budget(subjects) if check else None
    if found_budget is not None:
        found_budget.check_device({name} if about is not None else {name, LOCAL})
    path = out or _place(subjects, name)
    _check_place(path)
    if about is not None and about.emulated:
        counted = count_on(about, subjects, entries, input_size, message)
        _write(counted, path, message)
        return counted
    message(f"measuring {len(entries)} row{'s' if len(entries) > 1 else ''}, up to {seconds:g} s each")
    watching = watching or watching_of(about)
    with placed(about, subjects, message) as place, Monitor(watching.sensors, place) as watch:
        protocol = replace(within(seconds), together=place.together())
        site = Site(place, watch, watching.limits)
        found = measure(entries, protocol, input_size, site, message)
        record = _record(found, protocol, name, found_budget)
        good = [measured.entry for measured in found if measured.failed is None]
        if sustained_min is not None:
            write_json(path, record)  # the minutes that follow may end otherwise than they should
            record = replace(record, sustained=sustain(good, protocol, input_size, sustained_min, site, message))
        if profile:
            profiles = profile_each(good, protocol, input_size, place, message)
            record = replace(record, rows=tuple(map(profiled, record.rows, profiles)))
    _write(record, path, message)
    _plot(record, path, message)
    return record


def _entries(subjects: Sequence[Subject], asked: Sequence[Runtime], threads: Sequence[int]) -> list[Entry]:
    """Which models are measured in which engines; UsageError where the engines asked for read none of them."""
    entries = [
        Entry(subject, runtime, count)
        for subject in subjects
        for runtime in (asked or usual_runtimes().values())
        if subject.target in runtime.reads
        for count in threads
    ]
    if not entries:
        formats = sorted({subject.target for subject in subjects})
        able = [name for name, runtime in usual_runtimes().items() if set(formats) & set(runtime.reads)]
        raise UsageError(
            f"{' and '.join(runtime.name for runtime in asked)} reads no {' or '.join(formats)} files; choose from "
            f"{', '.join(able)}"
        )
    return entries


# --- the record ------------------------------------------------------------------------------------------------------


def _record(found: Sequence[Measured], protocol: Protocol, device: str, found_budget: Found | None) -> BenchRecord:
    machine = next((measured.engine.machine for measured in found if measured.engine is not None), None)
    rows = tuple(make_row(measured, protocol) for measured in found if measured.failed is None)
    if not rows or machine is None:
        first = next(measured.failed for measured in found if measured.failed is not None)
        raise first
    versions: dict[str, str] = {"edgecnn": __version__}
    for measured in found:
        versions.update(measured.engine.versions if measured.engine is not None else {})
    record = BenchRecord(
        device,
        rows,
        tuple(unmeasured(measured) for measured in found if measured.failed is not None),
        protocol,
        machine,
        versions,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        None if found_budget is None else check_budget(found_budget.budget, rows),
    )
    return replace(record, advice=advise(record))


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


def _write(record: BenchRecord | CountRecord, path: Path, message: Callable[[str], None]) -> None:
    write_json(path, record)
    message(f"record: {path}")


def _plot(record: BenchRecord, path: Path, message: Callable[[str], None]) -> None:
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

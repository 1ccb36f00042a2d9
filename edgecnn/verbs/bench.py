"""`edgecnn bench`: what models cost on this machine or a device, each in a process of its own, taking turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from edgecnn import __version__
from edgecnn.edge.runtimes import Runtime, find_runtime, usual_runtimes
from edgecnn.errors import UsageError, plural
from edgecnn.measuring.advice import advise
from edgecnn.measuring.budget import check_budget
from edgecnn.measuring.counting import CountRecord
from edgecnn.measuring.measurement import BenchRecord, Protocol, within
from edgecnn.measuring.monitor import Monitor, Site, Watching
from edgecnn.measuring.profiling import profile_each, profiled
from edgecnn.measuring.rows import make_row, unmeasured
from edgecnn.measuring.subject import Subject
from edgecnn.measuring.sustained import sustain
from edgecnn.measuring.turns import Entry, Measured, measure
from edgecnn.records import write_json
from edgecnn.remote.profiles import Profile, load_profile
from edgecnn.verbs.bench_files import check_place, default_path, this_machine, write_plots, write_record
from edgecnn.verbs.budgets import Found, find_budget
from edgecnn.verbs.counted import count_on
from edgecnn.verbs.reached import placed, watching_of
from edgecnn.verbs.subjects import find_subjects

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
    name = device or this_machine()
    budget = _budget(subjects, about, name) if check else None
    path = out or default_path(subjects, name)
    check_place(path)
    if about is not None and about.emulated:
        counted = count_on(about, subjects, entries, input_size, message)
        write_record(counted, path, message)
        return counted
    message(f"measuring {plural(len(entries), 'row')}, up to {seconds:g} s each")
    with _site(about, watching or watching_of(about), subjects, message) as site:
        wanted = _Wanted(name, path, within(seconds), input_size, sustained_min, profile, budget)
        record = _measured(entries, wanted, site, message)
    write_record(record, path, message)
    write_plots(record, path, message)
    return record


@dataclass(frozen=True)
class _Wanted:
    """What a measurement is to have, and what it is for."""

    device: str
    path: Path
    protocol: Protocol
    size: tuple[int, int] | None
    sustained_min: float | None
    profile: bool
    budget: Found | None


def _budget(subjects: Sequence[Subject], about: Profile | None, name: str) -> Found:
    """The budget that the rows are to be held against; UsageError where it is none for this device."""
    if about is not None and about.emulated:
        raise UsageError(f"{name} is emulated: it has no times to hold a budget against")
    found = find_budget(subjects)
    found.check_device({name} if about is not None else {name, LOCAL})
    return found


@contextlib.contextmanager
def _site(
    about: Profile | None, watching: Watching, subjects: Sequence[Subject], message: Callable[[str], None]
) -> Iterator[Site]:
    """The device with the models on it, watched."""
    with placed(about, subjects, message) as place, Monitor(watching.sensors, place) as watch:
        yield Site(place, watch, watching.limits)


def _measured(entries: Sequence[Entry], wanted: _Wanted, site: Site, message: Callable[[str], None]) -> BenchRecord:
    """Rows, then curves and operators where they are wanted."""
    protocol = replace(wanted.protocol, together=site.place.together())
    found = measure(entries, protocol, wanted.size, site, message)
    record = _record(found, protocol, wanted)
    good = [measured.entry for measured in found if measured.failed is None]
    if wanted.sustained_min is not None:
        write_json(wanted.path, record)  # the minutes that follow may end otherwise than they should
        curves = sustain(good, protocol, wanted.size, wanted.sustained_min, site, message)
        record = replace(record, sustained=curves)
    if wanted.profile:
        profiles = profile_each(good, protocol, wanted.size, site.place, message)
        record = replace(record, rows=tuple(map(profiled, record.rows, profiles)))
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


def _record(found: Sequence[Measured], protocol: Protocol, wanted: _Wanted) -> BenchRecord:
    machine = next((measured.engine.machine for measured in found if measured.engine is not None), None)
    rows = tuple(make_row(measured, protocol) for measured in found if measured.failed is None)
    if not rows or machine is None:
        first = next(measured.failed for measured in found if measured.failed is not None)
        raise first
    versions: dict[str, str] = {"edgecnn": __version__}
    for measured in found:
        versions.update(measured.engine.versions if measured.engine is not None else {})
    record = BenchRecord(
        wanted.device,
        rows,
        tuple(unmeasured(one.entry, one.failed) for one in found if one.failed is not None),
        protocol,
        machine,
        versions,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        None if wanted.budget is None else check_budget(wanted.budget.budget, rows),
    )
    return replace(record, advice=advise(record))

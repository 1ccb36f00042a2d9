"""What bench writes down: rows, and all that must be the same for two of them to be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edgecnn.edge.measure.process import Machine
from edgecnn.edge.measure.readings import Readings
from edgecnn.edge.runtimes import OpTime
from edgecnn.errors import plural


@dataclass(frozen=True)
class Protocol:
    """How it was measured. Records with different protocols are not compared."""

    seconds: float
    """Time for each row: windows end when all rows are steady, or when this is used up."""
    warmup_s: float = 0.3
    warmup_least: int = 3
    window_s: float = 0.2
    window_least: int = 3
    """Inferences in a window at least."""
    windows_least: int = 8
    """Seven are the fewest whose smallest and largest enclose the median with 97.5 %, which compare wants of each."""
    windows_tried: int = 12
    """So many are tried where fewer than `windows_least` count, also when the time is used up."""
    steady_windows: int = 3
    steady_p50: float = 0.02
    steady_p90: float = 0.05
    """A row is steady when the last so many windows' percentiles lie within these shares of each other."""
    together: int = 12
    """So many processes at most are open at once and take turns, a window each, forwards and backwards."""
    busy_others: float = 0.1
    busy_stolen: float = 0.02
    busy_waited: float = 0.02
    """Shares of the machine's processor time (others', stolen) and of the process's time (waited) that spoil a window,
    and a row."""
    clock_share: float = 0.05
    """A clock that is so much below the nominal one spoils a window."""
    spoilt_in_a_row: int = 3
    """After so many windows in a row that the device's state has spoilt, a row gives up."""
    cooling_s: float = 120.0
    """A row waits for the device to cool down for so long at most, in all."""
    cooling_margin_c: float = 10.0
    """So far below the temperature at which it throttles, a device has cooled down."""
    statistic: str = "percentiles over all inferences of all windows, each timed by itself"
    schema: str = "edgecnn.bench-protocol/1"


def within(seconds: float) -> Protocol:
    """The protocol for rows that take `seconds` at most: with little time, windows and warm-up are shorter too."""
    usual = Protocol(seconds)
    each_s = seconds / (usual.windows_least + 1)
    return replace(usual, window_s=min(usual.window_s, each_s), warmup_s=min(usual.warmup_s, each_s))


@dataclass(frozen=True)
class Window:
    """The percentiles of one turn."""

    n: int
    p50_us: float
    p90_us: float


@dataclass(frozen=True)
class Busy:
    """Whose the machine was meanwhile: shares of all processors' time, and of the process's own; None is unknown."""

    others: float | None
    stolen: float | None
    waited: float | None
    switches_per_s: float | None
    """How often a second the process was put off its processor."""


BUSY = "busy machine: "
"""How the reasons begin that blame other work."""


def too_busy(busy: Busy, protocol: Protocol) -> list[str]:
    """Why a row does not count: the machine did too much else, or does not say what it did."""
    found = []
    for share, most, what in (
        (busy.others, protocol.busy_others, "other processes took {:.0f} % of the machine's processor time"),
        (busy.stolen, protocol.busy_stolen, "the hypervisor gave {:.0f} % of the processor time to others"),
        (busy.waited, protocol.busy_waited, "it waited for a processor {:.0f} % of the time"),
    ):
        if share is not None and share > most:
            found.append(f"{BUSY}{what.format(100 * share)} (at most {100 * most:.0f} %)")
    if busy.others is None and busy.waited is None:
        found.append("nothing says how busy the machine was: neither /proc/stat nor /proc/self/schedstat can be read")
    return found


@dataclass(frozen=True)
class SpoiltWindow:
    """A turn that does not count, and why."""

    window: Window
    reasons: tuple[str, ...]
    temperature_c: float | None
    clock_mhz: float | None


@dataclass(frozen=True)
class Row:
    """One model in one engine. Times are of single inferences, microseconds.

    peak_rss_mib: the most memory that the process held, less what it held before the model was opened.
    before, during, after: the device's readings; `during` has the worst of each figure in the windows that the times
    are of. spoilt: windows that were measured again. An invalid row may be made of those alone.
    What could not be had is None, and a note says why.
    """

    model: str
    target: str
    runtime: str
    precision: str | None
    threads: int
    n: int
    min_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    model_bytes: int
    peak_rss_mib: float | None
    arena_bytes: int | None
    valid: bool
    notes: tuple[str, ...]
    steady: bool
    load_ms: float
    first_us: float
    process_peak_rss_mib: float | None
    import_only_rss_mib: float | None
    top1: float | None
    busy: Busy
    windows: tuple[Window, ...]
    path: str
    sha256: Mapping[str, str]
    before: Readings | None = None
    during: Readings | None = None
    after: Readings | None = None
    spoilt: tuple[SpoiltWindow, ...] = ()
    against: tuple[str, ...] = ()
    """Why it is invalid: those of the notes."""
    ops: tuple[OpTime, ...] = ()
    """What each operator took, where it was asked for and the engine tells."""


def row_name(model: str, target: str, precision: str | None, runtime: str, threads: int) -> str:
    """What a row is called in sentences: `ds_cifar tflite-int8 in litert, 1 thread`."""
    kind = f"{target}-{precision}" if precision else target
    return f"{model} {kind} in {runtime}, {plural(threads, 'thread')}"


@dataclass(frozen=True)
class Unmeasured:
    """What was asked for and could not be had; `engine_missing` where that is not the file's fault."""

    model: str
    target: str
    runtime: str
    threads: int
    reason: str
    path: str
    engine_missing: bool


@dataclass(frozen=True)
class Bucket:
    """Some seconds of a model that runs without a pause: their percentiles, and the device's readings at their end.

    at_s: when they ended, since it began.
    """

    at_s: float
    n: int
    p50_us: float
    p90_us: float
    temperature_c: float | None
    clock_mhz: float | None
    throttled: int | None


@dataclass(frozen=True)
class Sustained:
    """Latency over minutes of one model that runs alone."""

    model: str
    target: str
    runtime: str
    precision: str | None
    threads: int
    minutes: float
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class BudgetCheck:
    """A recipe's budget, and what came of it. `met_by`: the fastest row that meets all of it; None where none does, and
    `failures` are then what the row that comes nearest missed.
    """

    device: str | None
    p90_ms: float | None
    peak_rss_mib: float | None
    model_kib: float | None
    met_by: str | None
    failures: tuple[str, ...]


@dataclass(frozen=True)
class BenchRecord:
    """bench/<device>-<time>.json."""

    device: str
    rows: tuple[Row, ...]
    unmeasured: tuple[Unmeasured, ...]
    protocol: Protocol
    machine: Machine
    versions: Mapping[str, str]
    created: str
    budget: BudgetCheck | None = None
    """What became of the recipe's budget, where it was asked for."""
    advice: str = ""
    """What to ship on this device, in a paragraph."""
    sustained: tuple[Sustained, ...] = ()
    """Latency over minutes, where it was asked for."""
    schema: str = "edgecnn.bench/1"

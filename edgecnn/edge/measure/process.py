"""`python -m edgecnn.edge bench`: one model in one engine, measured in turns that somebody else gives out.

A request is a line of JSON on stdin, an answer a line of JSON on stdout, in this order:

    {"do": "load_engine", "runtime": NAME}          -> an `Engine`: the process is import-only so far
    {"do": "open", "path", "threads", ...}          -> an `Opened`, after a warm-up
    {"do": "window", "count": N}                    -> a `Turn`, and behind the line N samples: int64, nanoseconds
    {"do": "profile", "runs": N}                    -> a `Profile`: what each operator takes, in a session of its own
    {"do": "count", "n": N, "warmup": N}            -> an `Instructions`, where something counts them
    {"do": "classify", "shape": [N, H, W, C]}       -> an `Answers`, and behind the line its values; behind the request
                                                       N pictures: uint8 RGB

With the end of stdin the process ends, even in the middle of an inference (`leash`). What engines print goes to stderr.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from array import array
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter_ns
from typing import IO, Any

import numpy as np

from edgecnn.edge import leash, machine
from edgecnn.edge.child import attempt
from edgecnn.edge.measure import timing
from edgecnn.edge.measure.inputs import filled
from edgecnn.edge.measure.instructions import Instructions, count_inferences
from edgecnn.edge.measure.load import Load, between, read_counters
from edgecnn.edge.measure.memory import peak_rss_mib
from edgecnn.edge.runtimes import Array, Profile, Reading, Runtime, Session, find_runtime
from edgecnn.records import from_json, to_json


@dataclass(frozen=True)
class Machine:
    """Where it was measured; `governor` and `processor` are absent where the system does not say."""

    system: str
    architecture: str
    processor: str | None
    cores: int
    instruction_sets: tuple[str, ...]
    governor: str | None
    load_average: tuple[float, ...]
    """Over 1, 5 and 15 minutes, before the first measurement; empty where the system does not say."""


@dataclass(frozen=True)
class Engine:
    """An import-only process: numpy and the engine are loaded, no model is."""

    versions: Mapping[str, str]
    machine: Machine
    peak_rss_mib: float | None


@dataclass(frozen=True)
class Open:
    """What to open, and how to run it before it is measured."""

    path: str
    threads: int
    input_size: tuple[int, int] | None
    warmup_s: float
    warmup_least: int


@dataclass(frozen=True)
class Opened:
    """A model that is ready to be timed. `fastest_us`: the fastest inference of the warm-up."""

    load_ms: float
    first_us: float
    fastest_us: float
    arena: Reading


@dataclass(frozen=True)
class Turn:
    """One window: what the machine did meanwhile, and the most memory that this process has held so far."""

    load: Load
    peak_rss_mib: float | None


@dataclass(frozen=True)
class Answers:
    """What a model said to pictures, as its file gives it: values of this type and shape [N, K]."""

    dtype: str
    shape: tuple[int, ...]


class Server:
    """The model of this process, and what can be asked about it. `behind`: bytes that follow the answer's line."""

    def __init__(self, requests: IO[bytes]) -> None:
        self._requests = requests
        self.behind = memoryview(b"")
        self._runtime: Runtime | None = None
        self._session: Session | None = None
        self._opened: Open | None = None
        self._arrays: list[Array] = []
        self._samples = array("q", bytes(8 * timing.MOST))

    def answer(self, request: Mapping[str, Any]) -> Any:
        """Do what is asked."""
        self.behind = memoryview(b"")
        return to_json(getattr(self, request["do"])(request))

    def load_engine(self, request: Mapping[str, Any]) -> Engine:
        """Load an engine's library; MissingExtra where it is not installed."""
        self._runtime = find_runtime(request["runtime"])
        version = self._runtime.version()
        peak = peak_rss_mib()
        library, number = version.rsplit(" ", 1)
        versions = {library: number, "numpy": sys.modules["numpy"].__version__, "python": platform.python_version()}
        return Engine(versions, this_machine(), peak)

    def open(self, request: Mapping[str, Any]) -> Opened:
        """Open a file, run it once, warm up. What an engine raises at running ends this process, which is an answer."""
        assert self._runtime is not None, "load_engine comes first"
        _die_first()
        wanted = from_json(Open, request)
        path = Path(wanted.path)
        began = perf_counter_ns()
        session = self._runtime.open(path, wanted.threads)
        loaded = perf_counter_ns()
        arena = session.arena()
        self._arrays = filled(session.inputs, wanted.input_size, path)
        started = perf_counter_ns()
        session.run(*self._arrays)
        first = perf_counter_ns() - started
        fastest = timing.warm_up(session, self._arrays, wanted.warmup_s, wanted.warmup_least)
        self._session, self._opened = session, wanted
        return Opened((loaded - began) / 1e6, first / 1e3, fastest / 1e3, arena)

    def window(self, request: Mapping[str, Any]) -> Turn:
        """Time so many inferences into `samples`, after one that warms the caches again."""
        assert self._session is not None, "open comes first"
        self._session.run(*self._arrays)
        before = read_counters()
        timing.time_window(self._session, self._arrays, self._samples, request["count"])
        self.behind = memoryview(self._samples)[: request["count"]]
        return Turn(between(before, read_counters()), peak_rss_mib())

    def count(self, request: Mapping[str, Any]) -> Instructions:
        """Count the instructions of inferences; DeviceError where nothing counts them."""
        assert self._session is not None, "open comes first"
        return count_inferences(self._session, self._arrays, request["n"], request["warmup"])

    def classify(self, request: Mapping[str, Any]) -> Answers:
        """Run pictures one by one, uint8 [N, H, W, C] at the model's size; for files that take uint8."""
        assert self._session is not None, "open comes first"
        count, *shape = request["shape"]
        images = np.frombuffer(self._requests.read(count * math.prod(shape)), np.uint8).reshape(count, *shape)
        values = np.concatenate([self._session.run(images[i : i + 1]) for i in range(count)])
        self.behind = memoryview(values.tobytes())
        return Answers(values.dtype.name, values.shape)

    def profile(self, request: Mapping[str, Any]) -> Profile:
        """What each operator takes, as far as the engine tells."""
        assert self._runtime is not None, "load_engine comes first"
        assert self._opened is not None, "open comes next"
        return self._runtime.profile(Path(self._opened.path), self._opened.threads, self._arrays, request["runs"])


def this_machine() -> Machine:
    """The machine that this process runs on."""
    load_average: tuple[float, ...] = ()
    with suppress(OSError):
        load_average = os.getloadavg()
    return Machine(
        f"{platform.system()} {platform.release()}",
        platform.machine(),
        machine.processor(),
        os.cpu_count() or 1,
        machine.instruction_sets(),
        machine.governor(),
        load_average,
    )


def serve() -> None:
    """Answer requests until there are no more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    leash.hold(0, out.fileno())
    server = Server(sys.stdin.buffer)
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = attempt(partial(server.answer, request), request)
        _send(out, answer, server.behind if "answer" in answer else memoryview(b""))
    os._exit(0)  # an engine that was given a broken file may not survive its own end


def _send(out: IO[bytes], answer: Mapping[str, Any], behind: memoryview) -> None:
    out.write(json.dumps(answer).encode() + b"\n")
    out.write(behind)
    out.flush()


def _die_first() -> None:
    """A file that asks for more memory than there is shall cost this process, not another one."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

"""What was found so far, as JSON lines: a run that was stopped goes on, and one part can be measured anew."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from edgecnn.records import from_json, to_json
from edgecnn.storage import write_whole
from tools.exporters.exporter import ROOT


@dataclass(frozen=True, order=True)
class Key:
    """One file: a packaged model, put through an exporter at a setting."""

    model: str
    exporter: str
    setting: str


@dataclass(frozen=True)
class Converted:
    """A model file. `seconds` are those of its process, start and imports included: the median of `n`.

    `installed_mb` is all that the exporter's environment holds, `torch_mb` what of it is torch and its CUDA libraries.
    """

    key: Key
    form: str
    path: str
    """From the root of the checkout."""
    bytes: int
    sha256: str
    seconds: float
    n: int
    installed_mb: float
    torch_mb: float
    versions: Mapping[str, str]
    kind: ClassVar[str] = "converted"

    @property
    def file(self) -> Path:
        """The model file."""
        return ROOT / self.path


@dataclass(frozen=True)
class Accuracy:
    """On n test pictures. Points: positive where the file is worse; the pairs are (difference, low, high), 95 %."""

    key: Key
    sha256: str
    n: int
    top1: float
    fp32_top1: float
    drop_pp: tuple[float, float, float]
    mcnemar: float
    behind_ours_pp: tuple[float, float, float]
    same_answer: float
    """As the fp32 network gives, a share of n."""
    kind: ClassVar[str] = "accuracy"


@dataclass(frozen=True)
class Operators:
    """What the runtime computes: kinds of operators and their numbers; `conversions` change type or scale only."""

    key: Key
    sha256: str
    kinds: Mapping[str, int]
    conversions: Mapping[str, int]
    floats: Mapping[str, int]
    """Those of `kinds` that compute in floating point."""
    kind: ClassVar[str] = "operators"


@dataclass(frozen=True)
class Latency:
    """`ratio` is to our file of the same format: the median over rounds, and its quartiles; above 1 we are faster."""

    key: Key
    sha256: str
    runtime: str
    threads: int
    rounds: int
    inferences: int
    """In each round, of each file."""
    min_us: float
    p50_us: float
    ratio: tuple[float, float, float]
    machine: str
    load: float
    """The system's load average of the last minute, as the run ended."""
    kind: ClassVar[str] = "latency"


KINDS: Mapping[str, Any] = {kind.kind: kind for kind in (Converted, Accuracy, Operators, Latency)}


class Found(Protocol):
    """What the kinds of records have in common."""

    kind: ClassVar[str]

    @property
    def key(self) -> Key: ...


Kind = TypeVar("Kind", bound=Found)


class Journal:
    """A file of JSON lines, and the newest record of each kind and key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._newest: dict[tuple[str, Key], Any] = {}
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        whole, _, broken = text.rpartition("\n")
        if broken:  # a run was killed while it wrote
            write_whole(path, f"{whole}\n".encode())
        for line in filter(None, whole.splitlines()):
            value = json.loads(line)
            self._keep(from_json(KINDS[value["kind"]], value["record"]))

    def _keep(self, record: Found) -> None:
        self._newest[record.kind, record.key] = record

    def add(self, record: Found) -> None:
        """Append a record, and take it as the newest."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": record.kind, "record": to_json(record)}) + "\n")
        self._keep(record)

    def find(self, kind: type[Kind], key: Key) -> Kind | None:
        """The newest record of a kind for a file."""
        found: Kind | None = self._newest.get((kind.kind, key))
        return found

    def all(self, kind: type[Kind]) -> list[Kind]:
        """The newest records of a kind, by key."""
        return [record for (name, _), record in sorted(self._newest.items()) if name == kind.kind]

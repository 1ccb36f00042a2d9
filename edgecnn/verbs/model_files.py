"""Model files from anywhere: what is known of one, and running it. What opens the file is done in child processes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecnn.edge import classifier, pixels
from edgecnn.edge.artifact import MANIFEST
from edgecnn.edge.child import Work, in_child
from edgecnn.edge.classifier import Normalisation, PictureInput, Ports, picture_input
from edgecnn.edge.runtimes import SUFFIXES, Array, find_runtime, format_of, runtime_for, usual_runtimes
from edgecnn.errors import UnusableFile, UsageError, blaming
from edgecnn.records import from_json
from edgecnn.storage import disk_errors

if TYPE_CHECKING:  # formats/ wants libraries that evaluating runs and artifacts must do without
    from edgecnn.formats import Details

PATIENCE = 6.0
"""Seconds in which a small file must be opened and answer once; its engine is imported before."""
PATIENCE_PER_BYTE = 1.0 / 2**20
"""Seconds more: large ones are packed for a processor's kernels, which takes a slow machine long."""
LEAST_PATIENCE = 2.0
BACKGROUND = "background"
"""What the class is called that some networks have before those of their labels (TensorFlow's 1,001 of ImageNet)."""


def is_model_file(path: Path) -> bool:
    """Whether a path names a model file that lies in no artifact folder; also one that isn't there."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir() and not (path.parent / MANIFEST).is_file()


class ModelFile:
    """A model file of unknown origin, and an engine that reads it."""

    def __init__(self, path: Path, runtime: str | None = None, threads: int = 1) -> None:
        """Nothing is opened yet. UnusableFile where there is no such file, UsageError for an engine that can't read it,
        MissingExtra where none is installed.
        """
        from edgecnn.formats import find_format

        self.path, self.format, self.threads = path, format_of(path), threads
        engine = find_runtime(runtime) if runtime else runtime_for(self.format)
        if self.format not in engine.reads:
            able = ", ".join(name for name, other in usual_runtimes().items() if self.format in other.reads)
            raise UsageError(f"{engine.name} does not read {self.format} files; choose from {able}")
        self.engine, self.runtime = engine.name, engine.version()
        self.bytes = sum(_size(part) for part in _parts(path, find_format(self.format).companions))
        self._spent = 0.0

    def run(self, work: Work, request: Mapping[str, Any]) -> Any:
        """What `work` makes of the file in a child process; its request gets `path`, `format`, `runtime`, `threads`.

        Raises UnusableFile where the child dies or hangs; patience with a file is spent once, however many ask.
        """
        request = {
            **request,
            "path": str(self.path),
            "format": self.format,
            "runtime": self.engine,
            "threads": self.threads,
        }
        patience = PATIENCE + PATIENCE_PER_BYTE * self.bytes - self._spent
        started = time.monotonic()
        try:
            return in_child(
                work, request, self.path, max(LEAST_PATIENCE, patience), size=self.bytes, runtime=self.engine
            )
        finally:
            self._spent += time.monotonic() - started

    def about(self) -> About:
        """What the file says about itself."""
        found = self.run(describe, {})
        return About(from_json(Ports, found["ports"]), found["details"], found["problem"])

    def answers(self, given: PictureInput, images: Array) -> Array:
        """uint8 [N, H, W, C], RGB or grey -> float32 [N, K]."""
        with tempfile.TemporaryDirectory() as temporary:
            pictures, rows = Path(temporary) / "images.npy", Path(temporary) / "answers.npy"
            with disk_errors(pictures):
                np.save(pictures, images, allow_pickle=False)
            self.run(classifier.answer, {"input": given.json(), "images": str(pictures), "answers": str(rows)})
            answers: Array = np.load(rows, allow_pickle=False)
        return answers


@dataclass(frozen=True)
class About:
    """The ends of a model and what its file says besides: labels, mean, std, resize; `problem` is why it says nothing
    of it where that is damaged.
    """

    ports: Ports
    details: Details
    problem: str = ""

    def labels(self) -> tuple[str, ...] | None:
        """The classes' names, where the file has them."""
        try:
            found = json.loads(self.details["labels"])
        except (KeyError, ValueError):
            return None
        return tuple(map(str, found)) if isinstance(found, list) and found else None

    def normalisation(self) -> Normalisation | None:
        """What the file says pixels are normalised by; pixels of unsigned bytes are taken as they come."""
        if "mean" not in self.details or "std" not in self.details or self.ports.inputs[0].dtype == "uint8":
            return None
        try:
            mean, std = (tuple(map(float, self.details[key].split(","))) for key in ("mean", "std"))
        except ValueError:
            return None
        channels = 1 if self._grey() else 3
        return Normalisation(*(given * channels if len(given) == 1 else given for given in (mean, std)))

    def _grey(self) -> bool:
        """Whether the picture has one channel for certain, and not three."""
        shape = self.ports.inputs[0].shape
        return len(shape) == 4 and 1 in (shape[1], shape[3]) and 3 not in (shape[1], shape[3])

    def resize(self) -> str | None:
        """The file's resize rule, where it has one of ours."""
        rule = self.details.get("resize")
        return rule if rule in pixels.RESIZE_RULES else None

    def classes(self) -> int | None:
        """How many values a picture gets, where the file says it."""
        shape = self.ports.outputs[0].shape[1:] if self.ports.outputs else ()
        return max(shape) if shape and 0 not in shape else None


@dataclass(frozen=True)
class FileOptions:
    """What a model file does not say about itself, or says wrongly: each replaces the file's own word.

    mean, std: one number a channel, for pixels from 0 to 1. size: height and width. labels: the classes' names, or a
    file with one a line. label_offset: how many outputs stand before that of the first label. layout: NHWC or NCHW.
    """

    runtime: str | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    resize: str | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    labels: Sequence[str] | Path | None = None
    label_offset: int | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise UsageError("mean and std belong together: give both")
        if self.layout is not None and self.layout not in classifier.LAYOUTS:
            raise UsageError(f"a layout is one of {', '.join(classifier.LAYOUTS)}, got '{self.layout}'")
        if self.resize is not None:
            pixels.check_rule(self.resize)

    def refuse(self, what: str) -> None:
        """UsageError where any is given for what says all this itself."""
        for name, value in vars(self).items():
            if value is not None:
                raise UsageError(f"{what} knows its own {name.replace('_', ' ')}: it is given for model files only")

    def input(self, path: Path, about: About) -> PictureInput:
        """How pictures go into the file."""
        given = None
        if self.mean is not None and self.std is not None:
            given = Normalisation(tuple(map(float, self.mean)), tuple(map(float, self.std)))
        elif about.ports.inputs:
            given = about.normalisation()
        return picture_input(path, about.ports, given, self.layout, self.size)

    def names(self, about: About) -> tuple[str, ...] | None:
        """The labels that are given, or else the file's own."""
        if self.labels is None:
            return about.labels()
        if not isinstance(self.labels, Path):
            return tuple(map(str, self.labels))
        try:
            return tuple(self.labels.read_text("utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            raise UnusableFile(f"{self.labels}: can't be read as a list of labels ({error})") from error


@dataclass(frozen=True)
class Classes:
    """A model's classes by name, and where each class of some pictures is among them: int64 [of the pictures]."""

    labels: tuple[str, ...]
    places: Array


def match_classes(
    count: int,
    labels: tuple[str, ...] | None,
    offset: int | None,
    pictures: tuple[str, ...],
    say: Callable[[str], None],
) -> Classes:
    """Which of a model's `count` outputs stands for which class of the pictures.

    labels: the model's own, in its order; without, they are the pictures'. An offset that nobody gave is 1 where there
    is one output more than labels, and said aloud. UsageError where the numbers don't agree or a class has no output.
    """
    known = pictures if labels is None else labels
    whose = "pictures' classes" if labels is None else "labels"
    if labels is None:
        say(f"the model does not name its classes: they are taken to be the pictures', in order ({_some(pictures)})")
    if offset is None:
        offset = 1 if count == len(known) + 1 else 0
        if offset:
            say(
                f"the model tells {count:,} classes apart and there are {len(known):,} {whose}: its first output is "
                "taken for the background (--label-offset 1)"
            )
    if count != len(known) + offset:
        raise UsageError(
            f"the model tells {count:,} classes apart, and there are {len(known):,} {whose}"
            f"{f' behind an offset of {offset}' if offset else ''}; give --labels FILE with a name a line, in the "
            "order of the model's outputs"
        )
    before = (BACKGROUND,) if offset == 1 else tuple(f"{BACKGROUND} {i}" for i in range(offset))
    names = (*before, *known)
    unknown = [name for name in pictures if names.count(name) != 1]
    if unknown:
        raise UsageError(
            f"the model has no class '{unknown[0]}', or several ({_some(known)}): {len(unknown)} of the "
            f"{len(pictures)} classes of the pictures are not its own; give --labels FILE that calls them as the "
            "pictures do"
        )
    return Classes(names, np.array([names.index(name) for name in pictures], np.int64))


def describe(request: Mapping[str, Any]) -> Any:
    """In the child: ports and details of a file. Details that are damaged don't keep a whole network from running."""
    from edgecnn.formats import find_format

    path, details, problem = Path(request["path"]), {}, ""
    ports = classifier.ports_of(request)
    try:
        with blaming(path, "understood in what it says about itself"):
            details = dict(find_format(request["format"]).details(path))
    except UnusableFile as error:
        problem = str(error)
    return {"ports": ports, "details": details, "problem": problem}


def _parts(path: Path, companions: tuple[str, ...]) -> list[Path]:
    """A model file and what lies beside it under its own name (OpenVINO's .bin)."""
    return [path, *(path.with_suffix(Path(name).suffix) for name in companions)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")

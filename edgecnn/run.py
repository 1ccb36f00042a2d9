"""A run folder: what lies where, making a new one, finding the newest.

runs/<recipe>[-2, -3 ...]/
  recipe.yaml, resolved.yaml, checkpoints/{last,previous,best}/, metrics.jsonl, batches.jsonl, curves.png,
  confusion.png, percentages.json, teacher/ (a run of its own), export/<name>/
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.storage import disk_errors, sweep, write_whole

RUNS = Path("runs")
SPLITS = "splits.csv"
"""In a run: the copy of the list of its pictures' splits."""
TEACHER = "teacher"
"""In a run: the run of the larger network that it learns from."""
FILES = (
    "recipe.yaml",
    "resolved.yaml",
    "metrics.jsonl",
    "batches.jsonl",
    "curves.png",
    "confusion.png",
    "percentages.json",
    SPLITS,
)


@dataclass(frozen=True)
class Lines:
    """A file of JSON lines that grows."""

    path: Path

    def add(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Append some lines."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        with disk_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def sync(self) -> None:
        """See that the lines so far outlive a power cut."""
        if self.path.exists():
            with disk_errors(self.path), self.path.open("rb") as file:
                os.fsync(file.fileno())

    def read(self) -> list[dict[str, Any]]:
        """All lines; what a crash cut short is left out, and what follows it."""
        lines: list[dict[str, Any]] = []
        if self.path.exists():
            for text in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    lines.append(json.loads(text))
                except ValueError:
                    break
        return lines

    def keep(self, count: int) -> None:
        """Cut back to the first `count` lines, before a run goes on from there."""
        if self.path.exists():
            text = "".join(json.dumps(line) + "\n" for line in self.read()[:count])
            write_whole(self.path, text.encode())


@dataclass(frozen=True)
class Run:
    """One run folder."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe as it was given."""
        return self.path / "recipe.yaml"

    @property
    def resolved(self) -> Path:
        """The recipe with every default, override and choice made."""
        return self.path / "resolved.yaml"

    @property
    def checkpoints(self) -> Path:
        """Where `last`, `previous` and `best` lie."""
        return self.path / "checkpoints"

    @property
    def percentages(self) -> Path:
        """What makes the best checkpoint's percentages mean something."""
        return self.path / "percentages.json"

    @property
    def teacher(self) -> Run | None:
        """The run of the larger network that it learns from, where that was begun."""
        found = sorted(path for path in self.path.glob(f"{TEACHER}*") if is_run(path))
        return Run(found[0]) if found else None

    @property
    def begun(self) -> bool:
        """Whether training has come as far as a checkpoint."""
        return any((self.checkpoints / name).exists() for name in ("last", "previous"))

    @property
    def exports(self) -> Path:
        """Where exports lie, one folder each."""
        return self.path / "export"

    @property
    def metrics(self) -> Lines:
        """One line an epoch."""
        return Lines(self.path / "metrics.jsonl")

    @property
    def batches(self) -> Lines:
        """One line a training step."""
        return Lines(self.path / "batches.jsonl")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who writes this run, as long as the block runs; UsageError where somebody else is."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise UsageError(f"{self.path}: is being trained by another process") from error
        finally:
            os.close(folder)

    def sweep(self) -> None:
        """Remove what a killed process left unfinished in the folder itself; only for who alone writes this run."""
        sweep(self.path, FILES)

    def best(self) -> Path:
        """The checkpoint that validation chose; UnusableFile where training has not finished an epoch."""
        folder = self.checkpoints / "best"
        if not (folder / "state.json").exists():
            raise UnusableFile(f"{self.path}: has no finished checkpoint yet; `edgecnn train {self.path}` makes one")
        return folder

    def newest_export(self) -> Path:
        """The export folder written last; UnusableFile where there is none."""
        found = [folder for folder in self.exports.glob("*") if (folder / "export.json").exists()]
        if not found:
            raise UnusableFile(f"{self.path}: nothing was exported yet; `edgecnn export {self.path}` does that")
        return max(found, key=lambda folder: ((folder / "export.json").stat().st_mtime_ns, folder.name))


def new_run(name: str, recipe_text: str, resolved_text: str, root: Path = RUNS, splits: bytes | None = None) -> Run:
    """Make `root/<name>`, or `<name>-2`, `-3` ... where that exists; with both recipes in it, or not at all.

    splits: the list of the pictures' splits, where the recipe has one: a copy of it stands beside the recipes.
    """
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            path = root / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                break
            except FileExistsError:
                number += 1
    run = Run(path)
    try:
        write_whole(run.recipe, recipe_text.encode())
        if splits is not None:
            write_whole(run.path / SPLITS, splits)
        write_whole(run.resolved, resolved_text.encode())
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def is_run(path: Path) -> bool:
    """Whether a folder is a run."""
    return (path / "resolved.yaml").is_file()


def open_run(path: Path) -> Run:
    """The run in a folder; UsageError where it is none."""
    if not is_run(path):
        raise UsageError(f"{path}: is not a run folder (it has no resolved.yaml)")
    return Run(path)


def newest_run(root: Path = RUNS) -> Run:
    """The run whose checkpoint was written last; UsageError where there is none."""
    states = list(root.glob("*/checkpoints/best/state.json"))
    if not states:
        raise UsageError(
            f"{root}/ holds no run with a finished checkpoint; `edgecnn train RECIPE` makes one, or name a run"
        )
    return Run(max(states, key=lambda state: state.stat().st_mtime_ns).parents[2])

"""What can go wrong, as one tree. Only cli.py turns a branch into an exit code.

    EdgecnnError               1   a fault of edgecnn itself
    ├── UsageError             2   a flag, a name or a value that makes no sense
    │   ├── RecipeError        2   every problem of a recipe, each with its place
    │   └── MissingExtra       2   a library that is not installed, with the pip command
    ├── UnusableFile           3   a model or data file that can't be used
    ├── DeviceError            4   a device or the connection to it
    │   ├── LinkLost           4   the connection itself: not made, cut, or stalled
    │   └── Unreachable        4   something that would have been fetched from the network
    ├── OutOfResources         5   disk or memory
    ├── Diverged               6   training produced NaN or Inf
    ├── GateFailed             7   verify, a budget or a comparison passed a limit
    └── Interrupted          130   asked to stop, and stopped with everything saved (143 after SIGTERM)

A message says what happened, where, and what to do, in one sentence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


class EdgecnnError(Exception):
    """The root: anything edgecnn raises on purpose."""

    exit_code = 1


class UsageError(EdgecnnError):
    """A flag, a name or a value that makes no sense."""

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a recipe: `where` is `file:line:column`, or `--flag` for an override."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class RecipeError(UsageError):
    """A recipe that can't be used; carries every problem found, not just the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class MissingExtra(UsageError):
    """A library that the asked-for work needs is not installed."""

    def __init__(self, asked: str, library: str, extra: str, command: str | None = None) -> None:
        """command: what installs it, where that is not pip on this machine."""
        self.extra = extra
        mend = command or f"pip install 'edgecnn[{extra}]'"
        super().__init__(f"{asked} needs {library}, which is not installed: {mend}")


class UnusableFile(EdgecnnError):
    """A model or data file that is missing, damaged or not what it claims to be."""

    exit_code = 3


class DeviceError(EdgecnnError):
    """A device that does not answer, or does not do what was asked."""

    exit_code = 4


class LinkLost(DeviceError):
    """The connection to a device was not made, was cut or stalls: nothing more can be asked there."""


class Unreachable(DeviceError):
    """What was to be fetched from the network can't be reached from here."""


class OutOfResources(EdgecnnError):
    """No disk or memory left for what was asked."""

    exit_code = 5


class Diverged(EdgecnnError):
    """Training produced NaN or Inf."""

    exit_code = 6


class GateFailed(EdgecnnError):
    """A measured figure passed its limit."""

    exit_code = 7


class Interrupted(EdgecnnError):
    """Somebody asked to stop: what was done is saved, and can be gone on with."""

    exit_code = 130


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt word: `; did you mean 'epochs'?`, or the whole list where nothing is near."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""


def plural(number: int, word: str) -> str:
    """A number with what it counts: "1 picture", "1,200 pictures"."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def first_few(names: Sequence[str], count: int = 4) -> str:
    """The first of some names, and whether there are more: "cat, dog, eel, fox ..."."""
    return ", ".join(names[:count]) + (" ..." if len(names) > count else "")


def reason(error: Exception) -> str:
    """The line in which a library's exception says what is wrong: the first, or the last where OpenVINO names its own
    source files before.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[-1] if lines[0].startswith(("Exception from", "Check '")) else lines[0]


@contextlib.contextmanager
def blaming(path: Path, done: str) -> Iterator[None]:
    """Let whatever a library raises in the block be the file's fault: `<path>: can't be <done> (<why>)`.

    For files of unknown origin, with which every reader and every engine fails in ways of its own. Edgecnn's own
    errors, a library that is missing and a lack of memory stay what they are.
    """
    try:
        yield
    except (EdgecnnError, MemoryError, ModuleNotFoundError):
        raise
    except Exception as error:
        kind = f"{type(error).__name__}: " if isinstance(error, (AttributeError, LookupError)) else ""
        raise UnusableFile(f"{path}: can't be {done} ({kind}{reason(error)})") from error

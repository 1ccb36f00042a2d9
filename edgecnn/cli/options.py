"""Flags that several commands share, and the values they take."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from edgecnn.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")


@dataclass(frozen=True)
class Voice:
    """How much is said, and in which form: `json` for scripts; quiet says errors only."""

    json: bool
    quiet: bool
    verbose: bool

    def message(self, text: str) -> None:
        """A sentence on stderr, unless quiet."""
        if not self.quiet:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """A sentence on stderr, where --verbose asks for it."""
        if self.verbose:
            click.echo(text, err=True)


def voice(command: Command) -> Command:
    """Give a command `--json`, `-q`, `-v` and `--debug`, as one argument `voice`."""

    def wrapped(**values: Any) -> Any:
        values.pop("debug")
        spoken = Voice(values.pop("as_json"), values.pop("quiet"), values.pop("verbose"))
        return command(voice=spoken, **values)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("--debug", is_flag=True, help="Show tracebacks."),
        click.option("-v", "--verbose", is_flag=True, help="Say more on stderr."),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors on stderr."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


class Place(click.Path):
    """A path that is not empty: "" is a shell's variable that nobody set, and to Python the working folder."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A `Path`, or a usage error."""
        if value == "":
            self.fail("an empty name is no path; for the working folder write .", param, ctx)
        return super().convert(value, param, ctx)


class Number(click.FloatRange):
    """A finite number within a range: nan is neither below a limit nor above it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A float, or a usage error."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number", param, ctx)
        return found


PLACE = Place()

data_option = click.option(
    "--data",
    "data_dir",
    type=Place(file_okay=False),
    help="Where data sets lie (default: EDGECNN_DATA, then the user's cache).",
)
threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="CPU threads."
)


class Names(click.ParamType[tuple[str, ...]]):
    """A comma list of names; synonyms are replaced, `all` is every name."""

    name = "LIST"

    def __init__(self, known: tuple[str, ...], synonyms: dict[str, str]) -> None:
        self.known, self.synonyms = known, synonyms

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """A tuple of known names, or a usage error that lists them."""
        found = [self.synonyms.get(name.strip(), name.strip()) for name in str(value).split(",") if name.strip()]
        if "all" in found:
            return self.known
        for name in found:
            if name not in self.known:
                self.fail(f"'{name}' is none of {', '.join((*self.known, *self.synonyms, 'all'))}", param, ctx)
        return tuple(found)


class Words(click.ParamType[tuple[str, ...]]):
    """A comma list of words that the verb knows."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """A tuple of what stands between commas."""
        return tuple(word.strip() for word in str(value).split(",") if word.strip())


class Whole(click.ParamType[tuple[int, ...]]):
    """A comma list of whole numbers from 1 to 1024."""

    name = "LIST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """A tuple of numbers."""
        parts = [part.strip() for part in str(value).split(",")]
        if not all(part.isdecimal() and 1 <= int(part) <= 1024 for part in parts):
            self.fail(f"'{value}' is no list of whole numbers from 1 to 1024, such as 1,2,4", param, ctx)
        return tuple(map(int, parts))


class Numbers(click.ParamType[tuple[float, ...]]):
    """A comma list of numbers."""

    name = "R,G,B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """A tuple of floats."""
        try:
            return tuple(float(number) for number in str(value).split(","))
        except ValueError:
            self.fail(f"'{value}' is no list of numbers, such as 0.485,0.456,0.406", param, ctx)


class Size(click.ParamType[tuple[int, int]]):
    """A picture's size."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """Height and width in pixels, the same where one number is given."""
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
            self.fail(f"'{value}' is no size, such as 224 or 120x160 (height x width)", param, ctx)
        return int(parts[0]), int(parts[-1])


NUMBERS, SIZE, WHOLE, WORDS = Numbers(), Size(), Whole(), Words()
TARGETS = Names(("tflite", "onnx", "openvino"), {"litert": "tflite"})


def flattened(values: tuple[tuple[Item, ...], ...]) -> tuple[Item, ...]:
    """Comma lists given several times, as one tuple without repeats."""
    return tuple(dict.fromkeys(item for part in values for item in part))


def overrides(words: tuple[str, ...]) -> dict[str, Any]:
    """`train.epochs=5` and its like as dotted keys with YAML values; UsageError for anything else."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"'{word}' is no override; write KEY=VALUE, such as train.epochs=5")
        found[key] = yaml_value(text, word)
    return found


def yaml_value(text: str, word: str) -> Any:
    """A value as YAML reads it: 5 is a number, [a, b] a list."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise UsageError(f"'{word}': the value is not valid YAML") from error

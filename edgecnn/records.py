"""Records that are written down: frozen dataclasses, which `to_json` and `from_json` turn into JSON and back, by their
type annotations.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from edgecnn.errors import UnusableFile
from edgecnn.storage import write_whole

Record = TypeVar("Record")


def to_json(record: Any) -> Any:
    """A record (or a container of records) as what `json.dumps` takes."""
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: to_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, collections.abc.Mapping):
        return {str(key): to_json(value) for key, value in record.items()}
    if isinstance(record, list | tuple):
        return [to_json(value) for value in record]
    if isinstance(record, Path):
        return str(record)
    return record


def from_json(kind: type[Record], value: Any, where: str = "") -> Record:
    """The record of type `kind` that `value` describes.

    Raises UnusableFile, naming the key, where a value is missing or of the wrong type. Keys that `kind` does not know
    are passed over: a newer edgecnn may have added them.
    """
    hints = typing.get_type_hints(kind)
    if not isinstance(value, dict):
        raise UnusableFile(f"{where or kind.__name__}: expected an object, got {type(value).__name__}")
    arguments = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        place = f"{where}.{field.name}" if where else field.name
        if field.name in value:
            arguments[field.name] = _decode(hints[field.name], value[field.name], place)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UnusableFile(f"{place} is missing")
    return kind(**arguments)


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, parameters = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in parameters:
            return None
        (kind,) = (p for p in parameters if p is not type(None))
        return _decode(kind, value, where)
    if dataclasses.is_dataclass(kind):
        return from_json(typing.cast(type[Any], kind), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise UnusableFile(f"{where}: expected a list, got {type(value).__name__}")
        kinds = [parameters[0]] * len(value) if parameters[-1] is Ellipsis else list(parameters)
        if len(kinds) != len(value):
            raise UnusableFile(f"{where}: expected {len(kinds)} values, got {len(value)}")
        return tuple(_decode(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            raise UnusableFile(f"{where}: expected an object, got {type(value).__name__}")
        return {key: _decode(parameters[1], v, f"{where}.{key}") for key, v in value.items()}
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UnusableFile(f"{where}: expected {kind.__name__}, got {value!r}")
    return value


def write_json(path: Path, record: Any) -> None:
    """Write a record as indented JSON, whole."""
    write_whole(path, (json.dumps(to_json(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def read_json(kind: type[Record], path: Path) -> Record:
    """Read a record back; UnusableFile with the file's name when it is missing or damaged."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UnusableFile(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{path}: can't be read as JSON ({error})") from error
    try:
        return from_json(kind, value)
    except UnusableFile as error:
        raise UnusableFile(f"{path}: {error}") from error

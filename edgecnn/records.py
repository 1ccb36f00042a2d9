"""Records that are written down, and writing itself: whole or not at all.

A record is a frozen dataclass; `to_json` and `from_json` turn it into JSON and back, by its type annotations. A file is
written to a temporary name in the same folder, synced, and renamed; a folder likewise (`whole_folder`).
"""

from __future__ import annotations

import collections.abc
import dataclasses
import errno
import hashlib
import json
import os
import shutil
import tempfile
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from edgecnn.errors import OutOfResources, UnusableFile, UsageError

Record = TypeVar("Record")


# --- writing whole ---------------------------------------------------------------------------------------------------


FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""The place is what's wrong: not the user's, read-only, or a file where a folder should be."""


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Map what the file system refuses to one sentence: a full disk is exit 5, a forbidden place exit 2."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfResources(f"{path}: the disk is full; free some space and run it again") from error
        if error.errno in FORBIDDEN:
            raise UsageError(f"{path}: can't be written ({error.strerror}); choose another folder") from error
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under `path` when the block ends well, replacing what was there; else it leaves nothing."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            os.chmod(made, 0o755)  # noqa: S103 - mkdtemp makes it private; a run folder is read by others too
            yield made
            for file in made.rglob("*"):
                if file.is_file():
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
            _replace_folder(made, path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
        sync_folder(path.parent)


def _replace_folder(made: Path, path: Path) -> None:
    """Put a folder in the place of another, which comes back where an error or a signal comes between."""
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    old = aside / path.name
    try:
        if path.exists():
            os.replace(path, old)
        os.replace(made, path)
        shutil.rmtree(aside)
    except BaseException:
        if old.exists() and not path.exists():
            os.rename(old, path)
        shutil.rmtree(aside, ignore_errors=True)
        raise


def sync_folder(path: Path) -> None:
    """Make a rename in `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(content: bytes) -> str:
    """The hexadecimal SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """The hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# --- dataclass <-> JSON ----------------------------------------------------------------------------------------------


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

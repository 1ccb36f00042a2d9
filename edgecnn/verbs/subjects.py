"""What a person names for a measurement -> model files."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgecnn import run as runs
from edgecnn.edge.artifact import MANIFEST, check_files, read_manifest
from edgecnn.edge.runtimes import COMPANIONS, format_of
from edgecnn.errors import UnusableFile
from edgecnn.measuring.subject import Subject
from edgecnn.records import read_json
from edgecnn.storage import sha256_file
from edgecnn.verbs.folders import find_export, read_export


@dataclass(frozen=True)
class _Certified:
    """What is read of a certificate here."""

    accuracy: Mapping[str, float] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


def find_subjects(given: Sequence[str | Path | None], message: Callable[[str], None]) -> tuple[Subject, ...]:
    """The model files of runs, exports, artifacts, packaged models or files of any origin; each file once.

    None is the newest run. Raises UsageError where a name means nothing, UnusableFile where files are damaged.
    """
    found = {subject.path.resolve(): subject for name in given for subject in _subjects(name, message)}
    return _distinct(tuple(found.values()))


def run_of(path: Path) -> Path | None:
    """The run folder that a file is in, or None."""
    return next((folder for folder in path.absolute().parents if runs.is_run(folder)), None)


def _subjects(given: str | Path | None, message: Callable[[str], None]) -> list[Subject]:
    path = Path(given) if given is not None else None
    if path is not None and path.is_file():
        manifest = path.parent / MANIFEST
        ours = manifest.is_file() and read_manifest(path.parent).model == path.name
        return [_artifact(path.parent, _certified(path.parent.parent, message)) if ours else _foreign(path)]
    if path is not None and (path / MANIFEST).is_file():
        return [_artifact(path, _certified(path.parent, message))]
    folder = find_export(given)
    about = read_export(folder)
    certified = _certified(folder, message)
    return [_artifact(folder / name, certified) for name in about.artifacts]


def _artifact(folder: Path, certified: _Certified) -> Subject:
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    known = certified.hashes.get(f"{folder.name}/{manifest.model}") == manifest.sha256
    hashes = {manifest.model: manifest.sha256, **manifest.companions}
    return Subject(
        manifest.name,
        manifest.target,
        manifest.precision,
        folder / manifest.model,
        hashes,
        sum((folder / name).stat().st_size for name in hashes),
        certified.accuracy.get(folder.name) if known else None,
    )


def _foreign(path: Path) -> Subject:
    files = files_of(path)
    try:
        hashes = {file.name: sha256_file(file) for file in files}
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    return Subject(path.name, format_of(path), None, path, hashes, sum(file.stat().st_size for file in files))


def files_of(path: Path) -> list[Path]:
    """A model file and those that belong to it."""
    companions = [path.with_suffix(suffix) for suffix in COMPANIONS.get(path.suffix.lower(), ())]
    return [path, *(companion for companion in companions if companion.is_file())]


def _certified(export: Path, message: Callable[[str], None]) -> _Certified:
    path = export / "certificate.json"
    if not path.is_file():
        return _Certified()
    try:
        return read_json(_Certified, path)
    except UnusableFile as error:
        message(f"note: no accuracies: {error}")
        return _Certified()


def _distinct(subjects: tuple[Subject, ...]) -> tuple[Subject, ...]:
    """Names under which no two subjects of a target and precision are the same: with their folders, where need be."""
    counted = Counter((subject.name, subject.target, subject.precision) for subject in subjects)
    return tuple(
        dataclasses.replace(subject, name=str(subject.path.parent if subject.precision else subject.path))
        if counted[subject.name, subject.target, subject.precision] > 1
        else subject
        for subject in subjects
    )

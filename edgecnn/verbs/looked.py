"""Looking at pictures for `edgecnn new`: how they are split, or are to be, and what is alike among them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edgecnn.data import SPLITS, DataSpec, Pictures
from edgecnn.data.duplicates import APART, NearDuplicate, near_duplicates
from edgecnn.data.files import Progress
from edgecnn.data.folders import ClassFolders
from edgecnn.data.groups import connected, divided
from edgecnn.data.listed import BACKGROUND, Row
from edgecnn.data.shares import FEWEST, Shares, share_out
from edgecnn.data.shots import bursts
from edgecnn.data.survey import Survey, joined, look_through
from edgecnn.data.unsplit import is_split, read_background, read_unsplit
from edgecnn.errors import UnusableFile, UsageError, plural

SELDOM = 10
"""A class is seldom seen that has so many times fewer training pictures than the one that has the most."""
VAL_FRACTION = 0.1
"""What a recipe holds out of train/ where there is no val/, unless it says otherwise."""


@dataclass(frozen=True)
class Burst:
    """Shots of one camera within moments, and the splits that have them: one, unless the folder was split already."""

    splits: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Looked:
    """What was seen and how it is split; duplicates: those that people should hear of."""

    labels: tuple[str, ...]
    survey: Survey
    shares: Shares
    duplicates: tuple[NearDuplicate, ...]
    notes: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """How many pictures of each class each split has."""
        given = Counter(zip(self.survey.files.classes.tolist(), self.shares.splits, strict=True))
        return {label: {split: given[number, split] for split in SPLITS} for number, label in enumerate(self.labels)}

    def rows(self, elsewhere: bool) -> list[Row]:
        """The list; with the background's pictures `elsewhere`, their paths are those below its folder."""
        groups = {place: str(number) for number, group in enumerate(self.shares.groups, 1) for place in group}
        files = self.survey.files
        rows = []
        for place, (name, number, split) in enumerate(zip(files.names, files.classes, self.shares.splits, strict=True)):
            label = self.labels[number]
            path = name.removeprefix(f"{BACKGROUND}/") if elsewhere and label == BACKGROUND else name
            rows.append(Row(path, label, split, groups.get(place, "")))
        return rows

    def bursts(self) -> tuple[Burst, ...]:
        """Those of two shots and more, by the first one's name."""
        names, splits = self.survey.files.names, self.shares.splits
        found = [group for group in connected(len(names), self.shares.bursts) if len(group) > 1]
        return tuple(
            Burst(tuple(dict.fromkeys(splits[place] for place in group)), tuple(names[place] for place in group))
            for group in found
        )


def look(root: Path, background: Path | None, progress: Progress) -> Looked:
    """Look at a folder of pictures that is split already, or split it. Raises UnusableFile, UsageError."""
    looked = _as_split(root, background, progress) if is_split(root) else _shared(root, background, progress)
    return dataclasses.replace(looked, notes=(*looked.notes, *_seldom(looked.counts())))


def _seldom(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """A note of the classes that have few pictures to learn from, by themselves or beside the others."""
    trained = {label: of["train"] for label, of in counts.items()}
    most = max(trained, key=lambda label: trained[label])
    few = [f"{label} {count}" for label, count in trained.items() if count < max(FEWEST, trained[most] / SELDOM)]
    if few:
        yield (
            f"few pictures to learn from: {', '.join(few)} (the most: {most} {trained[most]:,}); what is seldom seen "
            "is seldom answered: add some"
        )


def _shared(root: Path, background: Path | None, progress: Progress) -> Looked:
    """Class folders without splits."""
    unsplit = read_unsplit(root, background)
    survey = look_through(unsplit.files, progress)
    shares = _share_out(survey, unsplit.labels, unsplit.others)
    duplicates = []
    for pair in shares.pairs:
        a, b = (
            (shares.splits[place], survey.files.names[place], unsplit.labels[survey.files.classes[place]])
            for place in (pair.a, pair.b)
        )
        duplicates.append(NearDuplicate(*a, *b, pair.mirrored, pair.distance))
    notes = list(unsplit.notes)
    if shares.limit < APART:
        notes.append(
            f"most pictures of a class are alike, as from a camera that stands still: only those within "
            f"{shares.limit:.2f} of each other were kept on one side; pictures taken elsewhere would be a better test"
        )
    if shares.bursts != tuple(bursts([seen.shots for seen in survey.seen])):
        notes.append(
            f"most pictures are of one long burst, which was cut every {shares.longest_s:.0f} s: pictures on both "
            "sides of a cut are alike, and accuracies come out a little high; record at several times and places"
        )
    return Looked(unsplit.labels, survey, shares, tuple(duplicates), tuple(notes))


def _share_out(survey: Survey, labels: tuple[str, ...], others: str = "") -> Shares:
    """As share_out; where that fails, broken pictures may be why, or `others`: what is said of files of other types."""
    try:
        return share_out(survey, labels)
    except UnusableFile as error:
        also = [others] if others else []
        if survey.broken:
            first = survey.broken[0]
            also.append(
                f"{plural(len(survey.broken), 'other')} can't be read, the first of them {first.name}: {first.reason}"
            )
        if not also:
            raise
        raise UnusableFile("; ".join([str(error), *also])) from error


def _as_split(root: Path, background: Path | None, progress: Progress) -> Looked:
    """Class folders with splits, which are kept; only those of a background are drawn."""
    dataset = ClassFolders(DataSpec(None, str(root), VAL_FRACTION, 32, 32, "crop"), None)
    measured = (root / "test").is_dir()  # else val/ is, once more
    if background is not None and not measured:
        raise UsageError(f"{root} has no test/, and --background needs one; or give class folders without splits")
    others = None if background is None else read_background(background, root, dataset.labels)
    given = {split: dataset.files(split) for split in SPLITS if dataset.has(split) and (measured or split != "test")}
    labels = tuple(sorted({*dataset.labels, *([BACKGROUND] if others else [])}))
    surveys = [_relabelled(look_through(files, progress), dataset.labels, labels) for files in given.values()]
    splits = [split for split, survey in zip(given, surveys, strict=True) for _ in survey.seen]
    if others is not None:
        survey = look_through(others, progress)
        splits += _share_out(survey, (BACKGROUND,)).splits
        surveys.append(_relabelled(survey, (BACKGROUND,), labels))
    survey = joined(surveys)
    by_split = {split: _thumbnails(survey, splits, split) for split in SPLITS if split in splits}
    notes = dataset.notes
    if not dataset.has("test"):
        notes = (*notes, f"{root} has no test/: `edgecnn verify` wants pictures that neither train/ nor val/ has")
    parted = divided(connected(len(splits), bursts([seen.shots for seen in survey.seen])), splits)
    chains = tuple(pair for group in parted for pair in pairwise(group))
    shares = Shares(tuple(splits), (), (), chains, APART)
    return Looked(labels, survey, shares, near_duplicates(by_split, labels), notes)


def _relabelled(survey: Survey, labels: tuple[str, ...], among: tuple[str, ...]) -> Survey:
    """The survey with its classes' places among more labels."""
    places = np.array([among.index(label) for label in labels], np.int64)
    files = dataclasses.replace(survey.files, classes=places[survey.files.classes])
    return dataclasses.replace(survey, files=files)


def _thumbnails(survey: Survey, splits: Sequence[str], split: str) -> Pictures:
    places = np.flatnonzero(np.array(splits) == split)
    return Pictures(survey.thumbnails, survey.files.classes, survey.files.names).take(places)

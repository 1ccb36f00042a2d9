"""`edgecnn new`: look at a folder of pictures, split them, and write a recipe that fits.

No picture is moved, copied or changed. It opens all of them, those that become the test split too, and chooses by
sizes, times and likeness: nothing that a model could learn from.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data import SPLITS, DataSpec
from edgecnn.data.duplicates import APART, NearDuplicate, near_duplicates
from edgecnn.data.folders import ClassFolders
from edgecnn.data.groups import connected
from edgecnn.data.listed import BACKGROUND, Row, write_rows
from edgecnn.data.pictures import Broken
from edgecnn.data.pictures import Pictures as Decoded
from edgecnn.data.shares import Shares, share_out
from edgecnn.data.survey import Survey, joined, look_through
from edgecnn.data.unsplit import is_split, read_background, read_unsplit
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.records import write_whole
from edgecnn.verbs.fitted import Pictures, Places, fit, recipe_text

Message = Callable[[str], None]

VAL_FRACTION = 0.1
"""What a recipe holds out of train/ where there is no val/, unless it says otherwise."""


@dataclass(frozen=True)
class Burst:
    """Shots of one camera within moments; `split` has them all."""

    split: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class NewRecord:
    """What was written, and what was seen. classes: of each the pictures of each split, without those that are broken.

    duplicates: near-duplicates, in one split; in two where the folder was split already, which is not honest then.
    `limit` is the distance up to which they were kept together. next: the commands that follow.
    """

    recipe: Path
    splits: Path | None
    classes: dict[str, dict[str, int]]
    broken: tuple[Broken, ...]
    duplicates: tuple[NearDuplicate, ...]
    bursts: tuple[Burst, ...]
    limit: float
    size: tuple[int, int]
    resize: str
    notes: tuple[str, ...]
    next: tuple[str, ...]
    schema: str = "edgecnn.new/1"


def new(
    folder: Path | str,
    *,
    out: Path | str | None = None,
    background: Path | str | None = None,
    force: bool = False,
    message: Message = lambda text: None,
) -> NewRecord:
    """Write a recipe for a folder of pictures: `out`, or <folder's name>.yaml in the working folder.

    The folder holds <class>/ with the pictures at any depth: they are split, and the list of it is written beside the
    recipe (<name>.splits.csv). Or it holds train/<class>/, perhaps val/ and test/: that is kept. `background` is a
    folder of pictures that show none of the classes; they become one. What exists is replaced with `force` only.
    Raises UnusableFile (no pictures, too few, too alike), UsageError, OutOfResources.
    """
    root, others = Path(folder), None if background is None else Path(background)
    if not root.is_dir():
        raise UnusableFile(f"{folder}: there is no such folder; it holds a folder of pictures for each class")
    kept = is_split(root)
    recipe = _recipe_path(root, out)
    listed = None if kept and others is None else recipe.with_name(f"{recipe.stem}.splits.csv")
    for path in (recipe, listed):
        if path is not None and path.exists() and not force:
            raise UsageError(f"{path}: exists already; choose another --out, or replace it with --force")
    looked = _looked_as_split(root, others, message) if kept else _looked_and_shared(root, others, message)
    sides = np.array([(seen.height, seen.width) for seen in looked.survey.seen], np.int64)
    counts = {split: looked.shares.splits.count(split) for split in SPLITS}
    pictures = Pictures(looked.labels, sides, counts)
    fitted = fit(pictures)
    places = Places(
        _named_from(recipe.parent, root),
        listed.name if listed else None,
        _named_from(recipe.parent, others) if others else None,
        skip_broken=listed is None and bool(looked.survey.broken),
    )
    text = recipe_text(_name(recipe.stem), places, pictures, fitted)
    if listed is not None:
        write_rows(listed, looked.rows(others is not None))
    write_whole(recipe, text.encode())
    return NewRecord(
        recipe,
        listed,
        looked.counts(),
        looked.survey.broken,
        looked.duplicates,
        looked.bursts(),
        looked.shares.limit,
        (fitted.way.size, fitted.way.size),
        fitted.resize,
        looked.notes,
        _next(recipe),
    )


@dataclass(frozen=True)
class _Looked:
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
        found = connected(len(names), self.shares.bursts)
        return tuple(
            Burst(splits[group[0]], tuple(names[place] for place in group)) for group in found if len(group) > 1
        )


def _looked_and_shared(root: Path, background: Path | None, message: Message) -> _Looked:
    """Class folders without splits."""
    unsplit = read_unsplit(root, background)
    message(f"looking at {len(unsplit.files):,} pictures of {len(unsplit.labels)} classes")
    survey = look_through(unsplit.files)
    shares = _share_out(survey, unsplit.labels)
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
    return _Looked(unsplit.labels, survey, shares, tuple(duplicates), tuple(notes))


def _share_out(survey: Survey, labels: tuple[str, ...]) -> Shares:
    """As share_out; where that fails, broken pictures may be why."""
    try:
        return share_out(survey, labels)
    except UnusableFile as error:
        if not survey.broken:
            raise
        first = survey.broken[0]
        raise UnusableFile(
            f"{error}; {len(survey.broken)} others can't be read, the first of them {first.name}: {first.reason}"
        ) from error


def _looked_as_split(root: Path, background: Path | None, message: Message) -> _Looked:
    """Class folders with splits, which are kept; only those of a background are drawn."""
    dataset = ClassFolders(DataSpec(None, str(root), VAL_FRACTION, 32, 32, "crop"), None)
    given = {split: dataset.files(split) for split in SPLITS if dataset.has(split)}
    if (root / "val").is_dir() and not (root / "test").is_dir():
        del given["test"]  # val once more
    message(f"looking at {sum(map(len, given.values())):,} pictures of {len(dataset.labels)} classes")
    surveys = {split: look_through(files) for split, files in given.items()}
    looked = [(dataset.labels, survey, (split,) * len(survey.seen)) for split, survey in surveys.items()]
    notes = dataset.notes
    if background is not None:
        if "test" not in given:
            raise UsageError(f"{root} has no test/, and --background needs one; or give class folders without splits")
        others = read_background(background, root, set(dataset.labels))
        survey = look_through(others)
        looked.append(((BACKGROUND,), survey, _share_out(survey, (BACKGROUND,)).splits))
    labels = tuple(sorted({label for of_part, _, _ in looked for label in of_part}))
    survey = joined([_relabelled(survey, of_part, labels) for of_part, survey, _ in looked])
    splits = tuple(split for _, _, part in looked for split in part)
    duplicates = near_duplicates(
        {split: _thumbnails(survey, splits, split) for split in SPLITS if split in splits}, labels
    )
    if "test" not in given:
        notes = (*notes, f"{root} has no test/: `edgecnn verify` wants pictures that neither train/ nor val/ has")
    return _Looked(labels, survey, Shares(splits, (), (), (), APART), duplicates, notes)


def _relabelled(survey: Survey, labels: tuple[str, ...], among: tuple[str, ...]) -> Survey:
    """The survey with its classes' places among more labels."""
    places = np.array([among.index(label) for label in labels], np.int64)
    files = dataclasses.replace(survey.files, classes=places[survey.files.classes])
    return dataclasses.replace(survey, files=files)


def _thumbnails(survey: Survey, splits: tuple[str, ...], split: str) -> Decoded:
    places = np.flatnonzero(np.array(splits) == split)
    return Decoded(survey.thumbnails, survey.files.classes, survey.files.names).take(places)


def _recipe_path(root: Path, out: Path | str | None) -> Path:
    """Where the recipe goes."""
    path = Path(f"{_name(root.resolve().name)}.yaml") if out is None else Path(out)
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path}: a recipe's name ends in .yaml, such as --out {path.with_suffix('.yaml')}")
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the recipe another name with --out")
    return path


def _name(text: str) -> str:
    """A recipe's name by a folder's: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-._") or "pictures"


def _named_from(recipe_folder: Path, folder: Path) -> str:
    """How a recipe names a folder: relative to itself where it lies below, so that both can be moved; else absolute."""
    inside, whole = recipe_folder.resolve(), folder.resolve()
    named = str(whole.relative_to(inside)) if whole.is_relative_to(inside) else str(whole)
    if named.isprintable():
        return named
    raise UsageError(f"{folder!s:.200}: its name can't stand in a recipe, for it is no plain text; rename the folder")


def _next(recipe: Path) -> tuple[str, ...]:
    """What a person does then."""
    return (f"edgecnn train {shlex.quote(str(recipe))}", "edgecnn export --int8", "edgecnn verify", "edgecnn camera")

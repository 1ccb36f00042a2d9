"""`edgecnn new`: look at a folder of pictures, split them, and write a recipe that fits.

No picture is moved, copied or changed. It opens all of them, those that become the test split too, and chooses by
sizes, times and likeness: nothing that a model could learn from.
"""

from __future__ import annotations

import os
import re
import shlex
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data import SPLITS
from edgecnn.data.duplicates import NearDuplicate
from edgecnn.data.files import Progress
from edgecnn.data.listed import write_rows
from edgecnn.data.pictures import Broken
from edgecnn.data.unsplit import is_split
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.storage import write_whole
from edgecnn.verbs.fitted import Pictures, Places, fit, recipe_text
from edgecnn.verbs.looked import Burst, Looked, look


@dataclass(frozen=True)
class NewRecord:
    """What was written, and what was seen. classes: of each the pictures of each split, without those that are broken.

    duplicates: near-duplicates, in one split; where the folder was split already, those in two, and likewise bursts:
    accuracies come out too high by them. `limit` is the distance up to which pictures are near-duplicates. next: the
    commands that follow.
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
    progress: Progress = lambda done, total: None,
) -> NewRecord:
    """Write a recipe for a folder of pictures: `out`, or <folder's name>.yaml in the working folder.

    The folder holds <class>/ with the pictures at any depth: they are split, and the list of it is written beside the
    recipe (<name>.splits.csv). Or it holds train/<class>/, perhaps val/ and test/: that is kept. `background` is a
    folder of pictures that show none of the classes; they become one. What exists is replaced with `force` only;
    `progress(pictures so far, pictures in all)` hears of it. Raises UnusableFile (no pictures, too few, too alike),
    UsageError, OutOfResources.
    """
    root, others = Path(folder), None if background is None else Path(background)
    if not os.path.isdir(root):  # False too where its name is no name or may not be looked at
        raise UnusableFile(f"{folder}: there is no such folder; it holds a folder of pictures for each class")
    recipe = _recipe_path(root, out)
    listed = recipe.with_name(f"{recipe.stem}.splits.csv") if others or not is_split(root) else None
    for path in (recipe, listed):
        if path is not None and path.exists() and not force:
            raise UsageError(f"{path}: exists already; choose another --out, or replace it with --force")
    looked = look(root, others, progress)
    pictures = _pictures(looked)
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


def _pictures(looked: Looked) -> Pictures:
    """What the choice of a size and of a training is made by."""
    sides = np.array([(seen.height, seen.width) for seen in looked.survey.seen], np.int64)
    return Pictures(looked.labels, sides, {split: looked.shares.splits.count(split) for split in SPLITS})


def _recipe_path(root: Path, out: Path | str | None) -> Path:
    """Where the recipe goes."""
    path = Path(f"{_name(root.resolve().name)}.yaml") if out is None else Path(out)
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the recipe another name with --out")
    if path.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{path}: a recipe's name ends in .yaml, such as --out {path.with_suffix('.yaml')}")
    return path


def _name(text: str) -> str:
    """A recipe's name by a folder's: letters without their accents, digits, dots, dashes and underscores."""
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", bare).strip("-._") or "pictures"


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

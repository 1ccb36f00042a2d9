"""Records for people: tables and plain sentences on stdout; or for scripts: one JSON document."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from edgecnn.cli.options import Voice
from edgecnn.data.duplicates import NearDuplicate
from edgecnn.errors import plural
from edgecnn.records import to_json
from edgecnn.verbs.data import ALL, DataCheck, DataGet, DataList
from edgecnn.verbs.doctor import DoctorRecord

Record = TypeVar("Record")

SHOWN = 10  # near-duplicates that are listed for people


def answer(voice: Voice, record: Record, show: Callable[[Console, Record], None]) -> None:
    """Print a record: as JSON where that was asked for, else as `show` does."""
    if voice.json:
        print(json.dumps(to_json(record), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False, markup=False, emoji=False)  # labels and paths are printed as they are
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=120)
    show(console, record)


def heading(console: Console, text: str) -> None:
    """A line above a table; a table's own title would be folded to the table's width."""
    console.print(text, style="bold", soft_wrap=True, markup=False)


def table(*columns: str, left: int = 1) -> Table:
    """A plain table whose first `left` columns are words and whose others are figures."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i < left else "right", overflow="fold")
    return made


def rows(made: Table, lines: Sequence[Sequence[str]]) -> Table:
    """Fill a table."""
    for line in lines:
        made.add_row(*line)
    return made


def percent(share: float) -> str:
    """A share of 1 as percent with two decimals."""
    return f"{100 * share:.2f} %"


def size(count: int) -> str:
    """Bytes as KiB or MiB."""
    return f"{count / 1024:,.1f} KiB" if count < 2**20 else f"{count / 2**20:,.2f} MiB"


def sources(console: Console, record: DataList) -> None:
    """`data list`."""
    lines = [(row.name, row.folder or f"not here: edgecnn data get {row.name}", row.summary) for row in record.sources]
    console.print(rows(table("source", "where", "what", left=3), lines))


def got(console: Console, record: DataGet) -> None:
    """`data get`."""
    console.print(f"{record.source} is in {record.folder}" + ("" if record.downloaded else ", it was there already"))


def checked(console: Console, record: DataCheck) -> None:
    """`data check`."""
    splits = [found.split for found in record.splits]
    lines = [(label, *(f"{found.per_class.get(label, 0):,}" for found in record.splits)) for label in record.labels]
    total = ("in all", *(f"{found.n:,}" for found in record.splits))
    heading(console, record.data)
    console.print(rows(table("class", *splits), [*lines, total]))
    for note in record.notes:
        console.print(f"note: {note}", soft_wrap=True)
    for broken in record.broken:
        console.print(f"broken: {broken.name}: {broken.reason}", soft_wrap=True)
    if splits == [ALL]:
        console.print("nobody has split it: `edgecnn new` does, and keeps near-duplicates on one side", soft_wrap=True)
    else:
        _doubled(console, record.near_duplicates)
    console.print(
        "every picture can be read" if not record.broken else f"{plural(len(record.broken), 'picture')} can't be used"
    )


def _doubled(console: Console, pairs: Sequence[NearDuplicate]) -> None:
    """How many near-duplicates there are between which splits, and the first ten."""
    if not pairs:
        console.print("no near-duplicates across splits")
        return
    between = Counter((pair.split_a, pair.split_b) for pair in pairs)
    counts = ", ".join(f"{a}/{b} {count:,}" for (a, b), count in between.items())
    apart = sum(pair.label_a != pair.label_b for pair in pairs)
    classes = f", {apart:,} of them with different classes" if apart else ""
    heading(console, f"{plural(len(pairs), 'near-duplicate')} across splits: {counts}{classes}")
    for pair in pairs[:SHOWN]:
        classes = f"; different classes: {pair.label_a} and {pair.label_b}" if pair.label_a != pair.label_b else ""
        mirrored = ", mirrored" if pair.mirrored else ""
        names = f"{pair.split_a} {pair.name_a} ~ {pair.split_b} {pair.name_b}"
        console.print(f"{names}, {pair.distance:.2f} apart{mirrored}{classes}", soft_wrap=True)
    if len(pairs) > SHOWN:
        console.print(f"and {len(pairs) - SHOWN:,} more: --json lists them all")


def doctored(console: Console, record: DoctorRecord) -> None:
    """`doctor`."""
    sets = " ".join(record.instruction_sets) or "no telling instruction sets"
    console.print(f"edgecnn {record.edgecnn}, Python {record.python}, {record.architecture} ({sets})")
    lines = [
        (
            feature.extra,
            feature.purpose,
            ", ".join(f"{name} {version}" for name, version in feature.installed.items()),
            ", ".join(feature.missing) or "nothing",
        )
        for feature in record.features
    ]
    console.print(rows(table("extra", "for", "installed", "missing", left=4), lines))
    for feature in record.features:
        if feature.command:
            console.print(f"for {feature.purpose}: {feature.command}", markup=False)
    for note in record.notes:
        console.print(note, markup=False)

"""What `new` prints: the classes and their splits, what was found in the pictures, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from edgecnn.cli.show import heading, rows, table
from edgecnn.data.duplicates import APART, NearDuplicate
from edgecnn.data.pictures import SPLITS
from edgecnn.errors import plural
from edgecnn.verbs.looked import Burst
from edgecnn.verbs.new import NewRecord

SHOWN = 5
"""Near-duplicates and bursts that are listed for people."""


def made(console: Console, record: NewRecord) -> None:
    """`new`."""
    lines = [(label, *(f"{counts[split]:,}" for split in SPLITS)) for label, counts in record.classes.items()]
    sums = [sum(counts[split] for counts in record.classes.values()) for split in SPLITS]
    console.print(rows(table("class", *SPLITS), [*lines, ("in all", *(f"{count:,}" for count in sums))]))
    for note in record.notes:
        _line(console, f"note: {note}")
    for broken in record.broken:
        _line(console, f"broken, left out: {broken.name}: {broken.reason}")
    _duplicates(console, record.duplicates, doubtful=record.limit >= APART)
    _bursts(console, record.bursts)
    written = f"{record.recipe} and {record.splits}" if record.splits else str(record.recipe)
    _line(console, f"wrote {written}: {record.size[1]}x{record.size[0]} pixels, {record.resize}; each line says why")
    heading(console, "next:")
    for command in record.next:
        _line(console, f"  {command}")


def _duplicates(console: Console, pairs: Sequence[NearDuplicate], doubtful: bool) -> None:
    """`doubtful`: pictures of two classes are hardly alike by chance; before a camera that stands still they are."""
    across = sum(pair.split_a != pair.split_b for pair in pairs)
    apart = sum(pair.label_a != pair.label_b for pair in pairs)
    if not pairs:
        _line(console, "no near-duplicates")
        return
    where = f"{across:,} of them in two splits: accuracies come out too high" if across else "each pair in one split"
    classes = f"; {apart:,} with two classes{', of which one may be wrong' if doubtful else ''}" if apart else ""
    _line(console, f"{plural(len(pairs), 'near-duplicate')}, {where}{classes}")
    for pair in sorted(pairs, key=lambda pair: (pair.label_a == pair.label_b, pair.distance))[:SHOWN]:
        mirrored = ", mirrored" if pair.mirrored else ""
        _line(console, f"  {pair.name_a} ~ {pair.name_b}, {pair.distance:.2f} apart{mirrored}")
    _more(console, len(pairs))


def _bursts(console: Console, bursts: Sequence[Burst]) -> None:
    if not bursts:
        return
    shots = sum(len(burst.names) for burst in bursts)
    parted = any(len(burst.splits) > 1 for burst in bursts)
    where = "in more than one split: accuracies come out too high" if parted else "each in one split"
    _line(console, f"{plural(len(bursts), 'burst')} of {shots:,} shots in all, {where}")
    for burst in sorted(bursts, key=lambda burst: -len(burst.names))[:SHOWN]:
        _line(
            console, f"  {len(burst.names)} shots in {', '.join(burst.splits)}: {burst.names[0]} ... {burst.names[-1]}"
        )
    _more(console, len(bursts))


def _more(console: Console, count: int) -> None:
    if count > SHOWN:
        _line(console, f"  and {count - SHOWN:,} more: --json lists them all")


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)

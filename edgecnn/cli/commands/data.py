"""`edgecnn data`."""

from __future__ import annotations

from pathlib import Path

import click

from edgecnn.cli.options import Voice, data_option, voice


@click.group()
def data() -> None:
    """Data sets: which there are, getting one, looking through pictures."""


@data.command("list")
@data_option
@voice
def data_list(data_dir: Path | None, voice: Voice) -> None:
    """The registered data sets and where they lie."""
    from edgecnn.cli import show
    from edgecnn.verbs.data import list_sources

    show.answer(voice, list_sources(data_dir), show.sources)


@data.command("get")
@click.argument("name")
@data_option
@voice
def data_get(name: str, data_dir: Path | None, voice: Voice) -> None:
    """Download a data set and check its checksum."""
    from edgecnn.cli import show
    from edgecnn.cli.progress import download
    from edgecnn.verbs.data import get

    with download(voice, name) as progress:
        record = get(name, data_dir, progress)
    show.answer(voice, record, show.got)


@data.command("check")
@click.argument("source", metavar="SOURCE|FOLDER|RECIPE")
@data_option
@voice
def data_check(source: str, data_dir: Path | None, voice: Voice) -> None:
    """Count the pictures of each class, name every one that can't be read (exit code 3), find near-duplicates.

    Near-duplicates are pictures of one split that are in another too: encoded anew, resized, brightened or mirrored.
    They make accuracies come out too high. It says which, and leaves with exit code 0: what to do is yours to choose.
    Where there is no val/, val is what training holds out by default (data.val_fraction=0.1). A folder that nobody
    split is looked through as one.

    All splits are read, test too; nothing is chosen by what is seen there.
    """
    from edgecnn.cli import show
    from edgecnn.errors import UnusableFile, plural
    from edgecnn.verbs.data import check, spec_of

    record = check(spec_of(source), data_dir)
    show.answer(voice, record, show.checked)
    if record.broken:
        raise UnusableFile(
            f"{source}: {plural(len(record.broken), 'picture')} can't be used; mend or remove what is broken"
        )

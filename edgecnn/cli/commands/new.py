"""`edgecnn new`."""

from __future__ import annotations

from pathlib import Path

import click

from edgecnn.cli.options import PLACE, Voice, voice


@click.command()
@click.argument("folder", type=PLACE)
@click.option("--out", metavar="NAME.yaml", type=PLACE, help="The recipe (default: FOLDER.yaml).")
@click.option(
    "--background",
    metavar="DIR",
    type=PLACE,
    help="Pictures of none of the classes, learnt as the class 'background'.",
)
@click.option("--force", is_flag=True, help="Replace the recipe and its list where they exist.")
@voice
def new(folder: Path, out: Path | None, background: Path | None, force: bool, voice: Voice) -> None:
    """Look at FOLDER's pictures, split them, and write a recipe that fits.

    FOLDER holds a folder of pictures for each class (photos/cat/*.jpg). They are put into train, val and test by a list
    beside the recipe, so that near-duplicates and bursts (the same camera within two seconds) fall on one side; no
    picture is moved or copied. A FOLDER that has train/ and val/ or test/ is taken as it is.
    """
    from edgecnn.cli import show, show_new
    from edgecnn.cli.progress import counted
    from edgecnn.verbs.new import new as verb

    with counted(voice, "looking at pictures") as progress:
        record = verb(folder, out=out, background=background, force=force, progress=progress)
    show.answer(voice, record, show_new.made)

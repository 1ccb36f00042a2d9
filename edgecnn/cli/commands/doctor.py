"""`edgecnn doctor`."""

from __future__ import annotations

import click

from edgecnn.cli.options import Voice, voice


@click.command()
@voice
def doctor(voice: Voice) -> None:
    """What is installed, what is missing, and the command that mends it."""
    from edgecnn.cli import show
    from edgecnn.verbs.doctor import doctor as verb

    show.answer(voice, verb(), show.doctored)

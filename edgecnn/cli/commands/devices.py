"""`edgecnn devices`."""

from __future__ import annotations

import click

from edgecnn.cli.options import Voice, voice


@click.group()
def devices() -> None:
    """Profiles of the devices that models are made for."""


@devices.command("list")
@voice
def devices_list(voice: Voice) -> None:
    """The profiles there are."""
    from edgecnn.cli import show
    from edgecnn.verbs.devices import list_devices

    show.answer(voice, list_devices(), show.devices)


@devices.command("show")
@click.argument("name")
@voice
def devices_show(name: str, voice: Voice) -> None:
    """One profile: cores, instruction sets, peak rates with their sources."""
    from edgecnn.cli import show
    from edgecnn.verbs.devices import show_device

    show.answer(voice, show_device(name), show.device)

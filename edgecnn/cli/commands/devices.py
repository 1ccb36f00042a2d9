"""`edgecnn devices`."""

from __future__ import annotations

import click

from edgecnn.cli.options import Voice, voice


@click.group()
def devices() -> None:
    """The devices that models are made for: their profiles, and what they need."""


@devices.command("list")
@voice
def devices_list(voice: Voice) -> None:
    """The profiles there are."""
    from edgecnn.cli import show, show_devices
    from edgecnn.verbs.devices import list_devices

    show.answer(voice, list_devices(), show_devices.devices)


@devices.command("show")
@click.argument("name")
@voice
def devices_show(name: str, voice: Voice) -> None:
    """One profile: cores, instruction sets, peak rates with their sources."""
    from edgecnn.cli import show, show_devices
    from edgecnn.verbs.devices import show_device

    show.answer(voice, show_device(name), show_devices.device)


@devices.command("probe")
@click.argument("name")
@voice
def devices_probe(name: str, voice: Voice) -> None:
    """Ask a device what it is: its system, memory, cameras, which runtimes it can have, and what to do about the rest.

    Nothing is left there.
    """
    from edgecnn.cli import show, show_devices
    from edgecnn.verbs.devices import probe_device

    show.answer(voice, probe_device(name), show_devices.probed)

"""`edgecnn devices`."""

from __future__ import annotations

from pathlib import Path

import click

from edgecnn.cli.options import PLACE, WORDS, Voice, flattened, voice


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


@devices.command("add")
@click.argument("name")
@click.option("--host", required=True, metavar="USER@ADDRESS", help="What you would write behind ssh.")
@click.option("--port", type=click.IntRange(1, 65535), help="ssh's -p.")
@click.option("--config", metavar="FILE", type=PLACE, help="ssh's -F (default: ~/.ssh/config).")
@click.option("--identity", metavar="FILE", type=PLACE, help="ssh's -i, a private key.")
@click.option("--user", is_flag=True, help="For every working folder: into your configuration, not ./devices.")
@click.option("--force", is_flag=True, help="Replace the profile where it exists.")
@voice
def devices_add(
    name: str,
    host: str,
    port: int | None,
    config: Path | None,
    identity: Path | None,
    user: bool,
    force: bool,
    voice: Voice,
) -> None:
    """Look at the device behind --host and write devices/NAME.yaml for it.

    Its board is recognised and gets the packaged profile's figures. `ssh USER@ADDRESS` must work without a password.
    """
    from edgecnn.cli import show, show_devices
    from edgecnn.verbs.add_device import add_device

    record = add_device(name, host, port=port, config=config, identity=identity, user=user, force=force)
    show.answer(voice, record, show_devices.added)


@devices.command("setup")
@click.argument("name")
@click.option(
    "--runtime",
    "runtimes",
    type=WORDS,
    multiple=True,
    help="Engines to install: litert, onnxruntime, openvino (default: the profile's first).",
)
@click.option("--camera", is_flag=True, help="Also OpenCV and the page's libraries, for `camera --device`.")
@voice
def devices_setup(name: str, runtimes: tuple[tuple[str, ...], ...], camera: bool, voice: Voice) -> None:
    """Install what a device needs, in ~/.edgecnn/venv there; a device without a network will do.

    Wheels are chosen by what the device is and fetched on this machine. Doing it again changes nothing; a setup that
    was interrupted is picked up.
    """
    from edgecnn.cli import show, show_devices
    from edgecnn.cli.progress import download
    from edgecnn.verbs.setup_device import setup_device

    with download(voice, "uploading") as progress:
        record = setup_device(name, flattened(runtimes), camera=camera, message=voice.message, progress=progress)
    show.answer(voice, record, show_devices.ready)

"""`edgecnn devices add`: look at a device and write a profile for it, a user's own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from edgecnn.errors import DeviceError, UsageError
from edgecnn.remote.address import Address
from edgecnn.remote.advice import Finding, advise
from edgecnn.remote.probing import Probe, probe
from edgecnn.remote.profiles import FOLDER, NAME, find_packaged, read_profile, recognise, user_folder
from edgecnn.remote.ssh import Connection
from edgecnn.storage import write_whole

WIDTH = 120


@dataclass(frozen=True)
class AddedRecord:
    """What was written. profile: the packaged one that knows the board, whose figures it has; None where none does."""

    device: str
    path: Path
    profile: str | None
    probe: Probe
    findings: tuple[Finding, ...]
    next: tuple[str, ...]
    schema: str = "edgecnn.devices/1"


def add_device(
    name: str,
    host: str,
    *,
    port: int | None = None,
    config: Path | None = None,
    identity: Path | None = None,
    user: bool = False,
    force: bool = False,
) -> AddedRecord:
    """Write ./devices/NAME.yaml, or with `user` the same in the user's configuration, for every working folder.

    host, port, config and identity are what ssh takes. A board that a packaged profile knows gets its figures; of
    another one only what it says itself is written. Raises UsageError where the file exists (replaced with `force`),
    DeviceError where the device can't be reached or used.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name for a device: letters, digits, '-', '_' and '.', such as kitchen-pi")
    path = (user_folder() if user else FOLDER) / f"{name}.yaml"
    if path.exists() and not force:
        raise UsageError(f"{path}: exists already; choose another name, or replace it with --force")
    address = Address(host, port, _absolute(config), _absolute(identity))
    with Connection(address) as connection:
        found = probe(connection)
    advice = advise(found)
    if advice.blocking:
        raise DeviceError(f"{host} is not supported: {'; '.join(map(str, advice.blocking))}")
    board = recognise(found.model)
    write_whole(path, profile_text(name, address, found, board).encode())
    return AddedRecord(
        name, path, board, found, advice.findings, (f"edgecnn devices setup {name}", f"edgecnn devices show {name}")
    )


def profile_text(name: str, address: Address, found: Probe, board: str | None) -> str:
    """A device's profile as YAML: its board's with everything that stands there, and what the device says itself."""
    yaml = YAML()
    yaml.width = WIDTH
    values: Any = yaml.load(find_packaged(board).read_text(encoding="utf-8")) if board else yaml.load("{}")
    values.fa.set_block_style()
    if board is None:
        values |= {"name": name, "title": found.model or f"A board with {found.system or 'Linux'}"}
        values |= {"cpu": found.processor or "unknown", **({"model": found.model} if found.model else {})}
    values |= {"name": name, "cores": found.cores, "architecture": found.architecture}
    values["instruction_sets"] = _flow(yaml, found.instruction_sets)
    values.pop("ssh", None)
    values.insert(1, "ssh", _ssh(address), comment="what stands behind `ssh`; the rest is ~/.ssh/config's")
    offers = {offer.runtime: offer.version for offer in advise(found).runtimes}
    runtimes = read_profile(find_packaged(board)).runtimes if board else tuple(offers)
    values["runtimes"] = _flow(yaml, [runtime for runtime in runtimes if offers.get(runtime, "") is not None])
    if found.cameras:
        values["camera"] = found.cameras[0].source
    values.yaml_set_start_comment(_opening(name, found, board))
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()


def _opening(name: str, found: Probe, board: str | None) -> str:
    figures = f"The figures are the packaged profile {board}'s." if board else "No packaged profile knows this board."
    memory = f", {found.memory_mib:,} MiB of memory" if found.memory_mib else ""
    return (
        f"Written by `edgecnn devices add {name}` on {date.today().isoformat()}; it is yours to edit. {figures}\n"
        f"It said: {found.system or 'a Linux'}, Python {found.python}, glibc {found.glibc}{memory}.\n"
    )


def _ssh(address: Address) -> dict[str, str | int]:
    given = {"host": address.host, "port": address.port, "config": address.config, "identity": address.identity}
    return {key: value if isinstance(value, int) else str(value) for key, value in given.items() if value is not None}


def _flow(yaml: YAML, words: Any) -> Any:
    """A list that is written on one line."""
    return yaml.load(f"[{', '.join(words)}]")


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.expanduser().absolute()

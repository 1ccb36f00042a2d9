"""Device profiles: one YAML a device. A user's own come before the packaged ones."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_config_path
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edgecnn import packaged
from edgecnn.edge import machine
from edgecnn.errors import UnusableFile, UsageError, nearest
from edgecnn.remote.address import Address

Positive = Annotated[float, Field(gt=0.0)]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
FOLDER = Path("devices")
"""Beside the recipes, in the working folder."""


class Section(BaseModel):
    """A part of a profile: unknown keys are errors, values don't change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Figure(Section):
    """A number and where it is from."""

    value: Positive
    source: str


class Peak(Section):
    """Upper bounds: GMAC/s (1e9 multiply-adds a second, all cores) and GB/s."""

    fp32_gmacs: Figure | None = None
    int8_gmacs: Figure | None = None
    memory_gb_s: Figure | None = None


class Ssh(Section):
    """How the device is reached: what stands behind `ssh`; the rest is ~/.ssh/config's."""

    host: str
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    config: str | None = None
    identity: str | None = None

    @field_validator("host")
    @classmethod
    def _is_a_host(cls, host: str) -> str:
        try:
            return Address(host).host
        except UsageError as error:
            raise ValueError(str(error)) from error

    def address(self) -> Address:
        """For a connection; `~` is this machine's home folder."""
        config, identity = (Path(given).expanduser() if given else None for given in (self.config, self.identity))
        return Address(self.host, self.port, config, identity)


class Sensor(Section):
    """A command (an argument list, never a shell's line) and what of its output counts: the pattern's one group.

    A number, decimal or 0x.., is multiplied by `scale`; for `governor` the group is a word.
    """

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    pattern: str = r"^\s*(\S+)"
    scale: float = 1.0

    @field_validator("pattern")
    @classmethod
    def _has_one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from error
        if groups != 1:
            raise ValueError("a pattern has one group, around what counts")
        return pattern


Quantity = Literal["temperature_c", "clock_mhz", "throttled", "power_w", "governor"]


class Profile(Section):
    """A device: how to reach it, its processor, what its instruction sets mean for int8, what it can be asked.

    model: what the board calls itself (/proc/device-tree/model), at its start; by this `devices add` knows it.
    here: it is this machine, which no ssh leads to; processor, cores and architecture are what they are. python: the
    interpreter that the environment over there is made with. runtimes: engines that make sense there, the one to ship
    first. camera: the source that `camera --device` opens. clock_mhz: nominal. environment: of every program of ours
    there. emulated: its time means nothing; the instructions of processes that are started with `counter` in their
    environment are counted instead. unsupported: why nothing can be put there.
    """

    name: str
    title: str
    cpu: str
    cores: Annotated[int, Field(ge=1)]
    architecture: str
    instruction_sets: tuple[str, ...] = ()
    model: str | None = None
    ssh: Ssh | None = None
    here: bool = False
    python: str = "python3"
    runtimes: tuple[str, ...] = ("litert", "onnxruntime")
    camera: str = "0"
    peak: Peak = Peak()
    clock_mhz: Positive | None = None
    throttles_at_c: Positive | None = None
    sensors: Mapping[Quantity, Sensor] = {}
    environment: Mapping[str, str] = {}
    emulated: bool = False
    counter: Mapping[str, str] = {}
    unsupported: str | None = None
    notes: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _knows_this_machine(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("here") is not True:
            return given
        return {
            "cpu": machine.processor() or "unknown",
            "cores": os.cpu_count() or 1,
            "architecture": platform.machine(),
            "instruction_sets": machine.instruction_sets(),
            **given,
        }

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("a name is letters, digits, '-', '_' and '.'")
        return name


def user_folder() -> Path:
    """Where the user's own profiles lie, in every working folder."""
    return user_config_path("edgecnn") / "devices"


def profile_folders() -> list[Path]:
    """Where profiles lie: ./devices, the user's configuration, the packaged ones; the first that has a name counts."""
    return [FOLDER, user_folder(), packaged.folder("devices")]


def recognise(model: str | None) -> str | None:
    """The packaged profile of a board by what it calls itself; None where none knows it.

    The longest beginning counts: "Raspberry Pi 3 Model B Plus" begins as "Raspberry Pi 3 Model B" does.
    """
    profiles = [read_profile(path) for path in sorted(packaged.folder("devices").glob("*.yaml"))]
    profiles.sort(key=lambda profile: profile.ssh is None)  # in a checkout, a user's own lie there too
    known = {
        len(profile.model): profile.name
        for profile in profiles
        if profile.model is not None and (model or "").startswith(profile.model)
    }
    return known[max(known)] if known else None


def profile_names() -> list[str]:
    """Every profile's name."""
    return sorted({path.stem for folder in profile_folders() for path in folder.glob("*.yaml")})


def find_profile(name: str) -> Path:
    """The file of a profile; UsageError where there is none."""
    for folder in profile_folders():
        path = folder / f"{name}.yaml"
        if NAME.fullmatch(name) and path.is_file():
            return path
    raise UsageError(f"unknown device '{name}'{nearest(name, profile_names())}")


def find_packaged(name: str) -> Path:
    """The file of a packaged profile."""
    return packaged.folder("devices") / f"{name}.yaml"


def load_profile(name: str) -> Profile:
    """The profile of a name; UsageError where there is none, UnusableFile where it is damaged."""
    path = find_profile(name)
    profile = read_profile(path)
    if profile.name != name:
        raise UnusableFile(f"{path}: calls itself '{profile.name}'; a profile has its file's name")
    return profile


def read_profile(path: Path) -> Profile:
    """The profile in a file; UnusableFile where it is damaged."""
    try:
        return Profile.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise UnusableFile(f"{path}: is no device profile ({where}: {first['msg']})") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise UnusableFile(f"{path}: is no device profile ({str(error).splitlines()[0]})") from error


def address_of(profile: Profile) -> Address:
    """How to reach it; UsageError where the profile does not say, it is this machine, or nothing can be put there."""
    if profile.unsupported is not None:
        raise UsageError(f"{profile.name} is not supported: {profile.unsupported}")
    if profile.here:
        raise UsageError(
            f"{profile.name} is this machine, to which no ssh leads: what it needs, `edgecnn doctor` says, and what "
            "runs here wants no --device"
        )
    if profile.ssh is None:
        raise UsageError(
            f"the profile {profile.name} does not say where your device is: "
            f"edgecnn devices add {profile.name} --host USER@ADDRESS"
        )
    return profile.ssh.address()

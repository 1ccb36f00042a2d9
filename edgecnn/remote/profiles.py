"""Device profiles: one YAML a device, in devices/."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from edgecnn import packaged
from edgecnn.errors import UnusableFile, UsageError, nearest

Positive = Annotated[float, Field(gt=0.0)]


class Figure(BaseModel):
    """A number and where it is from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Positive
    source: str


class Peak(BaseModel):
    """Upper bounds: GMAC/s (1e9 multiply-adds a second, all cores) and GB/s."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fp32_gmacs: Figure | None = None
    int8_gmacs: Figure | None = None
    memory_gb_s: Figure | None = None


class Profile(BaseModel):
    """A device: its processor, its userland's architecture, what its instruction sets mean for int8."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    title: str
    cpu: str
    cores: Annotated[int, Field(ge=1)]
    architecture: str
    instruction_sets: tuple[str, ...] = ()
    peak: Peak = Peak()
    notes: tuple[str, ...] = ()


def profile_names() -> list[str]:
    """The packaged profiles."""
    return sorted(path.stem for path in packaged.folder("devices").glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """The profile of a name; UsageError where there is none, UnusableFile where it is damaged."""
    if name not in profile_names():
        raise UsageError(f"unknown device '{name}'{nearest(name, profile_names())}")
    path = packaged.folder("devices") / f"{name}.yaml"
    try:
        return Profile.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")))
    except (YAMLError, ValidationError) as error:
        raise UnusableFile(f"{path}: is no device profile ({str(error).splitlines()[0]})") from error

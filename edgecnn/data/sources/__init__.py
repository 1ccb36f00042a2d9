"""The registered data sets. The folder is the registry: a new one is a new file here, with a `SOURCE`."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from edgecnn.data.pictures import Pictures
from edgecnn.errors import EdgecnnError, UsageError, nearest


@dataclass(frozen=True)
class Archive:
    """A file to download: a tar archive holding one folder, `folder`. `checksum` is "md5:..." or "sha256:..."."""

    url: str
    checksum: str
    folder: str


class Source(Protocol):
    """A data set with a fixed train and test part; validation pictures are held out of train."""

    @property
    def name(self) -> str: ...

    @property
    def summary(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def archive(self) -> Archive | None:
        """What `edgecnn data get` downloads; None when it comes with edgecnn."""

    def locate(self, data_dir: Path | None) -> Path | None:
        """The folder that holds it, or None when it is nowhere; test files are not looked at."""

    def read(self, folder: Path, part: str) -> Pictures:
        """The pictures of "train" or "test" at their own size; touches that part's files only."""


@cache
def sources() -> MappingProxyType[str, Source]:
    """Every registered source, by name; EdgecnnError when two files claim one name."""
    found: dict[str, Source] = {}
    for module in pkgutil.iter_modules(__path__):
        register(found, importlib.import_module(f"{__name__}.{module.name}").SOURCE)
    return MappingProxyType(found)


def register(registry: dict[str, Source], source: Source) -> None:
    """Add a source; EdgecnnError when its name is taken."""
    if source.name in registry:
        raise EdgecnnError(f"the data source '{source.name}' is registered twice")
    registry[source.name] = source


def find_source(name: str) -> Source:
    """The source of that name; UsageError naming the nearest one when there is none."""
    if name not in sources():
        raise UsageError(f"there is no data source '{name}'{nearest(name, sources())}")
    return sources()[name]

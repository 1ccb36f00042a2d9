"""The registered data sets. The folder is the registry: a new one is a new file here, with a `SOURCE`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgecnn.data.pictures import Pictures
from edgecnn.registry import discover, look_up


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
        """What `edgecnn data get` downloads; None when it comes with edgecnn, or in another way."""

    @property
    def how_to_get(self) -> str:
        """What a person does who doesn't have it, as half a sentence."""

    def locate(self, data_dir: Path | None) -> Path | None:
        """The folder that holds it, or None when it is nowhere; test files are not looked at."""

    def read(self, folder: Path, part: str) -> Pictures:
        """The pictures of "train" or "test" at their own size; touches that part's files only."""


def sources() -> Mapping[str, Source]:
    """Every registered source, by name; EdgecnnError when two files claim one name."""
    return discover(__name__, "SOURCE")


def find_source(name: str) -> Source:
    """The source of that name; UsageError naming the nearest one when there is none."""
    return look_up("data source", name, sources())

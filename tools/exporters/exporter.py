"""What an exporter is: pinned packages, and the settings that it is measured at. Loads without any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.registry import discover, look_up

PEERS = "tools.exporters.peers"
OURS = "edgecnn"
ROOT = Path(__file__).parents[2]
Array = NDArray[Any]


@dataclass(frozen=True)
class Given:
    """What every exporter gets: a folder with the same fp32 network in two forms, and the calibration pictures."""

    folder: Path

    @property
    def program(self) -> Path:
        """A torch.export program: float32 [1, 3, 32, 32], normalised, to logits [1, 10]."""
        return self.folder / "network.pt2"

    @property
    def onnx(self) -> Path:
        """The same network as torch.onnx.export writes it."""
        return self.folder / "network.onnx"

    @property
    def pixels(self) -> Array:
        """uint8 [N, 32, 32, 3]: the calibration pictures."""
        return np.asarray(np.load(self.folder / "calibration.npy"))

    @property
    def calibration(self) -> Array:
        """float32 [N, 3, 32, 32]: the same, as the network wants them."""
        return normalised(self.pixels)


def normalised(pixels: Array) -> Array:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W], (pixel - 128) / 128."""
    return np.ascontiguousarray(((pixels.astype(np.float32) - 128.0) / 128.0).transpose(0, 3, 1, 2))


@dataclass(frozen=True)
class Setting:
    """One way of using an exporter. `form` is the format that it writes; `convert` gives the model file's path."""

    name: str
    form: str
    means: str
    """What is set, for the table's legend."""
    convert: Callable[[Given, Path], Path]


@dataclass(frozen=True)
class Exporter:
    """`requires` is what pip installs, from the root of the checkout; `shows` are the packages the table names."""

    name: str
    requires: tuple[str, ...]
    shows: tuple[str, ...]
    settings: tuple[Setting, ...]
    constraints: str | None = None

    def setting(self, name: str) -> Setting:
        """The setting of a name; UsageError with the nearest where there is none."""
        return look_up("setting", name, {setting.name: setting for setting in self.settings})


def all_exporters() -> Mapping[str, Exporter]:
    """Every exporter of peers/, ours first: the others are held against it."""
    found = discover(PEERS, "EXPORTER")
    return dict(sorted(found.items(), key=lambda item: (item[0] != OURS, item[0])))


def find_exporter(name: str) -> Exporter:
    """The exporter of a name; UsageError with the nearest where there is none."""
    return look_up("exporter", name, all_exporters())

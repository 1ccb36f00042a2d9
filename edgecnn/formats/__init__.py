"""Model files: one file or folder a format, found by looking in here. All are written from the same graph.

A new format is one module here with `FORMAT`, an object that has the parts of `Format`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgecnn.graph.edit import Graph
from edgecnn.graph.program import Grid, Op, Program, Tensor
from edgecnn.registry import discover, look_up

Array = NDArray[Any]
Details = Mapping[str, str]
"""What a file says about itself besides the network: labels, resize rule, output grid."""


class Format(Protocol):
    """A kind of file. `model` is the file's name in an artifact folder, `companions` what must lie beside it."""

    name: str
    model: str
    companions: tuple[str, ...]

    def write(self, graph: Graph, folder: Path, details: Details) -> None:
        """Write a canonical graph, fp32 or QDQ; UsageError for what the format can't say."""

    def grids(self, model: Path, program: Program) -> Mapping[str, Grid]:
        """The grid that the file itself gives each operation's output, by the operation's name; fp32 ones are left out.

        UnusableFile where the file can't be read.
        """

    def cut(self, model: Path, program: Program, op: Op, folder: Path) -> Path | None:
        """A file in `folder` that holds only what `model` makes of one operation; None where it makes nothing of it.

        UnusableFile where the file does not hold the operation's tensors.
        """

    def encode(self, tensor: Tensor, values: Array) -> Array:
        """A graph's values (NCHW; uint8 on a grid, or float32; the image is NHWC pixels) as a cut file takes them."""

    def decode(self, tensor: Tensor, values: Array) -> Array:
        """What a cut file gives, in the graph's order and type."""


def all_formats() -> Mapping[str, Format]:
    """Every format of this folder, by name."""
    return discover(__name__, "FORMAT")


def find_format(name: str) -> Format:
    """The format of a name; UsageError with the nearest where there is none."""
    return look_up("target", name, all_formats())

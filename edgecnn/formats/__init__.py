"""Model files: one file or folder a format, found by looking in here. All are written from the same graph.

A new format is one module here with `FORMAT`, an object that has the parts of `Format`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edgecnn.errors import UsageError
from edgecnn.graph.edit import Graph
from edgecnn.graph.listing import Listing
from edgecnn.graph.program import Grid, Op, Program, Tensor
from edgecnn.registry import discover, look_up

Array = NDArray[Any]
Details = Mapping[str, str]
"""What a file says about itself besides the network. Written, where it is known:

name                          the network's
labels                        the classes' names in order, as a JSON list
resize                        edgecnn's rule by which pictures are brought to size
output                        logits or probabilities
output_scale, _zero_point     what a uint8 answer stands for

Files from elsewhere may say, and ours never need to:

mean, std                     one number a channel or one for all, separated by commas, for pixels from 0 to 1
"""
KEYS = ("labels", "mean", "name", "output", "output_scale", "output_zero_point", "resize", "std")
"""All of them."""
PIXELS = {
    1: "Pixels as they come: uint8 from 0 to 255, grey (luma of BT.601), NHWC",
    3: "Pixels as they come: uint8 from 0 to 255, RGB, NHWC",
}
"""What each file says of its input in words, by how many channels it has."""


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

    def details(self, model: Path) -> Details:
        """What a file of any origin says about itself, in the keys of `write`; UnusableFile where it can't be read."""

    def listing(self, model: Path) -> Listing:
        """What a file of any origin holds, for looking at; any exception where it is damaged."""

    def encode(self, tensor: Tensor, values: Array) -> Array:
        """A graph's values (NCHW; uint8 on a grid, or float32; the image is NHWC pixels) as a cut file takes them."""

    def decode(self, tensor: Tensor, values: Array) -> Array:
        """What a cut file gives, in the graph's order and type."""


def check_labels(labels: Sequence[str]) -> None:
    """UsageError for a label that is no single line of Unicode text: files keep labels as lines of UTF-8."""
    for label in labels:
        if "".join(label.splitlines()) != label:
            raise UsageError(f"the label {label!r} has a line break in it; a label is one line")
        if any("\ud800" <= character <= "\udfff" for character in label):
            raise UsageError(f"the label {label!r} is no Unicode text, and can't be written into a file; rename it")


def labels_text(labels: Sequence[str]) -> str:
    """Labels as they stand in `Details`."""
    return json.dumps(list(labels))


def labels_of(details: Details) -> tuple[str, ...]:
    """The labels in `Details`; none where there are none, or what stands there is no list of them."""
    try:
        found = json.loads(details.get("labels", "[]"))
    except (ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(label, str) for label in found) else ()


def normalisation(mean: Sequence[float], std: Sequence[float]) -> dict[str, str]:
    """mean and std for pixels from 0 to 255, as they stand in `Details`: for 0 to 1. None where they make no sense."""
    if not mean or not std or not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0:
        return {}
    return {"mean": _listed(mean), "std": _listed(std)}


def _listed(values: Sequence[float]) -> str:
    return ",".join(repr(value / 255.0) for value in values)


def all_formats() -> Mapping[str, Format]:
    """Every format of this folder, by name."""
    return discover(__name__, "FORMAT")


def find_format(name: str) -> Format:
    """The format of a name; UsageError with the nearest where there is none."""
    return look_up("target", name, all_formats())

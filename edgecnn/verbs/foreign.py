"""Networks from elsewhere: a torch module or an .onnx file, with what edgecnn must be told about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from edgecnn.data import Pictures
from edgecnn.data.loose import read_loose
from edgecnn.edge import pixels as image_files
from edgecnn.edge.artifact import image_input
from edgecnn.errors import UsageError
from edgecnn.graph.canonical import IMAGE, Pixels, canonical
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.foreign import ForeignModel
from edgecnn.graph.trace import trace
from edgecnn.storage import sha256_file
from edgecnn.verbs.folders import Limits
from edgecnn.verbs.network import CALIBRATED, EVALUATED, Network, calibration_pictures

if TYPE_CHECKING:
    from torch import nn

Images: TypeAlias = Array | Path | str
"""uint8 [N, H, W, C], RGB or grey as the network takes them, or a folder of pictures."""


LIMITS = Limits(1.0, 0.99)


@dataclass(frozen=True)
class Told:
    """What a network does not say about itself.

    mean, std: one number a channel, for pixels from 0 to 1. size: height and width. labels: the classes' names, or a
    file with one a line; numbers without. limits: what verify will hold the files to.
    """

    calibration: Images | None
    mean: Sequence[float] | None
    std: Sequence[float] | None
    size: tuple[int, int] | None = None
    labels: Sequence[str] | Path | None = None
    resize: str = "crop"
    name: str | None = None
    limits: Limits = LIMITS

    def pixels(self) -> Pixels:
        """UsageError where nothing was said: a guess would be a wrong model that works a little."""
        if self.mean is None or self.std is None:
            raise UsageError(
                "this network comes from elsewhere: say what pixels it wants with mean and std, for values from 0 to 1 "
                "(--mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 for torchvision's weights)"
            )
        image_files.check_rule(self.resize)
        return Pixels(tuple(map(float, self.mean)), tuple(map(float, self.std)))

    def pictures(self, size: tuple[int, int], channels: int, message: Callable[[str], None]) -> Pictures:
        """The calibration pictures, at the model's size."""
        if self.calibration is None:
            raise UsageError("int8 is decided on real pictures: give some hundred with --calibration FOLDER")
        if isinstance(self.calibration, (str, Path)):
            found = read_loose(Path(self.calibration), size, self.resize, limit=CALIBRATED, channels=channels)
            for note in found.notes:
                message(f"note: {note}")
            return found.pictures
        return calibration_pictures(pictures_of(self.calibration, size, channels), CALIBRATED)

    def names(self, count: int) -> tuple[str, ...]:
        """One name for each of `count` classes."""
        if self.labels is None:
            return tuple(str(i) for i in range(count))
        given = self.labels
        names = tuple(given.read_text("utf-8").splitlines() if isinstance(given, Path) else map(str, given))
        if len(names) != count:
            raise UsageError(f"there are {len(names)} labels, and the network tells {count} classes apart")
        return names


def pictures_of(images: Array, size: tuple[int, int], channels: int, classes: Array | None = None) -> Pictures:
    """An array as Pictures; UsageError where it is none of pictures of that size and so many channels."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.shape[1:] != (*size, channels) or not len(images):
        colour = "RGB" if channels == 3 else "grey"
        raise UsageError(
            f"images must be uint8 [N, {size[0]}, {size[1]}, {channels}] {colour}, got {images.dtype} "
            f"{list(images.shape)}"
        )
    found = np.zeros(len(images), np.int64) if classes is None else np.asarray(classes).astype(np.int64)
    if len(found) != len(images):
        raise UsageError(f"there are {len(images)} images and {len(found)} labels")
    return Pictures(images, found, tuple(str(i) for i in range(len(images))))


def network_of_module(module: nn.Module, told: Told, message: Callable[[str], None]) -> Network:
    """A torch module in eval mode that takes float32 [N, C, H, W] and gives [N, K]; C is as many as means are given."""
    import torch

    if told.size is None:
        raise UsageError("a torch module does not say its input_size: give one number, or height and width")
    if module.training:
        raise UsageError("the module is in training mode; call module.eval() first")
    wants = told.pixels()
    channels = channels_of(wants)
    pictures = told.pictures(told.size, channels, message)
    evaluated = pictures.images[:EVALUATED]
    message(f"tracing {type(module).__name__}")
    try:
        with torch.inference_mode():
            logits = module(torch.from_numpy(normalised(evaluated, wants))).numpy()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{type(module).__name__} takes no pictures of {told.size[0]}x{told.size[1]} with {channels} channels, as "
            f"many as mean and std have numbers ({reason})"
        ) from error
    graph = trace(module, channels, *told.size)
    return _network(graph, logits, told, pictures, wants, told.name or type(module).__name__.lower(), {})


def network_of_onnx(path: Path, told: Told, message: Callable[[str], None]) -> Network:
    """A float .onnx file."""
    message(f"reading {path}")
    model = ForeignModel(path, told.size)
    wants, pictures = told.pixels(), told.pictures((model.height, model.width), model.channels, message)
    if channels_of(wants) != model.channels:
        raise UsageError(f"{path}: takes {model.channels} channels; mean and std are one number for each")
    logits = model.answers(normalised(pictures.images[:EVALUATED], wants))
    graph = model.graph()
    return _network(graph, logits, told, pictures, wants, told.name or path.stem, {path.name: sha256_file(path)})


def channels_of(wants: Pixels) -> int:
    """How many channels the pixels have; UsageError for what is neither grey nor RGB."""
    if len(wants.mean) not in image_files.CHANNELS:
        raise UsageError(f"mean and std are three numbers each (RGB) or one (grey), got {len(wants.mean)}")
    return len(wants.mean)


def normalised(images: Array, wants: Pixels) -> Array:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W], (pixel / 255 - mean) / std."""
    mean, std = np.array(wants.mean, np.float64), np.array(wants.std, np.float64)
    return np.ascontiguousarray(((images / 255.0 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))


def _network(
    graph: Graph, logits: Array, told: Told, pictures: Pictures, wants: Pixels, name: str, parents: dict[str, str]
) -> Network:
    fp32 = canonical(graph, pixels=wants)
    height, width, channels = pictures.images.shape[1:]
    return Network(
        name=name,
        labels=told.names(logits.shape[1]),
        input=image_input(IMAGE, (height, width), channels, told.resize),
        output="probabilities" if fp32.nodes[-1].op == "Softmax" else "logits",
        fp32=fp32,
        evaluated=pictures.images[:EVALUATED],
        logits=logits,
        calibration=pictures,
        parents=parents,
        limits=told.limits,
    )

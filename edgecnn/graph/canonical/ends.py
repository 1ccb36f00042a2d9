"""Names after layers, pixels in front, probabilities behind."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import WEIGHTED
from edgecnn.graph.edit import Graph, Node, Value

IMAGE, LOGITS = "image", "logits"
IMAGE_SCALE, IMAGE_ZERO = 1.0 / 128.0, 128


@dataclass(frozen=True)
class Pixels:
    """What a network wants to see: (pixel / 255 - mean) / std, one mean and std for each channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(0.0 < value < 100.0 for value in self.std):
            raise UsageError("mean and std want one number a channel each, std above 0, for pixels from 0 to 1")
        if not all(-10.0 < value < 10.0 for value in self.mean):
            raise UsageError(f"mean={list(self.mean)}: pixels count from 0 to 1 here; divide by 255")


def append_softmax(graph: Graph) -> None:
    """Probabilities in the place of logits."""
    (output,) = graph.outputs
    graph.nodes.append(
        Node("Softmax", "probabilities", [output.name], ["softmax_output"], {"axis": 1}, "probabilities")
    )
    graph.outputs = [Value("softmax_output", output.dtype, output.shape)]


def normalise_pixels(graph: Graph, pixels: Pixels) -> None:
    """A 1x1 depthwise convolution in front, from (pixel - 128) / 128 to what the network wants; none where that is it.

    It can't be folded into the first layer where that pads: a padded zero is a mean pixel, which is no whole number.
    """
    (given,) = graph.inputs
    channels = given.shape[1]
    if len(pixels.mean) != channels:
        raise UsageError(f"mean and std have {len(pixels.mean)} numbers, and the network takes {channels} channels")
    mean, std = np.array(pixels.mean), np.array(pixels.std)
    gain, offset = IMAGE_ZERO / 255.0 / std, (IMAGE_ZERO / 255.0 - mean) / std
    if np.allclose(gain, 1.0, atol=1e-6) and np.allclose(offset, 0.0, atol=1e-6):
        return
    weight = graph.constant("normalise.weight", gain.astype(np.float32).reshape(-1, 1, 1, 1))
    bias = graph.constant("normalise.bias", offset.astype(np.float32))
    shape = {"kernel_shape": [1, 1], "strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1]}
    for node in graph.nodes:
        node.inputs = ["normalised" if name == given.name else name for name in node.inputs]
    attributes = {**shape, "group": channels}
    graph.insert_after(
        None, Node("Conv", "normalise", [given.name, weight, bias], ["normalised"], attributes, "normalise")
    )


GENERIC = {"conv", "norm", "act", "dense", "body"}
"""Parts of edgecnn's own blocks, which say no more than the block's name does."""


def name_after_layers(graph: Graph) -> None:
    """A node and its output are called after the torch module they came from: `block3/depthwise`."""
    renamed: dict[str, str] = {graph.outputs[0].name: LOGITS}
    taken = {IMAGE, LOGITS}
    for node in graph.nodes:
        scope = node.scope.split(".")
        telling = "/".join(part for part in scope if part not in GENERIC)
        base = telling or scope[-1] or re.sub(r"\W+", "_", node.op.lower())
        if node.op in _SUFFIX and _SUFFIX[node.op] not in base.rsplit("/")[-1]:
            base += f"/{_SUFFIX[node.op]}"
        name, number = base, 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        node.name = name
        renamed.setdefault(node.output, name)
    for node in graph.nodes:
        for i, kind in ((1, "weight"), (2, "bias")):
            if node.op in WEIGHTED:
                graph.constants[f"{node.name}.{kind}"] = graph.constants[node.inputs[i]]
                node.inputs[i] = f"{node.name}.{kind}"
        node.inputs = [renamed.get(name, name) for name in node.inputs]
        node.outputs = [renamed.get(name, name) for name in node.outputs]
    graph.outputs = [Value(LOGITS, v.dtype, v.shape) for v in graph.outputs]
    graph.prune()


_SUFFIX = {
    "Add": "add",
    "Clip": "relu6",
    "Concat": "concat",
    "Flatten": "flatten",
    "Gelu": "gelu",
    "LeakyRelu": "leaky_relu",
    "Mul": "mul",
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Slice": "slice",
    "Softmax": "softmax",
    "Tanh": "tanh",
}


def put_image_in_front(graph: Graph) -> None:
    """uint8 NHWC pixels, dequantized to (pixel - 128) / 128 and transposed: the grid of int8 is the pixel grid."""
    (given,) = graph.inputs
    count, channels, height, width = given.shape
    scale = graph.constant("image.scale", np.array(IMAGE_SCALE, np.float32))
    zero = graph.constant("image.zero_point", np.array(IMAGE_ZERO, np.uint8))
    pixels = Node("DequantizeLinear", "pixels", [IMAGE, scale, zero], ["pixels"])
    planes = Node("Transpose", "planes", ["pixels"], ["planes"], {"perm": [0, 3, 1, 2]})
    for node in graph.nodes:
        node.inputs = ["planes" if name == given.name else name for name in node.inputs]
    graph.insert_after(None, pixels, planes)
    graph.inputs = [Value(IMAGE, TensorProto.UINT8, (count, height, width, channels))]

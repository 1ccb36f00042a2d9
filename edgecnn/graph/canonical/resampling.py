"""What makes a picture larger, or picks rows and columns of it: transposed convolutions, resizing, gathering."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.nodes import add_bias, refuse_auto_pad, where
from edgecnn.graph.edit import Graph, Node

INTERPOLATIONS = {"nearest": "asymmetric", "linear": "half_pixel"}
"""The modes that every format has, and which point of the small picture a pixel of the large one lies over."""


def complete_transposed_conv(graph: Graph) -> None:
    """Every transposed convolution says its kernel, strides, margins and what is added at the end, and has a bias."""
    for node in graph.each("ConvTranspose"):
        refuse_auto_pad(node)
        weights, given = graph.constants.get(node.inputs[1]), node.attributes
        if weights is None or weights.ndim != 4 or "output_shape" in given:
            raise UsageError(f"{where(node)}: only 2-D transposed convolutions with fixed weights are supported")
        if given.get("group", 1) != 1 or given.get("dilations", [1, 1]) != [1, 1]:
            raise UsageError(f"{where(node)}: transposed convolutions with groups or dilation are not supported")
        node.attributes = {
            "kernel_shape": list(weights.shape[2:]),
            "strides": given.get("strides", [1, 1]),
            "pads": given.get("pads", [0, 0, 0, 0]),
            "output_padding": given.get("output_padding", [0, 0]),
            "dilations": [1, 1],
            "group": 1,
        }
        add_bias(graph, node, weights.shape[1])


def fold_crop(graph: Graph) -> None:
    """Rows and columns that are cut off behind a transposed convolution become its margins."""
    for cut in graph.each("Slice"):
        shape = graph.shapes[cut.inputs[0]]
        node = graph.producer(cut.inputs[0])
        if node is None or node.op != "ConvTranspose" or len(graph.consumers(node.output)) != 1:
            continue
        starts, ends, axes, *steps = (graph.constants[name].tolist() for name in cut.inputs[1:])
        if not set(axes) <= {2, 3} or (steps and set(steps[0]) != {1}):
            continue
        pads = list(node.attributes.get("pads", [0, 0, 0, 0]))
        for start, end, axis in zip(starts, ends, axes, strict=True):
            first, last, _ = slice(start, end).indices(shape[axis])
            pads[axis - 2] += first
            pads[axis] += shape[axis] - last
        node.attributes = {**node.attributes, "pads": pads}
        made = graph.shapes[cut.output]
        graph.bypass(cut)
        graph.shapes[node.output] = made


def name_resize(graph: Graph) -> None:
    """Resize has one form: whole factors as `scales`, nearest (floor) or linear, the way TFLite places pixels."""
    for node in graph.each("Resize"):
        before, after, mode = graph.shapes[node.inputs[0]], graph.shapes[node.output], node.attributes.get("mode")
        factors = [b // a for a, b in zip(before, after, strict=True)]
        whole = len(before) == 4 and all(a * f == b for a, b, f in zip(before, after, factors, strict=True))
        if mode not in INTERPOLATIONS or not whole or factors[:2] != [1, 1]:
            raise UsageError(
                f"{where(node)}: only nearest or bilinear resizing of rows and columns by whole factors is supported"
            )
        if not _placed_alike(node, mode):
            raise UsageError(f"{where(node)}: {mode} resizing that aligns pixels this way is not supported")
        scales = graph.constant(f"{node.name}.scales", np.array(factors, np.float32))
        node.inputs = [node.inputs[0], "", scales]
        node.attributes = {"mode": mode, "coordinate_transformation_mode": INTERPOLATIONS[mode]}
        if mode == "nearest":
            node.attributes["nearest_mode"] = "floor"


def _placed_alike(node: Node, mode: str) -> bool:
    """Whether a node means what the canonical form does; by whole factors several spellings are one.

    Then no half-pixel point lies half-way between two pixels, and rounding it repeats each pixel; its floor would not.
    """
    given = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "linear":
        return given in ("half_pixel", "pytorch_half_pixel") and not node.attributes.get("antialias", 0)
    rounding = node.attributes.get("nearest_mode", "round_prefer_floor")
    return (given, rounding) == ("asymmetric", "floor") or (given == "half_pixel" and rounding.startswith("round_"))


def check_gather(graph: Graph) -> None:
    """Gather picks rows or columns at fixed places."""
    for node in graph.each("Gather"):
        places, shape = graph.constants.get(node.inputs[1]), graph.shapes[node.inputs[0]]
        axis = node.attributes.get("axis", 0) % len(shape)
        if places is None or places.ndim != 1 or len(shape) != 4 or axis not in (2, 3):
            raise UsageError(f"{where(node)}: only rows and columns of [N, C, H, W] can be picked, at fixed places")
        whole = graph.constant(f"{node.name}.places", np.asarray(places % shape[axis], np.int64))
        node.inputs, node.attributes = [node.inputs[0], whole], {"axis": axis}

"""Operations that compute nothing: transposes, pads and pairs of conversions that a better file goes without."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgecnn.inspection.view import Finding, View


def stray_transposes(view: View) -> Iterator[Finding]:
    """Transposes of pictures inside the network: traces of a conversion between NCHW and NHWC."""
    ends = {value.name for value in view.listing.inputs}
    layers = [
        operation.name
        for operation in view.listing.operations
        if operation.kind == "transpose"
        and operation.inputs
        and len(operation.outputs[0].shape) == 4
        and operation.inputs[0].name not in ends
    ]
    if layers:
        yield Finding(
            "stray_transposes",
            "speed",
            tuple(layers),
            "pictures are transposed inside the network",
            "each copies the whole tensor; they come from converting a file from one order of axes to another",
            "export to the format's own order (edgecnn export writes TFLite in NHWC without one)",
        )


def stray_pads(view: View) -> Iterator[Finding]:
    """A pad that feeds a convolution, which can pad by itself."""
    layers = []
    for operation in view.listing.operations:
        takers = view.takers.get(operation.outputs[0].name, ()) if operation.outputs else ()
        if operation.kind == "pad" and takers and all("conv" in taker.kind for taker in takers):
            layers.append(operation.name)
    if layers:
        yield Finding(
            "stray_pads",
            "speed",
            tuple(layers),
            "padding as an operation of its own before a convolution",
            "it copies the whole tensor to add a border; TFLite's SAME puts the odd row at the end, so that padding "
            "taken over from torch (1, 1) at stride 2 has to stay outside",
            "pad in the convolution; for TFLite train with TensorFlow's SAME padding",
        )


def stray_pairs(view: View) -> Iterator[Finding]:
    """From one grid to another and nothing in between."""
    layers = []
    for operation in view.listing.operations:
        source = operation.inputs[0].quantization if operation.inputs else None
        made = operation.outputs[0].quantization if operation.outputs else None
        if operation.kind != "quantize" or source is None or made is None:
            continue
        inside = operation.inputs[0].name in view.makers and view.takers.get(operation.outputs[0].name)
        if inside and not (len(source.scales) == len(made.scales) and np.allclose(source.scales, made.scales)):
            layers.append(operation.name)
    if layers:
        yield Finding(
            "stray_pairs",
            "speed",
            tuple(layers),
            "values are requantized and nothing else",
            "the operation before gives one grid, the one behind wants another: a pass over the tensor and a rounding",
            "give the value one grid that both agree on",
        )

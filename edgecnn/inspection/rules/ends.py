"""The beginning of a network: open sizes, and how pixels become numbers."""

from __future__ import annotations

from collections.abc import Iterator

from edgecnn.graph.listing import EIGHT_BITS
from edgecnn.inspection.view import Finding, View


def open_sizes(view: View) -> Iterator[Finding]:
    """Sizes that are known only when the model runs."""
    layers = [f"{value.name} {list(value.shape)}" for value in view.listing.inputs if 0 in value.shape]
    if layers:
        yield Finding(
            "open_sizes",
            "speed",
            tuple(layers),
            "sizes are left open (0)",
            "engines lay out memory and choose kernels when they know sizes; some delegates leave such networks alone",
            "export with fixed sizes, batch 1",
        )


def transpose_before_dequantize(view: View) -> Iterator[Finding]:
    """uint8 -> Transpose -> DequantizeLinear -> Conv: OpenVINO runs the first convolution in float."""
    given = {value.name for value in view.listing.inputs if value.dtype in EIGHT_BITS}
    layers = []
    for operation in view.listing.operations:
        if operation.kind != "transpose" or not operation.inputs or operation.inputs[0].name not in given:
            continue
        source, made = operation.inputs[0], operation.outputs[0]
        if source.quantization is None and any(
            value.quantization is not None
            for taker in view.takers.get(made.name, ())
            for value in taker.inputs
            if value.name == made.name
        ):
            layers.append(operation.name)
    if layers:
        yield Finding(
            "transpose_before_dequantize",
            "speed",
            tuple(layers),
            "pixels are transposed before they are dequantized",
            "OpenVINO then runs the first convolution in float",
            "dequantize first, then transpose",
        )

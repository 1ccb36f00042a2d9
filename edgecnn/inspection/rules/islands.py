"""Where a quantized file is not computed in integers, and where an engine's fast kernels don't take an operation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from edgecnn.graph.listing import WEIGHTED, Operation
from edgecnn.inspection.view import ACTIVATIONS, Finding, View

MOVES = ("quantize", "dequantize", "transpose", "reshape", "flatten", "shape", "squeeze", "unsqueeze")
"""Kinds that are no arithmetic: by themselves no reason for an island."""
TAKEN_UNSIGNED = (*WEIGHTED, "depthwise_conv", "add", "mul")
SIGNED = (
    "activations are int8: on x86 ONNX Runtime turns them into uint8 first, but not where several operations take one, "
    "and finds no kernel for one of each"
)
ENDS = 2
"""Conversions that a file which takes and gives uint8 needs; they cost about a hundredth of its time."""
INSTEAD = {
    "mean": "write a global mean as GlobalAveragePool",
    "hard_swish": "use relu or relu6, or write it as a sum, a clip and a product on grids of their own",
    "hard_sigmoid": "write it as a sum and a clip, or use sigmoid",
    "gelu": "use relu, or leaky_relu",
    "elu": "use relu, or leaky_relu",
    "tanh": "use sigmoid (2 * sigmoid(2x) - 1)",
    "transposed_conv": "use a nearest resize and a convolution",
    "resize": "for LiteRT resize bilinearly, which XNNPACK takes; for others by nearest, which only repeats pixels",
    "global_max_pool": "write it as ReduceMax",
    "average_pool": "use stride-2 convolutions, or a depthwise convolution of 1 / k^2",
    "softmax": "give out logits: their order is the same",
    "pad": "pad in the convolution",
    "batch_norm": "fold it into the convolution before it",
}
"""What may stand in the place of a kind that is slow on some engine."""


def float_islands(view: View) -> Iterator[Finding]:
    """Arithmetic in float between integers, by the engine's word, and the first cause that the file shows."""
    if not view.listing.quantized:
        return
    found: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for operation in view.listing.operations:
        if operation.kind in MOVES or view.integer(operation) or _part_of_another(view, operation):
            continue
        found[_cause(view, operation)].append(operation.name)
    for (what, why, change), layers in found.items():
        yield Finding("float_islands", "speed", tuple(layers), what, why, change)


def off_the_fast_path(view: View) -> Iterator[Finding]:
    """Operations that the delegate left to built-in kernels; each change of hands costs beside the slower kernel."""
    if view.kernels is None:
        return
    left: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for operation in view.listing.operations:
        kernel = view.kernel(operation)
        if kernel is not None and not kernel.fast:
            left[operation.type, operation.kind, kernel.name].append(operation.name)
    for (word, kind, kernel_name), layers in left.items():
        if kind in ("quantize", "dequantize") and len(layers) <= ENDS:
            continue
        yield Finding(
            "off_the_fast_path",
            "speed",
            tuple(layers),
            f"{word} is off the fast path",
            f"{view.engine} has nothing better for it here than its {kernel_name} kernel",
            INSTEAD.get(kind, "use an operation that it takes, or have it all at one end of the network"),
        )


def _part_of_another(view: View, operation: Operation) -> bool:
    """Whether it runs inside another's kernel, as an activation behind a convolution does."""
    if view.kernels is None:
        return operation.kind in ACTIVATIONS
    return view.kernel(operation) is None


def _cause(view: View, operation: Operation) -> tuple[str, str, str]:
    """What, why, and what would change it."""
    given, made = view.quantized_ends(operation)
    what = f"{operation.type} in float"
    if operation.kind in WEIGHTED and operation.weights is not None and not operation.weights.integer:
        return what, "its weights are floats", "quantize them to int8, a channel at a time"
    if not given and not made:
        return what, "neither what goes in nor what comes out is quantized", "quantize both ends, or accept the island"
    if not given:
        return what, "not all that goes in is quantized", "quantize the input that is not"
    if not made:
        return what, "what comes out is not quantized", "put QuantizeLinear and DequantizeLinear behind it"
    if operation.bias is not None and operation.bias.dtype.startswith("float"):
        return what, "its bias is a float", "quantize the bias to int32 with scale sx * sw"
    signed = view.format == "onnx" and any(value.dtype == "int8" for value in (*operation.inputs, *operation.outputs))
    if signed and operation.kind in TAKEN_UNSIGNED:
        return what, SIGNED, "quantize activations to uint8 (QuantType.QUInt8): the same grid, 128 higher"
    change = INSTEAD.get(operation.kind, "use an operation that it has integers for")
    return what, f"both ends are quantized, and yet {view.engine} has no integer kernel that takes it here", change

"""What OpenVINO does to a model on its way to the processor and must not: fuse across a rounding, or compute wrongly.

Nothing is fused across a maximum with a number that no value lies below, and none is changed by it. Each case is of
OpenVINO 2026.4.1 on x86.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgecnn.formats.openvino.tensors import made_by, number, takers


def keep_as_written(openvino: Any, model: Any) -> None:
    """Put a maximum wherever a model would be computed otherwise than its graph says; the model is changed."""
    _keep_rounding_before_sums(openvino, model)
    _keep_pools_before_gates(openvino, model)
    _keep_in_float(openvino, model)


def _keep_rounding_before_sums(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from fusing a sum into the convolution before it: fused, it leaves out the rounding in between.

    A maximum with the lower end of the range that the value lies in anyway changes nothing, and can't be fused across.
    Nor can a layer that rounds to whole numbers first: that needs none.
    """
    for node in model.get_ops():
        if node.get_type_name() != "Add":
            continue
        for place in range(2):
            given = node.input_value(place)
            scaled = given.get_node() if given.get_node().get_type_name() == "Multiply" else None
            rounding = made_by(scaled, "FakeQuantize") if scaled is not None else given.get_node()
            if rounding is None or rounding.get_type_name() != "FakeQuantize" or made_by(rounding, "Round") is not None:
                continue
            if len(takers(rounding.output(0))) == 1:
                low = number(rounding, 3) * (number(scaled, 1) if scaled is not None else 1.0)
                least = openvino.opset8.constant(np.float32(low))
                node.input(place).replace_source_output(openvino.opset8.maximum(given, least).output(0))


def _keep_pools_before_gates(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from moving an activation to the front of a max pool: swish falls before it rises, and so differs.

    2026.4.1 does so between a convolution and a swish or hard_swish, and is off by a tenth of the largest value.
    Nothing is moved across a maximum, here with the least float.
    """
    for node in model.get_ops():
        if node.get_type_name() != "MaxPool":
            continue
        takers = list(node.output(0).get_target_inputs())
        if any(taker.get_node().get_type_name() in ("Swish", "HSwish") for taker in takers):
            least = openvino.opset8.constant(np.finfo(np.float32).min, dtype=np.float32)
            kept = openvino.opset8.maximum(node.output(0), least)
            for taker in takers:
                taker.replace_source_output(kept.output(0))


def _keep_in_float(openvino: Any, model: Any) -> None:
    """Stop OpenVINO from computing in int8 what it gets wrong there: nothing is fused across a maximum in front."""
    for node in model.get_ops():
        wrong = WRONG_IN_INT8.get(node.get_type_name())
        if wrong is not None and wrong(node):
            least = openvino.opset8.constant(np.finfo(np.float32).min, dtype=np.float32)
            kept = openvino.opset8.maximum(node.input_value(0), least)
            node.input(0).replace_source_output(kept.output(0))


def _transposed_wrongly(node: Any) -> bool:
    """A transposed convolution with a kernel shorter than its stride: 2026.4.1 takes the first channel's scale for all.

    So are those behind which an activation and a rounding to values below zero follow (symmetric activations).
    """
    kernel, strides = node.input_value(1).get_shape()[2:], node.get_attributes()["strides"]
    return any(k < s for k, s in zip(kernel, strides, strict=True)) or _rounded_below_zero(node.output(0))


def _grouped_wrongly(node: Any) -> bool:
    """A convolution with groups that is not plainly depthwise.

    2026.4.1 is up to 164 steps off in three values of four on AMX; and of depthwise convolutions with a multiplier, on
    AVX512-VNNI too, up to 243 in four of five where the output is one column wide and the stride across above 1.
    """
    _, filters, channels = node.input_value(1).get_shape()[:3]
    return bool(filters > 1 or channels > 1)


def _rounded_below_zero(output: Any) -> bool:
    """Whether an activation alone follows (perhaps behind a bias), and then a FakeQuantize from below zero on."""
    activated = False
    while len(takers := list(output.get_target_inputs())) == 1:
        node = takers[0].get_node()
        kind = node.get_type_name()
        if kind == "FakeQuantize":
            return activated and bool(node.input_value(1).get_node().get_data().min() < 0.0)
        if kind not in ("Add", "Relu", "Clamp"):
            return False
        activated, output = activated or kind != "Add", node.output(0)
    return False


WRONG_IN_INT8: Mapping[str, Callable[[Any], bool]] = {
    "ConvolutionBackpropData": _transposed_wrongly,
    "GroupConvolution": _grouped_wrongly,
}
"""By operation: whether one of that kind is computed in float instead."""

"""Rounding first and shifting then, as QuantizeLinear does: OpenVINO's own FakeQuantize shifts first, in float32.

It computes round(x / scale + zero point), and above 128 float32 has steps of 1.5e-5: a value that close to the middle
between two points falls to either side. Deep nets amplify each such step. Where x / scale is rounded by itself, what
the FakeQuantize is given are whole numbers already. On x86 OpenVINO computes all of it within the layer before.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "MatMul")
LEVELS = 256
ENDS = ("Convert", "Add", "Maximum")
"""What stands between the last FakeQuantize and the uint8 output; symmetric activations are shifted there."""


def round_before_shifting(openvino: Any, model: Any) -> None:
    """Divide and round in front of each FakeQuantize with a zero point behind a layer with weights.

    The ends that it reads by become whole numbers, those that it writes by stay. So does the last one, behind which
    nothing is amplified. The model is changed.
    """
    rounded = importlib.import_module("openvino.opset5").round
    for node in model.get_ops():
        if node.get_type_name() != "FakeQuantize" or not _is_weighted(node.input_value(0).get_node()):
            continue
        low, high = (node.input_value(i).get_node().get_data() for i in (1, 2))
        if low.size > 1 or low.min() >= 0.0 or node.get_attributes()["levels"] != LEVELS or _is_last(node):
            continue
        scale = (float(high.max()) - float(low.min())) / (LEVELS - 1)
        zero_point = round(-float(low.min()) / scale)
        per_step = openvino.opset8.constant(np.float32(1.0 / scale))
        whole = rounded(openvino.opset8.multiply(node.input_value(0), per_step), "half_to_even")
        node.input(0).replace_source_output(whole.output(0))
        for place, end in ((1, -zero_point), (2, LEVELS - 1 - zero_point)):
            ends = openvino.opset8.constant(np.full(low.shape, end, np.float32))
            node.input(place).replace_source_output(ends.output(0))


def _is_weighted(node: Any) -> bool:
    """Whether it is a layer with weights, or the bias behind one."""
    if node.get_type_name() == "Add":
        node = node.input_value(0).get_node()
    return node.get_type_name() in WEIGHTED


def _is_last(node: Any) -> bool:
    """Whether what it gives is the network's answer; symmetric activations are shifted on the way."""
    while (kind := node.get_type_name()) != "Result":
        takers = node.output(0).get_target_inputs()
        if kind not in ("FakeQuantize", *ENDS) or len(takers) != 1:
            return False
        node = next(iter(takers)).get_node()
    return True


def division(node: Any) -> tuple[Any, float] | None:
    """Of a FakeQuantize in a file of any origin: the output that is divided and rounded in front of it, and the scale.

    None where that is not so, or where its ends don't undo the division.
    """
    whole = node.input_value(0).get_node()
    if whole.get_type_name() != "Round" or whole.get_attributes()["mode"] != "half_to_even":
        return None
    divided = whole.input_value(0).get_node()
    if divided.get_type_name() != "Multiply" or not all(_is_taken_once(each) for each in (whole, divided)):
        return None
    numbers = [_number(divided, 1), *(_number(node, place) for place in (1, 2, 3, 4))]
    per_step, low, high, made_low, made_high = numbers
    if not all(np.isfinite(numbers)) or per_step <= 0.0 or (low, high) != (round(low), round(high)):
        return None
    if not np.allclose((made_low * per_step, made_high * per_step), (low, high), rtol=1e-5, atol=1e-3):
        return None
    return divided.input_value(0), 1.0 / per_step


def _is_taken_once(node: Any) -> bool:
    return len(node.output(0).get_target_inputs()) == 1


def _number(node: Any, place: int) -> float:
    """The single number that a node is given at a place; nan where it is none."""
    given = node.input_value(place).get_node()
    if given.get_type_name() != "Constant" or given.get_data().size != 1:
        return float("nan")
    return float(given.get_data().item())

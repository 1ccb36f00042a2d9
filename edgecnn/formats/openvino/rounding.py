"""Rounding to whole numbers in front of a FakeQuantize: what edgecnn 0.x wrote behind layers, and others may.

A FakeQuantize computes round(x / scale + zero point), and above 128 float32 has steps of 1.5e-5: a value that close to
the middle between two points falls to either side. Where x / scale is rounded by itself, what it is given are whole
numbers already.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecnn.formats.openvino.tensors import number, takers


def division(node: Any) -> tuple[Any, float] | None:
    """Of a FakeQuantize in a file of any origin: the output that is divided and rounded in front of it, and the scale.

    None where that is not so, or where its ends don't undo the division.
    """
    whole = node.input_value(0).get_node()
    if whole.get_type_name() != "Round" or whole.get_attributes()["mode"] != "half_to_even":
        return None
    divided = whole.input_value(0).get_node()
    if divided.get_type_name() != "Multiply" or any(len(takers(each.output(0))) != 1 for each in (whole, divided)):
        return None
    numbers = [number(divided, 1), *(number(node, place) for place in (1, 2, 3, 4))]
    per_step, low, high, made_low, made_high = numbers
    if not all(np.isfinite(numbers)) or per_step <= 0.0 or (low, high) != (round(low), round(high)):
        return None
    if not np.allclose((made_low * per_step, made_high * per_step), (low, high), rtol=1e-5, atol=1e-3):
        return None
    return divided.input_value(0), 1.0 / per_step

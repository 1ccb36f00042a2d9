"""The scales of a file in whole numbers: those its rt_info says, and those its factors are made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from edgecnn.formats.openvino.tensors import WEIGHTED, made_by, sole_taker
from edgecnn.formats.openvino.whole import MOVERS, RT_INFO, sum_scales
from edgecnn.graph.edit import Array
from edgecnn.graph.program import Op

ENDS = ("Convert", "Add", "Maximum")
"""What stands between the last FakeQuantize and the uint8 output; symmetric activations are shifted there."""


def said_scales(model: Any) -> dict[str, float]:
    """What a file's rt_info says, by name of the FakeQuantize; {} where it says nothing that can be read."""
    if not model.has_rt_info(list(RT_INFO)):
        return {}
    try:
        said = json.loads(str(model.get_rt_info(list(RT_INFO)).value))
    except (ValueError, RecursionError):
        return {}
    entries = said.items() if isinstance(said, dict) else ()
    return {name: scale for name, scale in entries if isinstance(scale, float) and 0 < scale < np.inf}


def factor_behind(rounding: Any) -> Any | None:
    """Of a FakeQuantize: the Multiply behind a layer's sums, where what comes is rounded to whole numbers; or None."""
    whole = made_by(rounding, "Round")
    product = made_by(whole, "Multiply", "Relu") if whole is not None else None
    if product is not None and product.get_type_name() == "Relu":
        product = made_by(product, "Multiply")
    if product is None or product.input_value(1).get_node().get_type_name() != "Constant":
        return None
    return product if summing(product) is not None else None


def rounding_behind(product: Any) -> Any | None:
    """The FakeQuantize behind a factor, an activation and a rounding to whole numbers; or None."""
    activated = sole_taker(product.output(0), "Relu")
    whole = sole_taker((activated or product).output(0), "Round")
    return sole_taker(whole.output(0), "FakeQuantize") if whole is not None else None


def summing(product: Any) -> Any | None:
    """The node that multiplies by weights and adds up, in front of a factor and perhaps of a bias."""
    sums = made_by(product, "Round")
    node = made_by(sums, "Add", *WEIGHTED) if sums is not None else None
    return made_by(node, *WEIGHTED) if node is not None and node.get_type_name() == "Add" else node


def weights_step(layer: Any) -> Array:
    """What a layer's integer weights are multiplied by: [1] or [O]."""
    node = layer.input_value(1).get_node()
    while node.get_type_name() == "Reshape":
        node = node.input_value(0).get_node()
    step = node.input_value(1).get_node() if node.get_type_name() == "Multiply" else node
    return np.ravel(step.get_data()) if step.get_type_name() == "Constant" else np.ones(1)


def rounding_of(output: Any, through: tuple[str, ...] = MOVERS) -> Any | None:
    """The FakeQuantize that a value comes from, behind operations of these kinds alone; None where there is none."""
    node = output.get_node()
    while node.get_type_name() in through:
        node = node.input_value(0).get_node()
    return node if node.get_type_name() == "FakeQuantize" else None


def implied_scale(rounding: Any, layers: Mapping[str, Op]) -> float | None:
    """The output's scale that a layer's factors are made for, given the graph's other scales; None without factors.

    M = sx * sw / sy, so sy = sx * sw / M, in each channel: that of the channel which is furthest from the graph's;
    infinite where there are factors for another number of channels.
    """
    product = factor_behind(rounding)
    layer = summing(product) if product is not None else None
    op = layers.get(layer.get_friendly_name()) if layer is not None else None
    if product is None or op is None or op.output.grid is None:
        return None
    factors, step = np.ravel(product.input_value(1).get_node().get_data()), weights_step(layer)
    if factors.size != sum_scales(op).size or step.size not in (1, factors.size):
        return float("inf")
    factors = factors * step
    with np.errstate(divide="ignore"):
        implied = sum_scales(op).astype(np.float64) / factors
    return float(implied[np.argmax(np.abs(implied / op.output.grid.scale - 1.0))])

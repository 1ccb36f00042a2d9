"""The values of a graph in an OpenVINO model: their names there, who makes them and who takes them."""

from __future__ import annotations

import re
from typing import Any

from edgecnn.graph.half import INNER
from edgecnn.graph.program import Tensor

WEIGHTED = ("Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData", "MatMul")
LEVELS = 256


def tensor_name(tensor: Tensor) -> str:
    """A tensor's name in the IR: that of the dequantized value, where the pair was fused."""
    return re.sub(r"\.q$", ".dq", tensor.value).removesuffix(INNER)


def named_outputs(model: Any) -> dict[str, Any]:
    """Every value of a model by each of its names."""
    return {name: output for node in model.get_ops() for output in node.outputs() for name in output.get_names()}


def is_nameless(node: Any) -> bool:
    """Whether a node bears the name that OpenVINO gives one without, by a number that counts through the process."""
    return re.fullmatch(r"[A-Z]\w*_\d+", node.get_friendly_name()) is not None


def takers(output: Any) -> list[Any]:
    """The nodes that take a value."""
    return [target.get_node() for target in output.get_target_inputs()]


def sole_taker(output: Any, *kinds: str) -> Any | None:
    """The only node that takes a value, where it is of one of these kinds; None where there are several."""
    found = takers(output)
    return found[0] if len(found) == 1 and found[0].get_type_name() in kinds else None


def made_by(node: Any, *kinds: str) -> Any | None:
    """What gives a node its first input, where it is of one of these kinds."""
    maker = node.input_value(0).get_node()
    return maker if maker.get_type_name() in kinds else None


def number(node: Any, place: int) -> float:
    """The single number that a node is given at a place; nan where it is none."""
    given = node.input_value(place).get_node()
    if given.get_type_name() != "Constant" or given.get_data().size != 1:
        return float("nan")
    return float(given.get_data().item())

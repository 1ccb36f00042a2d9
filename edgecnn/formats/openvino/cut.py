"""One layer of a model by itself: from its inputs' FakeQuantize nodes to its own."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from edgecnn.formats.openvino.rounding import division
from edgecnn.formats.openvino.scales import rounding_of
from edgecnn.formats.openvino.tensors import LEVELS, named_outputs, tensor_name
from edgecnn.formats.openvino.whole import MOVERS
from edgecnn.graph.program import Op, Tensor

READS_BY, WRITES_BY = (1, 2), (3, 4)
"""Where a FakeQuantize is given its ends."""


def cut_out(openvino: Any, model: Any, op: Op) -> Any:
    """A model of one layer of another, which is changed. Real values that lie on the grids go in and come out, as
    float32; LookupError where the model has not all the layer's tensors.
    """
    outputs = named_outputs(model)

    def found(tensor: Tensor) -> Any:
        # Of roundings to one grid around a Concat the inner ones go, and a relu that they made needless.
        names = [name for name in (tensor_name(tensor), tensor.unrounded, tensor.name) if name in outputs]
        return outputs[names[0]]

    made = found(op.output)
    scale = _whole_scale(made, op.output)
    parameters = [_parameter(openvino, found(tensor), tensor) for tensor in op.inputs]
    result = openvino.opset8.result(_times(openvino, made, scale) if scale else made)
    return openvino.Model([result], parameters)


def _parameter(openvino: Any, output: Any, tensor: Tensor) -> Any:
    """A new input in front of a value's FakeQuantize, of real values on its grid; the image's own input as it is.

    Where the file divides and rounds in front of the FakeQuantize it does so here; where it holds whole numbers the
    values are turned into those.
    """
    node = output.get_node()
    if node.get_type_name() == "Parameter":
        return node
    parameter = openvino.opset8.parameter(output.get_partial_shape(), output.get_element_type())
    given, targets = parameter.output(0), output.get_target_inputs()
    rounding, scale = _rounding(output), tensor.grid.scale if tensor.grid is not None else 0.0
    if node.get_type_name() == "FakeQuantize":
        divided = division(node)
        targets = divided[0].get_target_inputs() if divided else [node.input(0)]
        if not divided and scale and _steps_of_one(node, READS_BY):
            given = _rounded(openvino, given, scale)
    elif rounding is not None and _whole_scale(output, tensor):
        ends = [rounding.input_value(place) for place in (*WRITES_BY, *WRITES_BY)]
        given = openvino.opset8.fake_quantize(_rounded(openvino, given, scale), *ends, LEVELS).output(0)
    for target in targets:
        target.replace_source_output(given)
    return parameter


def _whole_scale(output: Any, tensor: Tensor) -> float | None:
    """The scale of a value that a file holds in whole numbers; None of one that it holds as it is."""
    rounding = _rounding(output)
    is_whole = rounding is not None and output.get_element_type().is_real() and _steps_of_one(rounding, WRITES_BY)
    return tensor.grid.scale if tensor.grid is not None and is_whole else None


def _rounding(output: Any) -> Any | None:
    """The FakeQuantize whose values these are, moved or kept apart by a maximum that changes none."""
    return rounding_of(output, ("Maximum", *MOVERS))


def _steps_of_one(rounding: Any, places: tuple[int, int]) -> bool:
    """Whether the ends of a FakeQuantize, those that it reads by or those that it writes by, lie 255 apart."""
    low, high = (rounding.input_value(place).get_node().get_data() for place in places)
    return low.size == 1 and float(high.item()) - float(low.item()) == LEVELS - 1


def _times(openvino: Any, output: Any, factor: float) -> Any:
    return openvino.opset8.multiply(output, openvino.opset8.constant(np.float32(factor))).output(0)


def _rounded(openvino: Any, output: Any, scale: float) -> Any:
    """Real values as whole numbers of a scale."""
    divided = _times(openvino, output, 1.0 / scale)
    return importlib.import_module("openvino.opset5").round(divided, "half_to_even").output(0)

"""Faults planted into written model files: one weight scale, one zero point, one padding, one channel; in fp16 files
one weight, or all of a layer.

Each planter changes a copy of an artifact's file in place, in the named layer, and nothing else.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from edgecnn.formats.tflite.builder import pack, schema, unpack

Planter = Callable[[Path, str], None]


# --- TFLite ----------------------------------------------------------------------------------------------------------


def _tflite(change: Callable[[Any, str], None]) -> Planter:
    def plant(folder: Path, layer: str) -> None:
        path = folder / "model.tflite"
        model = unpack(path.read_bytes())
        change(model, layer)
        path.write_bytes(pack(model))

    return plant


def _tensor(model: Any, name: str) -> Any:
    return next(tensor for tensor in model.subgraphs[0].tensors if tensor.name == name.encode())


def _tflite_scale(model: Any, layer: str) -> None:
    quantization = _tensor(model, f"{layer}/weight").quantization
    quantization.scale = _doubled(quantization.scale.copy())


def _tflite_zero_point(model: Any, layer: str) -> None:
    quantization = _tensor(model, layer).quantization
    quantization.zeroPoint = quantization.zeroPoint + 1


def _tflite_padding(model: Any, layer: str) -> None:
    graph = model.subgraphs[0]
    index = next(i for i, tensor in enumerate(graph.tensors) if tensor.name == layer.encode())
    operator = next(operator for operator in graph.operators if index in operator.outputs)
    assert operator.builtinOptions.padding == schema.Padding.SAME
    operator.builtinOptions.padding = schema.Padding.VALID


def _tflite_channel(model: Any, layer: str) -> None:
    weights = _tensor(model, f"{layer}/weight")
    buffer = model.buffers[weights.buffer]
    values = np.frombuffer(bytes(buffer.data), np.int8).reshape(weights.shape).copy()
    values[[0, 1]] = values[[1, 0]]
    buffer.data = values.tobytes()


# --- ONNX ------------------------------------------------------------------------------------------------------------


def _onnx(change: Callable[[onnx.GraphProto, str], None]) -> Planter:
    def plant(folder: Path, layer: str) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model.graph, layer)
        onnx.save(model, folder / "model.onnx")

    return plant


def _edit(graph: onnx.GraphProto, name: str, edit: Callable[[Any], Any]) -> None:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    tensor.CopyFrom(numpy_helper.from_array(edit(numpy_helper.to_array(tensor).copy()), name))


def _doubled(values: Any) -> Any:
    values[1] *= 2
    return values


def _swapped(values: Any) -> Any:
    values[[0, 1]] = values[[1, 0]]
    return values


def _onnx_scale(graph: onnx.GraphProto, layer: str) -> None:
    _edit(graph, f"{layer}.weight.scale", _doubled)


def _onnx_zero_point(graph: onnx.GraphProto, layer: str) -> None:
    _edit(graph, f"{layer}.zero_point", lambda value: np.asarray(value + 1, np.uint8))


def _onnx_padding(graph: onnx.GraphProto, layer: str) -> None:
    node = next(node for node in graph.node if node.name == layer)
    pads = next(attribute for attribute in node.attribute if attribute.name == "pads")
    top, left, bottom, right = pads.ints
    assert (top, left) != (bottom, right), "swapping even margins would change nothing"
    pads.ints[:] = [bottom, right, top, left]


def _onnx_channel(graph: onnx.GraphProto, layer: str) -> None:
    _edit(graph, f"{layer}.weight.q", _swapped)


# --- OpenVINO --------------------------------------------------------------------------------------------------------


def _openvino(change: Callable[[Any, str], None]) -> Planter:
    def plant(folder: Path, layer: str) -> None:
        import openvino

        model = openvino.Core().read_model(folder / "model.xml")
        nodes = {node.get_friendly_name(): node for node in model.get_ops()}
        change(nodes, layer)
        openvino.save_model(model, folder / "changed.xml", compress_to_fp16=False)
        del model, nodes
        for name in ("model.xml", "model.bin"):
            (folder / name.replace("model", "changed")).replace(folder / name)

    return plant


def _replace(node: Any, place: int, edit: Callable[[Any], Any]) -> None:
    from openvino import opset8

    constant = node.input_value(place).get_node()
    node.input(place).replace_source_output(opset8.constant(edit(constant.get_data().copy())).output(0))


def _openvino_scale(nodes: Any, layer: str) -> None:
    _replace(nodes[f"{layer}.weight.dq"], 1, _doubled)


def _openvino_zero_point(nodes: Any, layer: str) -> None:
    quantize = nodes.get(f"{layer}.dq") or nodes[layer]
    assert quantize.get_type_name() == "FakeQuantize"
    low, high = (quantize.input_value(i).get_node().get_data() for i in (1, 2))
    step = (high - low) / 255
    for place in (1, 2, 3, 4):
        _replace(quantize, place, lambda value: value - step)


def _openvino_padding(folder: Path, layer: str) -> None:
    """In the XML itself: OpenVINO's Python API does not change attributes."""
    tree = ElementTree.parse(folder / "model.xml")  # noqa: S314 - our own file
    element = next(
        node
        for node in tree.iter("layer")
        if node.get("name", "").startswith(f"{layer}/") and "Conv" in node.get("type", "")
    )
    data = element.find("data")
    assert data is not None
    begin, end = data.attrib["pads_begin"], data.attrib["pads_end"]
    assert begin != end
    data.attrib["pads_begin"], data.attrib["pads_end"] = end, begin
    tree.write(folder / "model.xml", xml_declaration=True)


def _openvino_channel(nodes: Any, layer: str) -> None:
    multiply = nodes[f"{layer}.weight.dq"]
    convert = multiply.input_value(0).get_node()
    _replace(convert, 0, _swapped)


PLANTERS: dict[str, dict[str, Planter]] = {
    "tflite": {
        "weight scale doubled": _tflite(_tflite_scale),
        "zero point moved": _tflite(_tflite_zero_point),
        "padding changed": _tflite(_tflite_padding),
        "channels permuted": _tflite(_tflite_channel),
    },
    "onnx": {
        "weight scale doubled": _onnx(_onnx_scale),
        "zero point moved": _onnx(_onnx_zero_point),
        "padding changed": _onnx(_onnx_padding),
        "channels permuted": _onnx(_onnx_channel),
    },
    "openvino": {
        "weight scale doubled": _openvino(_openvino_scale),
        "zero point moved": _openvino(_openvino_zero_point),
        "padding changed": _openvino_padding,
        "channels permuted": _openvino(_openvino_channel),
    },
}


# --- fp16 ------------------------------------------------------------------------------------------------------------

FACTOR = 1.05


def _largest_scaled(values: Any) -> Any:
    """The largest weight alone."""
    values.flat[int(np.abs(values).argmax())] *= values.dtype.type(FACTOR)
    return values


def _all_scaled(values: Any) -> Any:
    return (values * values.dtype.type(FACTOR)).astype(values.dtype)


def _half_tflite(edit: Callable[[Any], Any]) -> Planter:
    def change(model: Any, layer: str) -> None:
        weights = _tensor(model, f"{layer}/weight")
        assert weights.type == schema.TensorType.FLOAT16
        buffer = model.buffers[weights.buffer]
        buffer.data = edit(np.frombuffer(bytes(buffer.data), np.float16).copy()).tobytes()

    return _tflite(change)


def _half_openvino(edit: Callable[[Any], Any]) -> Planter:
    def change(nodes: Any, layer: str) -> None:
        widened = nodes[f"{layer}/WithoutBiases"].input_value(1).get_node()
        assert widened.get_type_name() == "Convert"
        _replace(widened, 0, edit)

    return _openvino(change)


def _half_onnx(edit: Callable[[Any], Any]) -> Planter:
    return _onnx(lambda graph, layer: _edit(graph, f"{layer}.weight", edit))


_EDITS = {"one weight": _largest_scaled, "a layer": _all_scaled}
HALF_PLANTERS: dict[str, dict[str, Planter]] = {
    "tflite": {name: _half_tflite(edit) for name, edit in _EDITS.items()},
    "onnx": {name: _half_onnx(edit) for name, edit in _EDITS.items()},
    "openvino": {name: _half_openvino(edit) for name, edit in _EDITS.items()},
}
"""What is scaled by FACTOR in an fp16 file's layer."""

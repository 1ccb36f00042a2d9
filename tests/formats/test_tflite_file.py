"""What stands in a TFLite file: operators, padding, aligned buffers; and weights that are nearly nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.errors import UsageError
from edgecnn.formats.tflite import builder
from edgecnn.formats.tflite.ops import WRITERS, write_op, writes
from edgecnn.formats.tflite.write import write_program
from edgecnn.graph.edit import Graph
from edgecnn.graph.program import read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize
from tests.formats.nets_by_op import NETS
from tests.formats.test_tflite_ops import FORMATS, alone, assert_within_a_step, examples, images_for, levels, written
from tests.graph.small_nets import Net, same

OPERATORS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def content_of(graph: Graph) -> bytes:
    return write_program(read_program(graph), {})


def operators(content: bytes) -> Counter[str]:
    """How often each operator occurs, read by the schema's own code."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    return Counter(OPERATORS[model.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators)


def small_net() -> Net:
    net = Net(np.random.default_rng(3), 9, 9)
    inside = net.relu6(net.conv("x", "stem", 5, (3, 3), (2, 2), (1, 1, 1, 1)), "act")
    inside = net.max_pool(net.conv(inside, "depthwise", 5, (3, 3), margins=(1, 1, 1, 1), groups=5), "pool", (2, 2))
    net.dense(net.flatten(inside), "classifier", 7)
    return net


# --- operators --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETS)
def test_pad_only_where_same_cannot_say_it_and_transpose_only_to_shuffle_or_at_a_flat_end(kind: str) -> None:
    @examples("onnx")
    @given(NETS[kind], st.booleans())
    def check(net: Net, int8: bool) -> None:
        graph = net.canonical()
        if int8:
            graph = quantize(graph, images_for(net)[:8])
        found = operators(content_of(graph))
        wanted = sum(needs_pad(net, node) for node in net.nodes)
        assert found["PAD"] + found["PADV2"] == wanted
        shuffles = sum(node.op == "Transpose" for node in net.nodes)
        assert found["TRANSPOSE"] == shuffles + ends_in_a_flat_map(net)

    check()


def ends_in_a_flat_map(net: Net) -> bool:
    """Whether the answer is a flattened map of several places, which no dense layer puts in order."""
    ops = [node.op for node in net.nodes]
    flat = max((i for i, op in enumerate(ops) if op == "Flatten"), default=None)
    if flat is None or "Gemm" in ops[flat:]:
        return False
    height, width = net.shape(net.nodes[flat].inputs[0])[2:]
    return height * width > 1


def needs_pad(net: Net, node: Any) -> bool:
    margins = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
    if not any(margins) or node.op == "ConvTranspose":  # whose margins are cut off, not put on
        return False
    if node.attributes.get("count_include_pad"):
        return True  # SAME does not count its margins
    dilations = node.attributes.get("dilations", (1, 1))
    window = [(k - 1) * d + 1 for k, d in zip(node.attributes["kernel_shape"], dilations, strict=True)]
    return margins != same(net.shape(node.inputs[0])[2:], window, node.attributes["strides"])


def test_uneven_margins_of_a_stride_of_two() -> None:
    """torch's (1, 1) needs a PAD at an even size; TensorFlow's (0, 1) does not."""
    for margins, pads in (((1, 1, 1, 1), 1), ((0, 0, 1, 1), 0)):
        net = Net(np.random.default_rng(0), 8, 8)
        net.flatten(net.conv("x", "tested", 4, (3, 3), (2, 2), margins))
        assert operators(content_of(net.canonical()))["PAD"] == pads


def test_a_batch_norm_alone_is_a_depthwise_convolution() -> None:
    net = Net(np.random.default_rng(0), 4, 4)
    net.flatten(net.batch_norm(net.max_pool("x", "pool", (2, 2)), "tested"))
    assert operators(content_of(net.canonical()))["DEPTHWISE_CONV_2D"] == 1


def test_an_operation_without_a_writer_is_named_with_its_layer_and_what_there_is() -> None:
    net = Net(np.random.default_rng(0), 4, 4)
    net.add_node("Sin", "gate", [net.flatten("x")], lambda x: x.sin())
    with pytest.raises(UsageError, match=r"layer 'gate': TFLite has no writer for Sin; supported: .*Conv.*Softmax"):
        content_of(net.canonical())


def test_uncounted_margins_that_same_cannot_say_are_refused() -> None:
    net = Net(np.random.default_rng(0), 8, 8)
    net.flatten(net.average_pool("x", "mean", (3, 3), (2, 2), (1, 1, 1, 1)))
    with pytest.raises(UsageError, match=r"layer 'mean': .*margins \[1, 1, 1, 1\].*use padding same or valid"):
        content_of(net.canonical())


def test_two_writers_of_one_operation_are_an_error() -> None:
    content_of(small_net().canonical())  # fills WRITERS
    before = dict(WRITERS)
    with pytest.raises(ValueError, match="Conv has two writers"):
        writes("Conv")(write_op)
    assert before == WRITERS


# --- bytes ------------------------------------------------------------------------------------------------------------


def buffer_places(content: bytes) -> list[int]:
    """Where in the file each constant's bytes begin."""
    model = schema.Model.GetRootAs(content, 0)
    places = []
    for i in range(model.BuffersLength()):
        table = model.Buffers(i)._tab
        field = table.Offset(4)  # the field `data` is the table's first
        if field and table.VectorLen(field):
            places.append(table.Vector(field))
    return places


@pytest.mark.parametrize("int8", [False, True])
def test_constants_stand_at_multiples_of_16(int8: bool) -> None:
    net = small_net()
    graph = quantize(net.canonical(), images_for(net)) if int8 else net.canonical()
    places = buffer_places(content_of(graph))
    assert len(places) >= 6
    assert [place % 16 for place in places] == [0] * len(places)


def test_the_generated_code_would_not_align_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: buffers as the schema's own code packs them."""
    monkeypatch.setattr(builder.AlignedBuffer, "Pack", schema.BufferT.Pack)
    assert any(place % 16 for place in buffer_places(content_of(small_net().canonical())))


def test_the_file_says_what_it_is() -> None:
    content = content_of(small_net().canonical())
    assert content[4:8] == b"TFL3"
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    assert model.version == 3
    assert model.buffers[0].data is None
    (signature,) = model.signatureDefs
    assert [each.name for each in (*signature.inputs, *signature.outputs)] == [b"image", b"logits"]
    for code in model.operatorCodes:
        assert code.deprecatedBuiltinCode == min(code.builtinCode, 127)


# --- weights that are nearly nothing ----------------------------------------------------------------------------------

NEARLY_DEAD = {
    "weights 1e-12, bias 0.3": (1e-12, 0.3),
    "weights 0, bias 0.3": (0.0, 0.3),
    "weights 0, bias 0": (0.0, 0.0),
    "weights 1e-30, bias -40": (1e-30, -40.0),
}


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("layer", ["conv", "depthwise", "dense"])
@pytest.mark.parametrize(("weight", "bias"), NEARLY_DEAD.values(), ids=NEARLY_DEAD)
def test_a_nearly_dead_channel(weight: float, bias: float, layer: str, form: Any) -> None:
    net = Net(np.random.default_rng(9), 6, 6)
    given = net.conv("x", "front", 4)
    if layer == "dense":
        net.dense(net.flatten(given), "tested", 6)
    else:
        depthwise = {"groups": 4} if layer == "depthwise" else {}
        net.flatten(net.conv(given, "tested", 4, (3, 3), margins=(1, 1, 1, 1), **depthwise))
    net.constants["tested.0"][1], net.constants["tested.1"][1] = weight, bias
    images = images_for(net)
    graph = quantize(net.canonical(), images)
    assert_fits_int32(graph, "tested")
    program = read_program(graph)
    reference = Reference(graph, [op.output.value for op in program.ops]).values(images)
    op = next(op for op in program.ops if op.name.startswith("tested"))
    with written(form, graph) as model:
        found = alone(form, model, program, op, [reference[op.inputs[0].value]])
    assert found is not None
    assert_within_a_step(found, reference[op.output.value], f"{layer} in {form.name}")
    grid = op.output.grid
    assert grid is not None
    dead = (found[:, 1].astype(np.float64) - grid.zero_point) * grid.scale
    assert np.abs(dead - bias).max() <= grid.scale, "the dead channel gives its bias"
    if abs(bias) < 1:
        assert levels(found) >= 64


def assert_fits_int32(graph: Graph, layer: str) -> None:
    weights = graph.constants[f"{layer}.weight.q"].astype(np.int64)
    bias = graph.constants[f"{layer}.bias.q"]
    assert bias.dtype == np.int32
    reach = np.abs(bias.astype(np.int64)) + 255 * np.abs(weights.reshape(len(weights), -1)).sum(axis=1)
    assert reach.max() < 2**31
    exact = graph.constants[f"{layer}.bias.scale"].astype(np.float64) * bias
    assert np.isfinite(exact).all()


def test_the_bias_floor_is_what_keeps_it_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: without the floor under the scale, the same net is refused (or would wrap)."""
    monkeypatch.setattr("edgecnn.quantize.grids.BIAS_LIMIT", 2**60)
    monkeypatch.setattr("edgecnn.quantize.grids.SMALLEST_MULTIPLIER", 1e-30)
    net = Net(np.random.default_rng(9), 6, 6)
    net.flatten(net.conv(net.conv("x", "front", 4), "tested", 4, (3, 3)))
    net.constants["tested.0"][1], net.constants["tested.1"][1] = 1e-12, 0.3
    with pytest.raises(UsageError, match="layer 'tested': sums of products can pass int32"):
        quantize(net.canonical(), images_for(net))


def test_written_in_a_folder_of_its_own(tmp_path: Path) -> None:
    """Nothing but the model lies in the folder afterwards."""
    FORMATS["tflite"].write(small_net().canonical(), tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]

"""Every operation that can be written, fp32 and int8, in every format, over shapes that hypothesis draws.

Held against torch, ONNX's ReferenceEvaluator, and (int8) the QDQ graph in ONNX Runtime without optimizations. One int8
operation may be one step off, on no value more; the draws count only where its output uses 64 levels or more.

The draws are the same in every run, and more where CI is set. EDGECNN_EXAMPLES=200 draws that many others for each
operation and format.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from edgecnn.edge.runtimes import Session, runtime_for
from edgecnn.formats import Format, all_formats
from edgecnn.graph.edit import Graph
from edgecnn.graph.program import Op, Program, Tensor, read_program
from edgecnn.graph.reference import Reference
from edgecnn.metrics import steps
from edgecnn.proof.parity import LayerReference
from edgecnn.quantize import broken_rules, quantize
from tests.formats.nets_by_op import NETS
from tests.graph.small_nets import Net, evaluate, pictures

Array = NDArray[Any]
MORE = os.environ.get("EDGECNN_EXAMPLES")
FORMATS = all_formats()
LEVELS = 64
SHARE = 0.8
"""So many of the draws must use enough levels; else a test would pass by looking at nothing."""
FLOAT_TOLERANCE = 1e-4


def examples(form: str, activations: str = "asymmetric") -> Any:
    """How many nets are drawn; OpenVINO's converter takes 0.5 s for each."""
    few, many = (3, 6) if form == "openvino" else (6, 15) if activations == "asymmetric" else (5, 5)
    count = int(MORE) if MORE else many if os.environ.get("CI") else few
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=not MORE,
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


def each_kind_and_format(*more: pytest.MarkDecorator) -> pytest.MarkDecorator:
    """Parametrises a test by `kind` and `form`; what goes through OpenVINO's converter is slow, and marked `more`."""
    marks = {"openvino": (pytest.mark.slow, *more)}
    return pytest.mark.parametrize(
        ("kind", "form"),
        [
            pytest.param(kind, form, id=f"{kind}-{name}", marks=marks.get(name, ()))
            for kind in NETS
            for name, form in FORMATS.items()
        ],
    )


def images_for(net: Net) -> Array:
    """As many pictures as give the smallest tensor a few thousand values, in whole batches."""
    batch = net.shape("x")[0]
    smallest = min(net.zeros[node.name][0].numel() for node in net.nodes)
    count = int(np.clip(2000 // smallest, 8, 256))
    return pictures(net.rng, -(-count // batch) * batch, *net.shape("x")[2:])


def run(session: Session, batch: int, *arrays: Array) -> Array:
    """A session over many pictures, a batch at a time."""
    parts = [session.run(*(a[i : i + batch] for a in arrays)) for i in range(0, len(arrays[0]), batch)]
    return np.concatenate(parts)


@contextmanager
def written(form: Format, graph: Graph) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        form.write(graph, Path(folder), {})
        yield Path(folder) / form.model


def whole(form: Format, graph: Graph, images: Array) -> Array:
    """What the file of a graph gives for pictures, in the graph's order."""
    with written(form, graph) as model:
        session = runtime_for(form.name).open(model, 1)
        return form.decode(read_program(graph).output, run(session, graph.inputs[0].shape[0], images))


def alone(form: Format, model: Path, program: Program, op: Op, inputs: list[Array]) -> Array | None:
    """What a file makes of one operation, cut out and given the reference's own values."""
    with tempfile.TemporaryDirectory() as folder:
        cut = form.cut(model, program, op, Path(folder))
        if cut is None:
            return None
        session = runtime_for(form.name).open(cut, 1)
        encoded = [form.encode(tensor, values) for tensor, values in zip(op.inputs, inputs, strict=True)]
        return form.decode(op.output, run(session, program.image.shape[0], *encoded))


def assert_close(found: Array, expected: Array, what: str, tolerance: float = FLOAT_TOLERANCE) -> None:
    assert found.shape == expected.shape, what
    worst, largest = np.abs(found - expected).max(), np.abs(expected).max()
    assert worst <= tolerance * largest, f"{what}: off by {worst:.3g}, the largest value is {largest:.3g}"


def assert_within_a_step(found: Array, expected: Array, what: str) -> None:
    assert found.dtype == expected.dtype == np.uint8, what
    assert found.shape == expected.shape, what
    off = steps(found, expected)
    assert off.max() <= 1, f"{what}: {off.max()} steps off, {(off > 1).mean():.2%} of the values by more than one"


# --- float -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NETS)
def test_torch_and_onnx_agree_on_the_canonical_graph(kind: str) -> None:
    @examples("onnx")
    @given(NETS[kind])
    def check(net: Net) -> None:
        images = images_for(net)[:8]
        assert_close(evaluate(net.canonical(), images), net.torch(images), kind, 1e-5)

    check()


@each_kind_and_format()
def test_fp32(kind: str, form: Format) -> None:
    @examples(form.name)
    @given(NETS[kind])
    def check(net: Net) -> None:
        images = images_for(net)[:16]
        assert_close(whole(form, net.canonical(), images), net.torch(images), f"{kind} in {form.name}")

    check()


# --- int8 ------------------------------------------------------------------------------------------------------------


def is_tested(op: Op) -> bool:
    return op.name.startswith(("tested", "probabilities"))


def levels(values: Array) -> int:
    return len(np.unique(values))


def each_that_uses_its_levels(
    kind: str,
    form: str,
    check: Callable[[Net, Graph, Array, dict[str, Array]], None],
    activations: str = "asymmetric",
) -> None:
    """Draw nets of a kind, quantize them, and check those whose tested operation uses enough levels: most must."""
    drawn, checked = 0, 0
    least = LEVELS if activations == "asymmetric" else LEVELS // 2

    @examples(form, activations)
    @given(NETS[kind])
    def draw(net: Net) -> None:
        nonlocal drawn, checked
        drawn += 1
        images = images_for(net)
        graph = quantize(net.canonical(), images, activations=activations)
        program, reference = read_program(graph), LayerReference(graph, images).values
        tested = [op for op in program.ops if (is_tested(op) and op.type != "Flatten") or op.name == "tested/flatten"]
        op = tested[-1]  # hard_swish is two: its gate, and the product
        if levels(reference[op.output.value]) >= least:
            checked += 1
            check(net, graph, images, reference)

    draw()
    assert checked >= SHARE * drawn, f"only {checked} of {drawn} draws use {least} levels"


def given_to(tensor: Tensor, images: Array, reference: dict[str, Array]) -> Array:
    return images if tensor.value == "image" else reference[tensor.value]


@each_kind_and_format()
def test_int8(kind: str, form: Format) -> None:
    """Each operation by itself; and the whole file where it holds only one that computes."""
    each_that_uses_its_levels(kind, form.name, check_int8(form))


@each_kind_and_format(pytest.mark.long)
def test_int8_with_symmetric_activations(kind: str, form: Format) -> None:
    """The same, and TensorRT's rules; a relu leaves half of the levels unused."""

    def check(net: Net, graph: Graph, images: Array, reference: dict[str, Array]) -> None:
        assert broken_rules(graph) == (), kind
        check_int8(form)(net, graph, images, reference)

    each_that_uses_its_levels(kind, form.name, check, "symmetric")


def check_int8(form: Format) -> Callable[[Net, Graph, Array, dict[str, Array]], None]:
    def check(net: Net, graph: Graph, images: Array, reference: dict[str, Array]) -> None:
        program = read_program(graph)
        with written(form, graph) as model:
            for op in program.ops:
                inputs = [given_to(tensor, images, reference) for tensor in op.inputs]
                found = alone(form, model, program, op, inputs)
                if found is not None:
                    assert_within_a_step(found, reference[op.output.value], f"{op.name} ({op.type}) in {form.name}")
            if sum(op.type != "Flatten" for op in program.ops) == 1:
                session = runtime_for(form.name).open(model, 1)
                found = form.decode(program.output, run(session, net.shape("x")[0], images))
                assert_within_a_step(found, reference[program.output.value], f"the {form.name} file")

    return check


@pytest.mark.parametrize("kind", NETS)
def test_onnx_agrees_on_the_qdq_graph(kind: str) -> None:
    """The reference itself, ONNX Runtime, against ONNX's own evaluator: every value of the graph."""

    def check(net: Net, graph: Graph, images: Array, reference: dict[str, Array]) -> None:
        program, count = read_program(graph), 8
        for op in program.ops:
            part = graph.between([graph.value(t.value) for t in op.inputs], [graph.value(op.output.value)])
            found = evaluate(part, *(given_to(t, images, reference)[:count] for t in op.inputs))
            assert_within_a_step(found, reference[op.output.value][:count], f"{op.name} ({op.type})")

    each_that_uses_its_levels(kind, "onnx", check)


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("shift", [-100.0, -2.7])
def test_a_layer_that_calibration_finds_dead_or_nearly_so(form: Format, shift: float) -> None:
    """Its range is zero, or hardly more: input * weight / output scales stay within what engines take."""
    net = Net(np.random.default_rng(4), 6, 6)
    bias = np.full(3, shift, np.float32)
    tested = net.relu(net.conv("x", "tested", 3, weights=np.ones((3, 3, 1, 1), np.float32), bias=bias), "tested_relu")
    net.flatten(net.conv(tested, "behind", 4))
    images = images_for(net)
    graph = quantize(net.canonical(), images)
    reference = LayerReference(graph, images).values
    check_int8(form)(net, graph, images, reference)


# --- planted faults ---------------------------------------------------------------------------------------------------


def example_net() -> Net:
    net = Net(np.random.default_rng(5), 9, 9)
    tested = net.conv(net.conv("x", "front", 4), "tested", 6, (3, 3), (2, 2), (0, 0, 1, 1))
    net.flatten(net.conv(tested, "behind", 4))  # the logits' range has a margin, in which a moved zero point hides
    return net


def double_a_scale(graph: Graph) -> None:
    scales = graph.constants["tested.weight.scale"].copy()
    scales[0] *= 2
    graph.constants["tested.weight.scale"] = scales


def move_a_zero_point(graph: Graph) -> None:
    graph.constants["tested.zero_point"] = graph.constants["tested.zero_point"] + np.uint8(2)


def change_the_padding(graph: Graph) -> None:
    next(node for node in graph.nodes if node.name == "tested").attributes["pads"] = [1, 1, 0, 0]


def swap_two_channels(graph: Graph) -> None:
    weights = graph.constants["tested.weight.q"]
    graph.constants["tested.weight.q"] = weights[[1, 0, *range(2, len(weights))]]


FAULTS = [double_a_scale, move_a_zero_point, change_the_padding, swap_two_channels]


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("plant", FAULTS)
def test_a_fault_in_the_written_file_is_seen(plant: Callable[[Graph], None], form: Format) -> None:
    net = example_net()
    images = images_for(net)
    graph = quantize(net.canonical(), images)
    program = read_program(graph)
    reference = Reference(graph, [op.output.value for op in program.ops]).values(images)
    op = next(op for op in program.ops if op.name == "tested")
    assert levels(reference[op.output.value]) >= LEVELS
    plant(graph)
    with written(form, graph) as model:
        found = alone(form, model, program, op, [reference[op.inputs[0].value]])
    assert found is not None
    with pytest.raises(AssertionError, match="steps off"):
        assert_within_a_step(found, reference[op.output.value], op.name)


def test_draws_that_use_few_levels_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.LEVELS", 257)
    with pytest.raises(AssertionError, match="draws use 257 levels"):
        each_that_uses_its_levels("relu", "onnx", lambda *_: None)

"""Every word of `layers:`, fp32 and int8, in every format, on real pictures.

Float against torch, within 1e-4 of the largest value; each int8 operation by itself within a step of the QDQ graph in
ONNX Runtime without optimizations. A new word adds a line to CASES; a test says which word has none.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from edgecnn.data import DataSpec, open_dataset
from edgecnn.formats import Format, all_formats
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph
from edgecnn.graph.program import Tensor, read_program
from edgecnn.graph.trace import trace
from edgecnn.metrics import steps
from edgecnn.nn.layers import plan_layers
from edgecnn.nn.network import LayeredNetwork
from edgecnn.proof.parity import LayerReference
from edgecnn.quantize import quantize
from edgecnn.recipe import load_recipe
from edgecnn.recipe.layers import WORDS, Layer
from tests.formats.test_tflite_ops import alone, assert_close, given_to, whole, written

FORMATS = all_formats()
SIDE = 12
LEVELS = 48
"""An operation whose output takes fewer values than this has not been looked at."""
FRONT = "{conv: {filters: 8, kernel: 3, stride: 2, name: front}}"


@dataclass(frozen=True)
class Exempt:
    """A word that a format computes differently: why, and by how many steps at most."""

    reason: str
    bound: int


PLANTED = "conv: {filters: 8, kernel: [3, 2], stride: [2, 1], bias: false}"
EXEMPT: dict[tuple[str, str], Exempt] = {}
"""By case and format."""

CASES: dict[str, tuple[str, ...]] = {
    "conv": (
        PLANTED,
        "conv: {filters: 8, kernel: 2, stride: 2, padding: 1, batch_norm: true, activation: relu6}",
        "conv: {filters: 8, kernel: 4, padding: same, activation: tanh}",
        "conv: {filters: 8, kernel: 3, dilation: 2, initializer: glorot_uniform}",
        "conv: {filters: 12, kernel: 3, groups: 4, activation: leaky_relu}",
    ),
    "depthwise_conv": (
        "depthwise_conv: {kernel: 3, stride: 2, activation: silu}",
        "depthwise_conv: {kernel: 3, multiplier: 2}",
        "depthwise_conv: {kernel: 3, dilation: [1, 2], padding: valid}",
    ),
    "separable_conv": (
        "separable_conv: {filters: 8, kernel: 5, batch_norm: true, activation: hard_swish}",
        "separable_conv: {filters: 8, kernel: 3, dilation: 2, multiplier: 2}",
    ),
    "pointwise_conv": ("pointwise_conv: {filters: 12, activation: gelu}",),
    "pointwise": ("pointwise: {filters: 12, stride: 2}",),
    "batch_norm": ("batch_norm",),
    "relu": ("relu",),
    "relu6": ("relu6",),
    "leaky_relu": ("leaky_relu: {alpha: 0.1}", "leaky_relu"),
    "sigmoid": ("sigmoid",),
    "tanh": ("tanh",),
    "silu": ("silu",),
    "swish": ("swish",),
    "hard_sigmoid": ("hard_sigmoid",),
    "hard_swish": ("hard_swish",),
    "gelu": ("gelu",),
    "softmax": ("softmax",),
    "max_pool": ("max_pool: {size: 3, stride: 2, padding: same}",),
    "average_pool": ("average_pool: {size: 2}",),
    "global_average_pool": ("global_average_pool",),
    "global_max_pool": ("global_max_pool",),
    "dropout": ("dropout: {rate: 0.5}",),
    "spatial_dropout": ("spatial_dropout: {rate: 0.5}",),
    "flatten": ("flatten",),
    "dense": tuple(f"[flatten, {{dense: {{units: 10, activation: {a}}}}}]" for a in ("linear", "sigmoid", "softmax")),
    "residual": (
        "residual: {layers: [{conv: {filters: 8}}], activation: silu}",
        "residual: {layers: [{conv: {filters: 8, kernel: 3, stride: 2}}], shortcut: average, activation: relu}",
    ),
    "transposed_conv": (
        "transposed_conv: {filters: 6, kernel: 3, stride: 2, activation: relu}",
        "transposed_conv: {filters: 6, kernel: [2, 3], stride: [2, 1], padding: valid, batch_norm: true}",
    ),
    "upsample": ("upsample: {size: 2}", "upsample: {size: [2, 3], interpolation: bilinear}"),
    "l2_pool": ("l2_pool: {size: 3, stride: 2, padding: same}",),
    "stochastic_pool": ("stochastic_pool: {size: 2}",),
    "fractional_max_pool": ("fractional_max_pool: {ratio: [1.4, 1.5]}",),
    "concat": ("concat: {branches: [[], [{conv: {filters: 4}}], [{pointwise: {filters: 4, activation: tanh}}]]}",),
    "squeeze_excite": ("squeeze_excite: {ratio: 2}", "squeeze_excite: {filters: 4, gate: sigmoid, activation: silu}"),
    "shuffle_unit": ("shuffle_unit: {filters: 8}", "shuffle_unit: {filters: 12, stride: 2}"),
    "inverted_residual": ("inverted_residual: {filters: 8, expansion: 2, activation: hard_swish}",),
}
"""What is tested behind FRONT, of which [8, 6, 6] comes."""


EACH = [case for cases in CASES.values() for case in cases]


def each_case_and_format() -> pytest.MarkDecorator:
    """Case by case: a case is traced once in a process, and neighbours share it. OpenVINO's converter takes long."""
    marks = {"openvino": (pytest.mark.slow, pytest.mark.long)}
    return pytest.mark.parametrize(
        ("case", "form"),
        [
            pytest.param(case, form, id=f"{case}-{name}", marks=marks.get(name, ()))
            for case in EACH
            for name, form in FORMATS.items()
        ],
    )


def layers_of(case: str) -> tuple[Layer, ...]:
    """The words as a user writes them, read from a recipe."""
    tested = case[1:-1] if case.startswith("[") else "{" + case + "}" if ":" in case else case
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "words.yaml"
        path.write_text(f"name: words\ndata: {{source: cifar10_mini}}\nmodel:\n  layers: [{FRONT}, {tested}]\n")
        layers = load_recipe(path).model.layers
    assert layers is not None
    return layers


@cache
def pictures() -> NDArray[np.uint8]:
    """The middle of 64 bundled training pictures: uint8 [64, 12, 12, 3]."""
    images = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("train").images
    return np.ascontiguousarray(images[:64, 10 : 10 + SIDE, 10 : 10 + SIDE])


def module_of(case: str) -> torch.nn.Module:
    """Trained by no step, but its batch norms have seen pictures, and its outputs spread over some units."""
    torch.manual_seed(3)
    planned = plan_layers(layers_of(case), (3, SIDE, SIDE))
    module = LayeredNetwork((3, SIDE, SIDE), planned).build()
    with torch.no_grad():
        module[0].conv.weight.mul_(3.0)  # type: ignore[index, union-attr, operator]
    if len(planned[-1][1].output) == 3:
        module.add_module("last", torch.nn.Flatten())
    module.train()
    module(as_torch(pictures()))
    return module.eval()


def as_torch(images: NDArray[np.uint8]) -> torch.Tensor:
    return (torch.from_numpy(images).permute(0, 3, 1, 2).float() - 128) / 128


@dataclass(frozen=True)
class Traced:
    """A case's net: torch's answers to the pictures, and both graphs."""

    answers: NDArray[Any]
    fp32: Graph
    int8: Graph


@cache
def traced(case: str) -> Traced:
    """The net of a case."""
    module = module_of(case)
    with torch.no_grad():
        answers = module(as_torch(pictures())).numpy()
    graph = canonical(trace(module, 3, SIDE, SIDE, batch=4))
    return Traced(answers, graph, quantize(graph, pictures()))


def test_every_word_is_in_the_table() -> None:
    assert set(CASES) == set(WORDS)


def test_exemptions_name_cases() -> None:
    assert {case for case, _ in EXEMPT} <= set(EACH)
    assert all(exempt.reason and exempt.bound > 1 for exempt in EXEMPT.values())


@each_case_and_format()
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_word(case: str, form: Format, precision: str) -> None:
    check = {"fp32": check_fp32, "int8": check_int8}[precision]
    check(case, form, traced(case))


def check_fp32(case: str, form: Format, net: Traced) -> None:
    assert_close(whole(form, net.fp32, pictures()), net.answers, f"{case} in {form.name}")


def check_int8(case: str, form: Format, net: Traced) -> None:
    """Each operation of the net by itself, on the reference's inputs; the last one's output must vary."""
    program, reference = read_program(net.int8), LayerReference(net.int8, pictures()).values
    bound = EXEMPT[case, form.name].bound if (case, form.name) in EXEMPT else 1
    assert len(np.unique(reference[program.ops[-1].output.value])) >= LEVELS, "the output hardly varies"
    with written(form, net.int8) as model:
        for op in program.ops:
            found = alone(form, model, program, op, [given_to(t, pictures(), reference) for t in op.inputs])
            if found is not None:
                assert_steps(found, reference[op.output.value], bound, f"{op.name} ({op.type}) in {form.name}")


def assert_steps(found: NDArray[Any], expected: NDArray[Any], bound: int, what: str) -> None:
    assert found.shape == expected.shape, what
    most = steps(found, expected).max()
    assert most <= bound, f"{what}: {most} steps off, allowed are {bound}"


class Shifted:
    """A format whose files give one value two steps off."""

    def __init__(self, form: Format) -> None:
        self.form = form

    def __getattr__(self, name: str) -> Any:
        return getattr(self.form, name)

    def decode(self, tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
        """One value two steps nearer to the middle."""
        found = self.form.decode(tensor, values).copy()
        found.flat[3] += np.uint8(2) if found.flat[3] < 128 else np.uint8(254)
        return found


def test_a_value_two_steps_off_is_seen() -> None:
    shifted: Any = Shifted(FORMATS["tflite"])
    with pytest.raises(AssertionError, match="2 steps off, allowed are 1"):
        check_int8(PLANTED, shifted, traced(PLANTED))


def test_a_changed_weight_is_seen() -> None:
    """One weight of 48 of a filter, by a hundredth."""
    module, net = module_of(PLANTED), traced(PLANTED)
    with torch.no_grad():
        module[1].conv.weight[0, 0, 0, 0] += 0.01  # type: ignore[index, union-attr, operator]
        answers = module(as_torch(pictures())).numpy()
    with pytest.raises(AssertionError, match="off by"):
        check_fp32(PLANTED, FORMATS["tflite"], replace(net, answers=answers))

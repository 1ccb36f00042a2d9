"""How int8 answers compare: whole nets against each other, and every layer of a file against the reference."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn import formats
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import UnusableFile
from edgecnn.formats import Format
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.program import Grid, Op, Program, read_program, shifted
from edgecnn.graph.reference import Reference
from edgecnn.metrics import agreement, steps

LAYER_STEPS = 1
"""A layer fed the reference's own inputs may differ from the reference by one rounding step, nowhere more ..."""
LAYER_SHARE = 0.2
"""... and in no more than this share of values: average pools round differently in up to an eighth of them."""
SAME_SCALE = 1e-5
"""How far a scale may be off, relatively: OpenVINO keeps ranges, whose difference is rounded to float32."""
FLOAT_LAYER = 1e-4
"""A float layer may differ by this share of its largest value."""
HALF_LAYER = 2.0**-8
"""A float16 layer, too: eight roundings of 2^-11 (IEEE 754 binary16) of the largest value.

Measured in 2^-11 where engines add up in float32 (x86, LiteRT, ONNX Runtime, OpenVINO; 8 pictures): 390 layers of the
packaged models, mean 0.48, deviation 0.31, worst 1.33; 124 of two random nets, worst 0.98; every operation alone, 498
layers, worst 1.86. CPUs that add up in float16 (untested) need the rest: sums rounded after each product, in numpy, in
cifar10-ds, 16 layers of 9 to 352 products, worst 6.67. It is no bound for any such sum: 352 random products reach 9.8.
"""
FLOAT_LAYERS = {"float32": FLOAT_LAYER, "float16": HALF_LAYER}
"""By the type of the reference's values."""


@dataclass(frozen=True)
class Parity:
    """Two sets of int8 logits over the same pictures. `steps` counts logits by how many steps lie between them."""

    a: str
    b: str
    n: int
    top1_agreement: float
    max_steps: int
    p999_steps: int
    exact: float
    within_1: float
    steps: Mapping[str, int]
    unexplained: int
    """Pictures on which the two disagree although a's top two lie further apart than both could move."""


def compare(a: str, b: str, logits_a: Array, logits_b: Array) -> Parity:
    """Compare uint8 logits [N, K] of two models on one grid, `a` being the reference of the two."""
    apart = steps(logits_a, logits_b)
    p999 = int(np.quantile(apart, 0.999, method="higher"))
    levels, counts = np.unique(apart, return_counts=True)
    top = np.sort(logits_a.astype(int), axis=1)
    differ = logits_a.argmax(axis=1) != logits_b.argmax(axis=1)
    return Parity(
        a=a,
        b=b,
        n=len(logits_a),
        top1_agreement=agreement(logits_a, logits_b),
        max_steps=int(apart.max()),
        p999_steps=p999,
        exact=float((apart == 0).mean()),
        within_1=float((apart <= 1).mean()),
        steps={str(level): int(count) for level, count in zip(levels, counts, strict=True)},
        unexplained=int((differ & (top[:, -1] - top[:, -2] > 2 * p999)).sum()),
    )


@dataclass(frozen=True)
class LayerCheck:
    """One layer of a file, fed the reference's own inputs.

    `apart` is in steps (int8) or a share of the largest value (fp32); None where the layer could not be run.

    `differing` is the share of values that differ at all, `within_1` that of those at most one step away (None in
    float); `reason` says what is wrong, or is None.
    """

    layer: str
    type: str
    apart: float | None
    differing: float
    levels: int
    reason: str | None
    within_1: float | None = None


@dataclass(frozen=True)
class LayerReport:
    """All layers of a file in order; `first_wrong` is the first with a reason."""

    artifact: str
    layers: tuple[LayerCheck, ...]

    @property
    def first_wrong(self) -> LayerCheck | None:
        """Where the file begins to differ from the graph it was written from."""
        return next((layer for layer in self.layers if layer.reason is not None), None)


class LayerReference:
    """A graph's values at every layer, for a few pictures: float32, or uint8 where there are grids."""

    def __init__(self, graph: Graph, images: Array) -> None:
        self.program: Program = read_program(graph)
        self.images = images
        values = Reference(graph, [op.output.value for op in self.program.ops]).values(images)
        self.values = {name: shifted(found) if found.dtype == np.int8 else found for name, found in values.items()}
        self.values[self.program.image.value] = images


def check_layers(name: str, target: str, model: Path, reference: LayerReference) -> LayerReport:
    """Cut each layer out of a file and run it alone, on the reference's inputs."""
    form = formats.find_format(target)
    try:
        grids = form.grids(model, reference.program)
    except UnusableFile:
        grids = {}  # no layer can be cut out of it either, and each of them says so
    checks = (_check_layer(form, model, op, reference, grids.get(op.name)) for op in reference.program.ops)
    return LayerReport(name, tuple(check for check in checks if check is not None))


def _check_layer(form: Format, model: Path, op: Op, reference: LayerReference, grid: Grid | None) -> LayerCheck | None:
    expected = reference.values[op.output.value]
    levels = len(np.unique(expected))
    try:
        got = run_alone(form, model, op, reference)
    except (UnusableFile, ValueError, RuntimeError) as error:
        cause = f"can't be run by itself ({str(error).splitlines()[0]})"
        return LayerCheck(op.name, op.type, None, 1.0, levels, cause)
    if got is None:
        return None
    if got.shape != expected.shape:
        cause = f"gives {list(got.shape)} instead of {list(expected.shape)}"
        return LayerCheck(op.name, op.type, None, 1.0, levels, cause)
    if op.output.grid is None:
        return _judge_float(op, got, expected, levels)
    apart = steps(got, expected)
    most, differing = int(apart.max()), float((apart > 0).mean())
    reason = _other_grid(op.output.grid, grid)
    if most > LAYER_STEPS:
        share = float((apart > LAYER_STEPS).mean())
        reason = f"up to {most} steps from the reference, {100 * share:.3g} % of values by more than {LAYER_STEPS}"
    elif differing > LAYER_SHARE:
        reason = f"{100 * differing:.3g} % of values are a step from the reference"
    return LayerCheck(op.name, op.type, most, differing, levels, reason, float((apart <= 1).mean()))


def _other_grid(decided: Grid, found: Grid | None) -> str | None:
    """What is wrong with the grid that a file gives a layer's output; a file that gives none has fused it away."""
    if found is None:
        return None
    if found.zero_point != decided.zero_point or not abs(found.scale / decided.scale - 1.0) <= SAME_SCALE:
        return (
            f"lies on another grid: scale {found.scale:.6g} and zero point {found.zero_point} "
            f"instead of {decided.scale:.6g} and {decided.zero_point}"
        )
    return None


def _judge_float(op: Op, got: Array, expected: Array, levels: int) -> LayerCheck:
    allowed = FLOAT_LAYERS[expected.dtype.name]
    got, expected = got.astype(np.float32), expected.astype(np.float32)
    largest = max(float(np.abs(expected).max()), 1e-30)
    apart = float(np.abs(got - expected).max()) / largest
    reason = None if apart <= allowed else f"differs by {apart:.2g} of the largest value"
    return LayerCheck(op.name, op.type, apart, float((got != expected).mean()), levels, reason)


def run_alone(form: Format, model: Path, op: Op, reference: LayerReference) -> Array | None:
    """One layer's values in a file, [N, ...] in the reference's order and type; None where the file has it not."""
    with tempfile.TemporaryDirectory() as folder:
        part = form.cut(model, reference.program, op, Path(folder))
        if part is None:
            return None
        session = runtime_for(form.name).open(part, 1)
        batch = op.output.shape[0]
        answers = []
        for start in range(0, len(reference.images), batch):
            inputs = [form.encode(t, reference.values[t.value][start : start + batch]) for t in op.inputs]
            answers.append(form.decode(op.output, session.run(*inputs)))
    return np.concatenate(answers)

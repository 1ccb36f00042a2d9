"""What activations take: of a layer, and the most that is alive at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ActivationBytes:
    """Bytes of activations of one picture, were all of them int8, and were all of them fp32."""

    int8: int
    fp32: int

    @classmethod
    def of(cls, values: int) -> ActivationBytes:
        """1 byte a value, and 4."""
        return cls(values, 4 * values)


@dataclass(frozen=True)
class Use:
    """An operation as memory sees it: the names of what it reads, the name and the number of values of what it makes.

    in_place: it works value by value or moves nothing, so it may write over its input.
    """

    inputs: tuple[str, ...]
    output: str
    values: int
    in_place: bool = False


def peak_values(given: Iterable[tuple[str, int]], uses: Sequence[Use]) -> int:
    """The most values that are alive at once; `given` are the net's inputs with their numbers of values.

    Operations run one after the other, in their order. While one runs, what it reads and what it makes is there, and
    whatever was made before and is read later: the held end of a residual, the other branches of a concatenation. What
    works value by value (an activation, batch norm, dropout) and a flatten write over their input, unless something
    else still reads that. Weights are not counted, nor what an engine takes for itself.

    TFLite plans the arena of its built-in kernels by the same lifetimes, but lays the picture as pixels and its copy
    in the net's type beside all that: of both packaged CIFAR-10 models, int8 and fp32, the arena is this peak and those
    two, to the byte. Buffers of single kernels (im2col), alignment and gaps can come on top. XNNPACK and ONNX Runtime
    plan their own memory.
    """
    sizes = dict(given)
    last = {name: i for i, use in enumerate(uses) for name in use.inputs}
    alive, most = set(sizes), sum(sizes.values())
    for i, use in enumerate(uses):
        sizes[use.output] = use.values
        done = {name for name in use.inputs if last[name] == i}
        over = use.in_place and any(sizes.get(name, 0) >= use.values for name in done)
        here = sum(sizes[name] for name in (alive - done if over else alive)) + use.values
        most = max(most, here)
        alive = (alive - done) | {use.output}
    return most

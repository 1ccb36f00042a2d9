"""What a planned layer is, the registry of words, and planning a list of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from edgecnn.errors import UsageError
from edgecnn.geometry import Pace, Pair
from edgecnn.nn.arithmetic import Arithmetic
from edgecnn.recipe import layers as words

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """One layer at a known input shape.

    `params` counts trained values and `macs` multiply-adds of convolutions and dense layers (batch norm folded, no
    bias, no pooling). `window` and `stride` are what the receptive field grows by; a global layer has no window.
    A block has `inner` layers, one after the other; where it `adds`, its input, or what `shortcut` makes of that, is
    added at their end, and where it `gates`, its input is multiplied with what they make. Of `branches` each takes the
    block's input, and what they make is joined along the channels.

    in_place: it works value by value or moves nothing, so it may write over its input. arithmetic: its formulas, for
    `inspect --explain`; without one it is explained by its shapes and figures. island: the word of what no engine has
    in int8, and what is computed in float in the middle of an int8 file.
    """

    type: str
    output: Shape
    build: Callable[[], nn.Module]
    params: int = 0
    macs: int = 0
    window: Pair | None = (1, 1)
    stride: Pace = (1, 1)
    inner: tuple[tuple[str, Plan], ...] = ()
    shortcut: Plan | None = None
    adds: bool = False
    gates: bool = False
    branches: tuple[tuple[tuple[str, Plan], ...], ...] = ()
    in_place: bool = False
    arithmetic: Arithmetic | None = None
    island: str = ""


Word = TypeVar("Word", bound=words.Layer)
PLANS: dict[type[words.Layer], Callable[[Any, Shape], Plan]] = {}


def plans(word: type[Word]) -> Callable[[Callable[[Word, Shape], Plan]], Callable[[Word, Shape], Plan]]:
    """Register the function that plans a word; twice is an error."""

    def register(function: Callable[[Word, Shape], Plan]) -> Callable[[Word, Shape], Plan]:
        if word in PLANS:
            raise ValueError(f"{word.__name__} is planned twice")
        PLANS[word] = function
        return function

    return register


def plan_layers(layers: Sequence[words.Layer], shape: Shape) -> tuple[tuple[str, Plan], ...]:
    """Plan layers one after the other; each is named by itself or by its word and its place."""
    planned: list[tuple[str, Plan]] = []
    for i, layer in enumerate(layers):
        name = layer.name or f"{words.KINDS[type(layer)]}_{i + 1}"
        try:
            plan = PLANS[type(layer)](layer, shape)
        except UsageError as error:
            raise UsageError(f"{name}: {error}") from error
        planned.append((name, plan))
        shape = plan.output
    twice = [name for name, count in Counter(name for name, _ in planned).items() if count > 1]
    if twice:
        raise UsageError(f"two layers are named '{twice[0]}': names must differ")
    return tuple(planned)


def picture(shape: Shape, word: str) -> tuple[int, int, int]:
    """The three sizes of a picture; UsageError, naming the word, for features."""
    if len(shape) != 3:
        raise UsageError(
            f"{word} needs a picture [C, H, W], got {list(shape)}: put it before flatten or global pooling"
        )
    return shape[0], shape[1], shape[2]


def fits(size: Pair, kernel: Pair, output: Pair, word: str) -> Pair:
    """The output's size where a window fits; UsageError, naming the word, where it doesn't."""
    if min(output) < 1:
        raise UsageError(f"{word}: a {kernel[0]}x{kernel[1]} window does not fit a {size[0]}x{size[1]} picture")
    return output


def bias(word: words.Weighted) -> bool:
    """Whether a layer has a bias of its own: left out where batch norm follows, unless said otherwise."""
    return not word.batch_norm if word.bias is None else word.bias

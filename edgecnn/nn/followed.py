"""The layers of any torch module in the order of their computation, from one pass over shapes alone.

Each call of a layer's module, and each function of torch that joins branches, is seen as it happens: what the module's
own code decides on the way, which a symbolic trace can't follow, does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from edgecnn.geometry import Margins, Pair
from edgecnn.nn.arithmetic import Arithmetic, Convolving, Multiplying, Normalising, Pooling
from edgecnn.nn.table import PICTURE, Field, Step

JOINS = {"add": "add", "iadd": "add", "mul": "multiply", "imul": "multiply", "cat": "concat", "concat": "concat"}
"""Functions of torch and Python that join branches -> the word for the row."""
POOLS = ("mean", "adaptive_avg_pool2d")
"""Functions that may take the mean of each whole map."""
KINDS: tuple[tuple[type[nn.Module], str], ...] = (
    (nn.Linear, "dense"),
    (nn.BatchNorm2d, "batch_norm"),
    (nn.MaxPool2d, "max_pool"),
    (nn.AvgPool2d, "average_pool"),
    (nn.AdaptiveAvgPool2d, "global_average_pool"),
)
"""Modules of torch's, and what libraries derive from them -> the word for the row."""


def followed(module: nn.Module, shape: tuple[int, int, int]) -> tuple[tuple[int, ...], tuple[Step, ...]]:
    """What it makes of a picture [C, H, W], () for other than a tensor; and its layers on the way.

    Those are convolutions, dense layers, norms, pools, and where branches meet. The module is in eval mode; on the
    meta device nothing is computed but shapes. Raises what its own code raises where it doesn't take such pictures.
    """
    walk = _Walk(torch.empty(1, *shape))
    hooks = [hook for path, part in module.named_modules() for hook in walk.hooks(path, part)]
    try:
        with walk, torch.no_grad():
            made = module(walk.image)
    finally:
        for hook in hooks:
            hook.remove()
    return tuple(made.shape[1:]) if isinstance(made, Tensor) else (), tuple(walk.steps)


@dataclass(frozen=True)
class _Made:
    """A tensor that comes from the picture: how far it sees, and the names of the rows that it comes from."""

    tensor: Tensor
    """Held, or another one would get its id."""
    field: Field
    names: tuple[str, ...]


class _Walk(TorchFunctionMode):
    """One pass. What lies between rows (activations, reshapes) hands on the names of what it reads."""

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.image = image
        self.steps: list[Step] = []
        self._known = {id(image): _Made(image, Field.at((image.shape[2], image.shape[3])), (PICTURE,))}
        self._paths: list[str] = []
        self._layers = 0
        self._taken: set[str] = set()
        self._counted: set[int] = set()

    def hooks(self, path: str, part: nn.Module) -> Iterator[Any]:
        """Tell when a part of the module is entered and left."""
        kind = _kind(part)

        def enter(*_: Any) -> None:
            self._paths.append(path)
            self._layers += kind is not None

        def leave(_: nn.Module, args: Any, kwargs: Any, made: Any) -> None:
            self._paths.pop()
            self._layers -= kind is not None
            if kind is not None and not self._layers:
                self._row(path, kind, part, self._read((args, kwargs)), made)

        yield part.register_forward_pre_hook(enter)
        yield part.register_forward_hook(leave, with_kwargs=True)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Called for each function of torch: inside a layer it is the layer's own matter."""
        made = func(*args, **(kwargs or {}))
        if not self._layers:
            self._function(getattr(func, "__name__", "").strip("_"), self._read((args, kwargs)), made)
        return made

    def _function(self, name: str, read: list[_Made], made: Any) -> None:
        kind = None
        if len(read) > 1:
            kind = JOINS.get(name)
        elif read and name in POOLS and _pools_whole(read[0].tensor, made):
            kind = "global_average_pool"
        if kind is not None:
            path = ".".join(part for part in (*self._paths[-1:], name) if part)
            self._row(path, kind, None, read, made)
        elif read:
            self._pass_on(read[0].field.joined(one.field for one in read[1:]), _names(read), made)

    def _row(self, path: str, kind: str, part: nn.Module | None, read: list[_Made], made: Any) -> None:
        if not read or not isinstance(made, Tensor):
            return  # what does not come from the picture is a constant
        name, number = path, 0
        while name in self._taken:
            number += 1
            name = f"{path}_{number}"
        self._taken.add(name)
        before = read[0].field.joined(one.field for one in read[1:])
        step = _step(name, kind, part, _names(read), read[0].tensor, made, before, self._params(part))
        self.steps.append(step)
        self._pass_on(step.after, (name,), made)

    def _params(self, part: nn.Module | None) -> int:
        """Trained values that no row has counted yet: a layer that is called twice has them once."""
        new = [value for value in part.parameters() if id(value) not in self._counted] if part is not None else []
        self._counted.update(map(id, new))
        return sum(value.numel() for value in new)

    def _pass_on(self, field: Field, names: tuple[str, ...], made: Any) -> None:
        for tensor in _tensors(made):
            self._known[id(tensor)] = _Made(tensor, field, names)

    def _read(self, given: Any) -> list[_Made]:
        return [self._known[id(tensor)] for tensor in _tensors(given) if id(tensor) in self._known]


def _tensors(value: Any) -> Iterator[Tensor]:
    """Those in arguments or results, however they are packed."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _tensors(part)


def _names(read: Iterable[_Made]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in read for name in one.names))


def _pools_whole(given: Tensor, made: Any) -> bool:
    """Whether one value is left of each of the maps [1, C, H, W]."""
    maps = given.dim() == 4 and isinstance(made, Tensor) and made.dim() in (2, 4)
    return maps and made.shape[1] == given.shape[1] and made[0].numel() == given.shape[1]


def _step(
    name: str,
    kind: str,
    part: nn.Module | None,
    read: tuple[str, ...],
    given: Tensor,
    made: Tensor,
    before: Field,
    params: int,
) -> Step:
    """given, made: what goes in and comes out, [1, ...]."""
    window, stride = (None, (1, 1)) if kind == "global_average_pool" else _window(part)
    return Step(
        name,
        kind,
        read,
        tuple(given.shape[1:]),
        tuple(made.shape[1:]),
        params,
        _macs(part, made),
        before,
        before.after(window, stride),
        window,
        stride,
        in_place=kind == "batch_norm",
        arithmetic=_arithmetic(part),
    )


def _macs(part: nn.Module | None, made: Tensor) -> int:
    """Each value of the output is a sum over one filter's, or one unit's, weights: at every place of a map."""
    if not isinstance(part, (nn.Conv2d, nn.Linear)):
        return 0
    return int(made[0].numel() * part.weight[0].numel())


def _arithmetic(part: nn.Module | None) -> Arithmetic | None:
    if isinstance(part, nn.Linear):
        return Multiplying(part.in_features, part.bias is not None)
    if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return Normalising()
    if not isinstance(part, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) or isinstance(part.padding, str):
        return None
    kernel, stride, padding = _pair(part.kernel_size), _pair(part.stride), _pair(part.padding)
    margins = Margins(padding[0], padding[0], padding[1], padding[1])
    dilation = _pair(getattr(part, "dilation", 1))
    if not isinstance(part, nn.Conv2d):
        return Pooling(kernel, stride, "explicit", margins, dilation, part.ceil_mode)
    bias = part.bias is not None
    return Convolving(kernel, stride, "explicit", margins, dilation, groups=part.groups, bias=bias)


def _window(part: nn.Module | None) -> tuple[Pair | None, Pair]:
    """What a layer adds to the receptive field: its window and stride."""
    if isinstance(part, nn.Linear):
        return None, (1, 1)
    if isinstance(part, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        kernel, stride = _pair(part.kernel_size), _pair(part.stride)
        dilation = _pair(getattr(part, "dilation", 1))
        return ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1), stride
    return (1, 1), (1, 1)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _kind(part: nn.Module) -> str | None:
    """The word of edgecnn's for a module's row; None for what has none."""
    if isinstance(part, nn.Conv2d):
        return "depthwise_conv" if part.groups == part.in_channels > 1 else "conv"
    return next((word for kind, word in KINDS if isinstance(part, kind)), None)

"""torchvision's classifiers by their names there, without trained weights; their tables come from a symbolic trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecnn.errors import MissingExtra, UsageError, nearest
from edgecnn.geometry import Pair
from edgecnn.nn.table import Field, LayerRow

if TYPE_CHECKING:
    from torch import fx, nn

ONE_ANSWER: dict[str, Any] = {"aux_logits": False, "init_weights": True}
"""For networks that also answer from their middle while they are trained: without those branches."""
SIDE_BRANCHES = ("googlenet", "inception_v3")


@dataclass(frozen=True)
class TorchvisionNetwork:
    """One of torchvision's classifiers at a known input shape (C, H, W)."""

    name: str
    input: tuple[int, int, int]
    classes: int
    table: tuple[LayerRow, ...]
    params: int
    """Trained values, those of rows and all others (a layer's scale that is its own)."""

    @classmethod
    def planned(cls, name: str, shape: tuple[int, int, int], classes: int) -> TorchvisionNetwork:
        """Followed through over shapes alone; UsageError for unknown names and pictures that don't fit."""
        import torch

        with torch.device("meta"):
            module = _built(name, classes).eval()
            rows = _followed(name, module, shape)
        params = sum(value.numel() for value in module.parameters())
        return cls(name, shape, classes, rows, params)

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        return sum(row.macs for row in self.table)

    def build(self) -> nn.Module:
        """With torchvision's own first weights."""
        return _built(self.name, self.classes)

    def rows(self) -> list[LayerRow]:
        """Convolutions, dense layers, norms, pools, and where branches meet; activations are left out."""
        return list(self.table)


def _built(name: str, classes: int) -> nn.Module:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtra("model: {torchvision: ...}", "torchvision", "train") from error
    known = models.list_models(module=models)
    if name not in known:
        raise UsageError(f"torchvision has no classifier '{name}'{nearest(name, known)}")
    extra = ONE_ANSWER if name in SIDE_BRANCHES else {}
    made: nn.Module = models.get_model(name, weights=None, num_classes=classes, **extra)
    return made


def _followed(name: str, module: nn.Module, shape: tuple[int, int, int]) -> tuple[LayerRow, ...]:
    """The rows of a module on the meta device, in the order of their computation."""
    import torch
    from torch import fx
    from torchvision.models.feature_extraction import NodePathTracer

    try:
        tracer = NodePathTracer()
        graph = fx.GraphModule(module, tracer.trace(module))
        seen = dict(_values(graph, torch.empty(1, *shape)))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"torchvision's {name} does not take pictures of {shape[1]}x{shape[2]}: {reason}") from error
    names: dict[fx.Node, str] = tracer.node_to_qualname
    fields: dict[fx.Node, Field] = {}
    rows = []
    for node in graph.graph.nodes:
        given = [fields[source] for source in node.all_input_nodes if source in fields]
        field = given[0].joined(given[1:]) if given else Field.at(shape[1:])
        target = graph.get_submodule(node.target) if node.op == "call_module" else None
        fields[node] = field.after(*_window(target))
        kind = _kind(node, target)
        if kind is not None and node in seen:
            rows.append(_row(names[node], kind, target, seen[node], fields[node]))
    return tuple(rows)


def _values(graph: fx.GraphModule, image: Any) -> Iterator[tuple[fx.Node, Any]]:
    """Each node with the tensor that it makes."""
    import torch
    from torch import fx

    found = []

    class Follower(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            made = super().run_node(n)
            if isinstance(made, torch.Tensor):
                found.append((n, made))
            return made

    Follower(graph).run(image)
    yield from found


def _row(name: str, kind: str, target: nn.Module | None, made: Any, field: Field) -> LayerRow:
    weights = getattr(target, "weight", None)
    params = 0 if target is None else sum(value.numel() for value in target.parameters())
    macs = 0
    if weights is not None and kind in ("conv", "depthwise_conv", "dense"):
        macs = weights.numel() * (made[0, 0].numel() if made.dim() == 4 else 1)
    return LayerRow(name, kind, tuple(made.shape[1:]), params, macs, field.size)


def _window(target: nn.Module | None) -> tuple[Pair | None, Pair]:
    """What a layer adds to the receptive field: its window and stride."""
    from torch import nn

    if isinstance(target, (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Linear)):
        return None, (1, 1)
    if isinstance(target, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)):
        kernel, stride = _pair(target.kernel_size), _pair(target.stride)
        dilation = _pair(getattr(target, "dilation", 1))
        return ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1), stride
    return (1, 1), (1, 1)


def _pair(value: Any) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _kind(node: fx.Node, target: nn.Module | None) -> str | None:
    """The word of edgecnn's for a row; None for what has none."""
    from torch import nn

    if target is None:
        return JOINS.get(getattr(node.target, "__name__", str(node.target)))
    if isinstance(target, nn.Conv2d):
        return "depthwise_conv" if target.groups == target.in_channels > 1 else "conv"
    kinds: dict[type[nn.Module], str] = {
        nn.Linear: "dense",
        nn.BatchNorm2d: "batch_norm",
        nn.MaxPool2d: "max_pool",
        nn.AvgPool2d: "average_pool",
        nn.AdaptiveAvgPool2d: "global_average_pool",
    }
    return next((word for kind, word in kinds.items() if isinstance(target, kind)), None)


JOINS = {"add": "add", "iadd": "add", "mul": "multiply", "cat": "concat", "mean": "global_average_pool"}
"""Functions of torch and Python that join branches or pool -> the word for the row."""

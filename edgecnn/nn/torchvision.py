"""torchvision's classifiers by their names there, without trained weights; their tables come from a symbolic trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgecnn.errors import MissingExtra, UsageError, nearest
from edgecnn.geometry import Margins, Pair
from edgecnn.nn.arithmetic import Arithmetic, Convolving, Multiplying, Normalising, Pooling
from edgecnn.nn.deployable import FloatIsland
from edgecnn.nn.table import PICTURE, Field, LayerRow, Step

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
    table: tuple[Step, ...]
    params: int
    """Trained values, those of rows and all others (a layer's scale that is its own)."""

    @classmethod
    def planned(cls, name: str, shape: tuple[int, int, int], classes: int) -> TorchvisionNetwork:
        """Followed through over shapes alone; UsageError for unknown names and pictures that don't fit."""
        import torch

        with torch.device("meta"):
            module = _built(name, classes).eval()
            steps = _followed(name, module, shape)
        params = sum(value.numel() for value in module.parameters())
        return cls(name, shape, classes, steps, params)

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        return sum(step.macs for step in self.table)

    def build(self) -> nn.Module:
        """With torchvision's own first weights."""
        return _built(self.name, self.classes)

    def steps(self) -> list[Step]:
        """Convolutions, dense layers, norms, pools, and where branches meet; activations are left out."""
        return list(self.table)

    def rows(self) -> list[LayerRow]:
        """The table that `inspect` prints."""
        return [step.row for step in self.table]

    def islands(self) -> tuple[FloatIsland, ...]:
        """None: torchvision's classifiers have no L2 or stochastic pools."""
        return ()


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


def _followed(name: str, module: nn.Module, shape: tuple[int, int, int]) -> tuple[Step, ...]:
    """The layers of a module on the meta device, in the order of their computation."""
    import torch
    from torch import fx
    from torchvision.models.feature_extraction import NodePathTracer

    try:
        tracer = NodePathTracer()
        graph = fx.GraphModule(module, tracer.trace(module))
        seen = dict(_values(graph, torch.empty(1, *shape)))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        what = "grey pictures" if shape[0] == 1 else "pictures"
        raise UsageError(f"torchvision's {name} does not take {what} of {shape[1]}x{shape[2]}: {reason}") from error
    return tuple(_steps(graph, tracer.node_to_qualname, seen, shape))


def _steps(
    graph: fx.GraphModule, names: dict[fx.Node, str], seen: dict[fx.Node, Any], shape: tuple[int, int, int]
) -> Iterator[Step]:
    """A step a node that has a word; what has none hands on the names of what it reads."""
    fields: dict[fx.Node, Field] = {}
    made_by: dict[fx.Node, tuple[str, ...]] = {}
    for node in graph.graph.nodes:
        given = [fields[source] for source in node.all_input_nodes if source in fields]
        before = given[0].joined(given[1:]) if given else Field.at((shape[1], shape[2]))
        target = graph.get_submodule(node.target) if node.op == "call_module" else None
        fields[node] = before.after(*_window(target))
        read = tuple(dict.fromkeys(name for source in node.all_input_nodes for name in made_by.get(source, ())))
        made_by[node] = (PICTURE,) if node.op == "placeholder" else read
        kind = _kind(node, target)
        if kind is not None and node in seen:
            made_by[node] = (names[node],)
            source = next((seen[other] for other in node.all_input_nodes if other in seen), seen[node])
            yield _step(names[node], kind, target, read, source, seen[node], before, fields[node])


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


def _step(
    name: str,
    kind: str,
    target: nn.Module | None,
    read: tuple[str, ...],
    given: Any,
    made: Any,
    before: Field,
    after: Field,
) -> Step:
    """given, made: what goes in and comes out, [1, ...]."""
    window, stride = _window(target)
    return Step(
        name,
        kind,
        read,
        tuple(given.shape[1:]),
        tuple(made.shape[1:]),
        0 if target is None else sum(value.numel() for value in target.parameters()),
        _macs(target, made),
        before,
        after,
        window,
        stride,
        in_place=kind == "batch_norm",
        arithmetic=_arithmetic(target),
    )


def _macs(target: nn.Module | None, made: Any) -> int:
    """Each value of the output is a sum over one filter's, or one unit's, weights: at every place of a map."""
    from torch import nn

    if not isinstance(target, (nn.Conv2d, nn.Linear)):
        return 0
    return int(made[0].numel() * target.weight[0].numel())


def _arithmetic(target: nn.Module | None) -> Arithmetic | None:
    from torch import nn

    if isinstance(target, nn.Linear):
        return Multiplying(target.in_features, target.bias is not None)
    if isinstance(target, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return Normalising()
    if not isinstance(target, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) or isinstance(target.padding, str):
        return None
    kernel, stride, padding = _pair(target.kernel_size), _pair(target.stride), _pair(target.padding)
    margins = Margins(padding[0], padding[0], padding[1], padding[1])
    dilation = _pair(getattr(target, "dilation", 1))
    if not isinstance(target, nn.Conv2d):
        return Pooling(kernel, stride, "explicit", margins, dilation, target.ceil_mode)
    bias = target.bias is not None
    return Convolving(kernel, stride, "explicit", margins, dilation, groups=target.groups, bias=bias)


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

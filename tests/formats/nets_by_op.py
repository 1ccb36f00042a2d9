"""One small network around each operation that can be written, over shapes that hypothesis draws.

The operation is called `tested`. In front of it stands a 1x1 convolution where it is given more channels than a
picture has; a flatten follows where a picture comes out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from tests.graph.small_nets import Margins, Net, same

Pair = tuple[int, int]


def pairs(low: int, high: int) -> st.SearchStrategy[Pair]:
    return st.tuples(st.integers(low, high), st.integers(low, high))


def start(draw: st.DrawFn, size: Pair) -> Net:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="numbers"))
    return Net(rng, *size, batch=draw(st.sampled_from([1, 4]), label="batch"))


def front(net: Net, channels: int, name: str = "front", gain: float = 1.0) -> str:
    return net.conv("x", name, channels, gain=gain)


def source(draw: st.DrawFn, net: Net, channels: int) -> str:
    """The picture itself where its three channels will do, else a 1x1 convolution of it."""
    return "x" if channels == 3 and draw(st.booleans(), label="straight from the picture") else front(net, channels)


def finish(net: Net, last: str) -> Net:
    if len(net.shape(last)) == 4:
        net.flatten(last)
    return net


def placed(
    draw: st.DrawFn, window: Pair, stride: Pair, paddings: tuple[str, ...] = ("same", "valid", "explicit")
) -> tuple[Pair, Margins]:
    """A picture's size and margins such that a window fits; SAME pictures may be smaller than the window."""
    padding = draw(st.sampled_from(paddings), label="padding")
    if padding == "same":
        size = draw(pairs(2, 13), label="size")
        return size, same(size, window, stride)
    margins = (0, 0, 0, 0)
    if padding == "explicit":
        most = [min(k - 1, 3) for k in window] * 2
        margins = tuple(draw(st.integers(0, m)) for m in most)  # top, left, bottom, right
    size = tuple(draw(st.integers(max(2, k - margins[i] - margins[i + 2]), k + 7)) for i, k in enumerate(window))
    return size, margins


ACTIVATIONS = st.sampled_from([None, "relu", "relu6"])


@st.composite
def convolution(draw: st.DrawFn) -> Net:
    """Plain, dilated or grouped."""
    kernel, stride = draw(pairs(1, 7), label="kernel"), draw(pairs(1, 3), label="stride")
    form = draw(st.sampled_from(["plain", "plain", "dilated", "grouped"]))
    dilation = draw(pairs(1, 3)) if form == "dilated" else (1, 1)
    if form == "dilated":
        kernel, stride = (min(kernel[0], 3), min(kernel[1], 3)), (1, 1)
    groups = draw(st.integers(2, 3)) if form == "grouped" else 1
    channels = groups * draw(st.integers(2, 3)) if groups > 1 else draw(st.integers(1, 6))
    window = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    size, margins = placed(draw, window, stride)
    net = start(draw, size)
    filters, gain = groups * draw(st.integers(1, 4)), draw(st.sampled_from([0.3, 1.0, 4.0]))
    given = source(draw, net, channels)
    made = net.conv(given, "tested", filters, kernel, stride, margins, dilation, groups, gain)
    return finish(net, net.activate(made, draw(ACTIVATIONS)))


def _depthwise(multipliers: tuple[int, int]) -> Callable[..., st.SearchStrategy[Net]]:
    @st.composite
    def net_of(draw: st.DrawFn) -> Net:
        kernel, stride = draw(pairs(1, 7), label="kernel"), draw(pairs(1, 3), label="stride")
        size, margins = placed(draw, kernel, stride)
        net = start(draw, size)
        channels, multiplier = draw(st.integers(2, 6)), draw(st.integers(*multipliers))
        given, gain = source(draw, net, channels), draw(st.sampled_from([0.3, 1.0, 4.0]))
        made = net.conv(given, "tested", channels * multiplier, kernel, stride, margins, groups=channels, gain=gain)
        return finish(net, net.activate(made, draw(ACTIVATIONS)))

    return net_of


@st.composite
def dense(draw: st.DrawFn) -> Net:
    """Behind a flatten, whose features TFLite has in another order; or behind another dense layer."""
    net = start(draw, draw(pairs(1, 7), label="size"))
    given = net.flatten(source(draw, net, draw(st.integers(1, 5))))
    if draw(st.booleans(), label="two dense layers"):
        given = net.dense(given, "dense_before", draw(st.integers(8, 20)))
    made = net.dense(given, "tested", draw(st.integers(4, 20)), draw(st.sampled_from([0.3, 1.0, 4.0])))
    return finish(net, net.activate(made, draw(ACTIVATIONS)))


@st.composite
def flatten_between(draw: st.DrawFn) -> Net:
    """The flatten itself is tested: a picture in, a dense layer behind."""
    net = start(draw, draw(pairs(2, 6), label="size"))
    net.dense(net.flatten(source(draw, net, draw(st.integers(2, 5))), "tested"), "classifier", 5)
    return net


@st.composite
def flatten_last(draw: st.DrawFn) -> Net:
    """The net's answer is the flattened map itself, or its ReLU: no dense layer puts features in order."""
    net = start(draw, draw(pairs(2, 6), label="size"))
    flat = net.flatten(front(net, draw(st.integers(2, 5))), "tested")
    net.activate(flat, draw(st.sampled_from([None, "relu"])))
    return net


@st.composite
def max_pool(draw: st.DrawFn) -> Net:
    kernel, stride = draw(pairs(1, 7), label="kernel"), draw(pairs(1, 3), label="stride")
    size, margins = placed(draw, kernel, stride)
    net = start(draw, size)
    return finish(net, net.max_pool(source(draw, net, draw(st.integers(1, 6))), "tested", kernel, stride, margins))


@st.composite
def average_pool(draw: st.DrawFn) -> Net:
    """Margins are not counted, unless they are explicit."""
    kernel, stride = draw(pairs(1, 7), label="kernel"), draw(pairs(1, 3), label="stride")
    size, margins = placed(draw, kernel, stride)
    counted = any(margins) and margins != same(size, kernel, stride)
    net = start(draw, size)
    given = source(draw, net, draw(st.integers(1, 6)))
    return finish(net, net.average_pool(given, "tested", kernel, stride, margins, counted))


@st.composite
def global_average(draw: st.DrawFn) -> Net:
    net = start(draw, draw(pairs(1, 13), label="size"))
    return finish(net, net.global_average_pool(source(draw, net, draw(st.integers(1, 6))), "tested"))


@st.composite
def global_max(draw: st.DrawFn) -> Net:
    net = start(draw, draw(pairs(1, 13), label="size"))
    return finish(net, net.global_max_pool(source(draw, net, draw(st.integers(1, 6))), "tested"))


@st.composite
def add(draw: st.DrawFn) -> Net:
    """Two branches whose scales may lie far apart, then perhaps an activation: a residual's end."""
    net = start(draw, draw(pairs(2, 7), label="size"))
    channels, ratio = draw(st.integers(3, 6)), draw(st.sampled_from([1.0, 3.0, 30.0, 300.0]))
    a, b = front(net, channels, "branch_a", gain=3.0 / ratio), front(net, channels, "branch_b", gain=3.0)
    return finish(net, net.activate(net.add(*draw(st.permutations([a, b])), "tested"), draw(ACTIVATIONS)))


@st.composite
def inverted_residual(draw: st.DrawFn) -> Net:
    """Expand, depthwise, project without activation: the sum of a picture and a projection, neither cut off at zero."""
    kernel = draw(pairs(1, 5), label="kernel")
    net = start(draw, draw(pairs(2, 7), label="size"))
    channels, expansion = draw(st.integers(3, 6)), draw(st.integers(1, 6))
    given = last = front(net, channels)
    if expansion > 1:
        last = net.activate(net.conv(last, "expand", channels * expansion, gain=3.0), "relu6")
    margins = same(net.shape(last)[2:], kernel, (1, 1))
    filtered = net.conv(last, "depthwise", channels * expansion, kernel, (1, 1), margins, groups=channels * expansion)
    projected = net.conv(
        net.activate(filtered, "relu6"), "project", channels, gain=draw(st.sampled_from([0.3, 1.0, 4.0]))
    )
    return finish(net, net.add(given, projected, "tested"))


def _alone(activation: str) -> Callable[..., st.SearchStrategy[Net]]:
    @st.composite
    def net_of(draw: st.DrawFn) -> Net:
        """Behind a pool no activation is fused."""
        net = start(draw, draw(pairs(2, 7), label="size"))
        given = front(net, draw(st.integers(3, 6)), gain=draw(st.sampled_from([1.0, 2.5])))
        given = net.max_pool(given, "pool", (2, 2))
        return finish(net, getattr(net, activation)(given, "tested"))

    return net_of


@st.composite
def mul(draw: st.DrawFn) -> Net:
    """Two branches of one shape, signs and all."""
    net = start(draw, draw(pairs(2, 7), label="size"))
    channels = draw(st.integers(3, 6))
    a, b = front(net, channels, "branch_a"), front(net, channels, "branch_b", gain=draw(st.sampled_from([0.3, 3.0])))
    return finish(net, net.mul(a, b, "tested"))


def _excite(gate: str) -> Callable[..., st.SearchStrategy[Net]]:
    @st.composite
    def net_of(draw: st.DrawFn) -> Net:
        """Squeeze and excitation (arXiv:1709.01507): a channel's mean decides how much of it goes on."""
        net = start(draw, draw(pairs(2, 7), label="size"))
        channels = draw(st.integers(3, 8))
        given = front(net, channels, gain=2.0)
        squeezed = net.conv(net.global_average_pool(given, "squeeze"), "reduce", draw(st.integers(2, 4)), gain=3.0)
        excited = net.conv(net.relu(squeezed, "reduced"), "expand", channels, gain=3.0)
        parts = [given, getattr(net, gate)(excited, "gate")]
        return finish(net, net.mul(*draw(st.permutations(parts)), "tested"))

    return net_of


@st.composite
def concat(draw: st.DrawFn) -> Net:
    """Branches whose ranges differ, activations in between, then a layer that reads them all."""
    net = start(draw, draw(pairs(2, 7), label="size"))
    parts = [
        net.activate(
            front(net, draw(st.integers(1, 5)), f"branch{i}", draw(st.sampled_from([0.3, 1.0, 4.0]))), draw(ACTIVATIONS)
        )
        for i in range(draw(st.integers(2, 4), label="branches"))
    ]
    return finish(net, net.conv(net.concat(parts, "tested"), "behind", 4))


@st.composite
def cut_channels(draw: st.DrawFn) -> Net:
    """ShuffleNet's split: one part goes through a layer, and both are put together again."""
    net = start(draw, draw(pairs(2, 7), label="size"))
    channels = draw(st.integers(3, 8))
    given, middle = front(net, channels), draw(st.integers(1, channels - 1))
    first = net.slice_channels(given, "tested", 0, middle)
    other = net.slice_channels(given, "other", middle, channels)
    return finish(net, net.concat([net.conv(first, "between", 3), other], "together"))


@st.composite
def shuffle(draw: st.DrawFn) -> Net:
    net = start(draw, draw(pairs(2, 7), label="size"))
    groups, each = draw(st.integers(2, 4)), draw(st.integers(2, 3))
    shuffled = net.shuffle_channels(front(net, groups * each), "tested", groups)
    return finish(net, net.conv(shuffled, "behind", 4))


@st.composite
def transposed_conv(draw: st.DrawFn) -> Net:
    """As convolutions of TensorFlow's are turned round, SAME and VALID, and with other margins."""
    kernel, stride = draw(pairs(1, 5), label="kernel"), draw(pairs(1, 3), label="stride")
    size, padding = draw(pairs(2, 6), label="size"), draw(st.sampled_from(["same", "valid", "explicit"]))
    net = start(draw, size)
    longer = tuple(max(s - k, 0) for k, s in zip(kernel, stride, strict=True)) if padding == "same" else (0, 0)
    margins = (0, 0, 0, 0)
    if padding == "same":
        margins = same((size[0] * stride[0], size[1] * stride[1]), kernel, stride)
    elif padding == "explicit":
        most = [min(k - 1, (n - 1) * s + k - 1, 2) // 2 for k, s, n in zip(kernel, stride, size, strict=True)] * 2
        margins = tuple(draw(st.integers(0, m)) for m in most)
    gain, filters = draw(st.sampled_from([0.3, 1.0, 4.0])), draw(st.integers(1, 6))
    given = source(draw, net, draw(st.integers(1, 5)))
    made = net.transposed_conv(given, "tested", filters, kernel, stride, margins, longer, gain)
    return finish(net, net.activate(made, draw(ACTIVATIONS)))


def _resize(mode: str) -> Callable[..., st.SearchStrategy[Net]]:
    @st.composite
    def net_of(draw: st.DrawFn) -> Net:
        net = start(draw, draw(pairs(2, 7), label="size"))
        given = source(draw, net, draw(st.integers(1, 6)))
        return finish(net, net.resize(given, "tested", draw(pairs(1, 4), label="factors"), mode))

    return net_of


@st.composite
def gather(draw: st.DrawFn) -> Net:
    """Some of the rows, then some of the columns, behind a max pool as fractional pooling has it."""
    size = draw(pairs(4, 9), label="size")
    net = start(draw, size)
    given = net.max_pool(source(draw, net, draw(st.integers(1, 6))), "pool", (2, 2))
    rows, columns = (sorted(draw(st.sets(st.integers(0, n - 2), min_size=2))) for n in size)
    return finish(net, net.gather(net.gather(given, "rows", rows, 2), "tested", columns, 3))


@st.composite
def l2_pool(draw: st.DrawFn) -> Net:
    kernel, stride = draw(pairs(1, 5), label="kernel"), draw(pairs(1, 3), label="stride")
    size, margins = placed(draw, kernel, stride, ("same", "valid"))
    net = start(draw, size)
    return finish(net, net.l2_pool(front(net, draw(st.integers(1, 6))), "tested", kernel, stride, margins))


@st.composite
def stochastic_pool(draw: st.DrawFn) -> Net:
    kernel, stride = draw(pairs(1, 4), label="kernel"), draw(pairs(1, 3), label="stride")
    size, _ = placed(draw, kernel, stride, ("valid",))
    net = start(draw, size)
    given = net.relu(front(net, draw(st.integers(1, 6))), "front_relu")
    return finish(net, net.stochastic_pool(given, "tested", kernel, stride))


@st.composite
def batch_norm(draw: st.DrawFn) -> Net:
    """Behind a pool there is nothing to fold it into."""
    net = start(draw, draw(pairs(2, 7), label="size"))
    given = net.max_pool(front(net, draw(st.integers(2, 6))), "pool", (2, 2))
    return finish(net, net.activate(net.batch_norm(given, "tested"), draw(ACTIVATIONS)))


@st.composite
def softmax(draw: st.DrawFn) -> Net:
    """The logits; canonical() appends the softmax."""
    net = start(draw, draw(pairs(1, 5), label="size"))
    net.dense(net.flatten("x"), "logits_of", draw(st.integers(2, 10)), gain=draw(st.sampled_from([1.0, 3.0])))
    net.probabilities = True
    return net


NETS: dict[str, st.SearchStrategy[Net]] = {
    "convolution": convolution(),
    "depthwise": _depthwise((1, 1))(),
    "depthwise with a multiplier": _depthwise((2, 3))(),
    "dense": dense(),
    "flatten": flatten_between(),
    "flatten at the end": flatten_last(),
    "max_pool": max_pool(),
    "average_pool": average_pool(),
    "global_average": global_average(),
    "global_max": global_max(),
    "add": add(),
    "inverted_residual": inverted_residual(),
    "relu": _alone("relu")(),
    "relu6": _alone("relu6")(),
    "sigmoid": _alone("sigmoid")(),
    "silu": _alone("silu")(),
    "hard_sigmoid": _alone("hard_sigmoid")(),
    "hard_swish": _alone("hard_swish")(),
    "mul": mul(),
    "excite by sigmoid": _excite("sigmoid")(),
    "excite by hard_sigmoid": _excite("hard_sigmoid")(),
    "concat": concat(),
    "slice": cut_channels(),
    "shuffle": shuffle(),
    "transposed_conv": transposed_conv(),
    "resize nearest": _resize("nearest")(),
    "resize bilinear": _resize("linear")(),
    "gather": gather(),
    "l2_pool": l2_pool(),
    "stochastic_pool": stochastic_pool(),
    "batch_norm": batch_norm(),
    "softmax": softmax(),
}

"""What two neighbouring products of a layer can come to, for engines that add them in 16 bits.

x86 multiplies int8 with VPMADDUBSW: it adds two products of a uint8 activation and an int8 weight into an int16, and
cuts off what passes it, 255 * (127 + 127) = 64,770 against 32,767. Machines with VNNI have VPDPBUSD instead, which adds
four products in 32 bits. Without it ONNX Runtime (MLAS: ConvSymKernelAvx2, QgemmU8S8KernelAvx2 and their AVX-512
siblings) and OpenVINO (oneDNN) saturate in convolutions and dense layers. Their depthwise kernels widen to 16 bits
before they multiply, and so does XNNPACK everywhere; tests/verbs/test_no_vnni.py runs all of them on such a machine.

Sources: oneDNN, "Nuances of int8 computations", which names weights of 7 bits as a cure; ONNX Runtime, "Quantize ONNX
models" (reduce_range) and the session option session.x64quantprecision; OpenVINO, "Saturation (overflow) issue
workaround", and NNCF's OverflowFix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.program import Op, read_program

INT16_MAX = 2**15 - 1
"""Of magnitudes, for either sign: they are multiples of 255, of which none is 32768."""
ACTIVATION_MAX = 255


@dataclass(frozen=True)
class PairSums:
    """How large a sum of two products a convolution or dense layer can make, all activations being possible.

    worst: the largest magnitude, over any two weights that one output adds up: which two stand beside each other is for
    an engine to choose. channels: the share of output channels in which two weights pass int16. pairs: the share of
    neighbouring pairs that do, in the order that ONNX Runtime keeps weights in (OHWI). Shares in 0..1.
    """

    layer: str
    type: str
    worst: int
    channels: float
    pairs: float

    @property
    def saturates(self) -> bool:
        """Whether a sum can pass int16."""
        return self.worst > INT16_MAX


def pair_sums(graph: Graph) -> tuple[PairSums, ...]:
    """Those of each layer of a QDQ graph whose products are added in pairs; none of a float graph."""
    return tuple(_layer(op) for op in read_program(graph).ops if _is_quantized(op) and not _is_depthwise(op))


def _is_quantized(op: Op) -> bool:
    return op.weights is not None and op.weights.scales is not None


def _is_depthwise(op: Op) -> bool:
    """One input and one output channel a group: kernels of their own, which don't add in pairs."""
    weights, _ = op.constants
    return op.type == "Conv" and op.attributes["group"] == len(weights.values) > 1 and weights.values.shape[1] == 1


def _layer(op: Op) -> PairSums:
    weights, _ = op.constants
    values = weights.values.astype(np.int64)
    if values.ndim == 4:
        values = values.transpose(0, 2, 3, 1)
    rows = values.reshape(len(values), -1)
    rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    worst = _largest(np.sort(rows, axis=1)[:, [0, 1, -2, -1]].reshape(-1, 2, 2)).max(axis=1)
    neighbours = _largest(rows.reshape(len(rows), -1, 2))
    shares = (float((sums > INT16_MAX).mean()) for sums in (worst, neighbours))
    return PairSums(op.name, op.type, int(worst.max()), *shares)


def _largest(pairs: Array) -> Array:
    """The largest magnitude of a * w + b * v, for pairs of weights [..., 2] and activations a, b in 0..255."""
    up, down = (np.maximum(sign * pairs, 0).sum(axis=-1) for sign in (1, -1))
    return np.asarray(ACTIVATION_MAX * np.maximum(up, down))

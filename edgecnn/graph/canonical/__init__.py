"""Any classifier's ONNX graph -> the canonical fp32 graph: the few operations that quantize/ and formats/ know.

    image: uint8 [N, H, W, C] -> DequantizeLinear(1/128, 128) -> Transpose -> the network -> logits: float32 [N, K]

Conv and Gemm always carry a bias, Gemm is x @ W.T + b; batch norm and padding are folded; margins are explicit;
global pools stand as GlobalAveragePool or ReduceMax; channels are cut by Slice and shuffled by Reshape, Transpose,
Reshape; Resize has whole factors; a node and its output are named after the layer. A network that wants other pixels
than (pixel - 128) / 128 has a 1x1 depthwise convolution in front.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto

from edgecnn.errors import UsageError
from edgecnn.graph.canonical.channels import name_shuffles, name_slices
from edgecnn.graph.canonical.ends import (
    IMAGE,
    IMAGE_SCALE,
    IMAGE_ZERO,
    LOGITS,
    Pixels,
    append_softmax,
    name_after_layers,
    normalise_pixels,
    put_image_in_front,
)
from edgecnn.graph.canonical.pools import complete_pool, name_global_pools
from edgecnn.graph.canonical.resampling import check_gather, complete_transposed_conv, fold_crop, name_resize
from edgecnn.graph.canonical.tidy import check_activations, drop_what_does_nothing, name_flatten, plain_clip
from edgecnn.graph.canonical.weighted import complete_conv, complete_dense, fold_affine, fold_batch_norm, fold_pad
from edgecnn.graph.edit import Graph, from_onnx, to_onnx

__all__ = ["IMAGE", "IMAGE_SCALE", "IMAGE_ZERO", "LOGITS", "Pixels", "canonical"]

STEPS: tuple[Callable[[Graph], None], ...] = (
    drop_what_does_nothing,
    fold_pad,
    fold_crop,
    fold_affine,
    fold_batch_norm,
    complete_conv,
    complete_transposed_conv,
    complete_dense,
    complete_pool,
    name_global_pools,
    name_resize,
    check_gather,
    name_slices,
    name_shuffles,
    name_flatten,
    plain_clip,
    check_activations,
)


def canonical(graph: Graph, probabilities: bool = False, pixels: Pixels | None = None) -> Graph:
    """The canonical form of a graph with one float input [N, C, H, W] and one output [N, K]; the graph is used up.

    `pixels` says what the graph wants to see, where it is not (pixel - 128) / 128. Raises UsageError, naming operation
    and layer, for what has no canonical form.
    """
    _check_ends(graph)
    for step in STEPS:
        step(graph)
        graph.prune()
    if probabilities:
        append_softmax(graph)
    if pixels is not None:
        normalise_pixels(graph, pixels)
    name_after_layers(graph)
    put_image_in_front(graph)
    graph.infer_shapes()
    onnx.checker.check_model(to_onnx(graph), full_check=True)
    return from_onnx(to_onnx(graph))


def _check_ends(graph: Graph) -> None:
    if len(graph.inputs) != 1 or len(graph.inputs[0].shape) != 4 or graph.inputs[0].dtype != TensorProto.FLOAT:
        raise UsageError("the model must take one float picture [N, C, H, W]")
    if len(graph.outputs) != 1 or len(graph.outputs[0].shape) != 2:
        raise UsageError("the model must give one set of logits [N, K]")

"""The map forms that an export writes beside its artifacts: their graphs, and a look at each file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from edgecnn import formats
from edgecnn.edge.artifact import Artifact
from edgecnn.edge.camera.heatmap import ClassMap, HeatMap
from edgecnn.errors import EdgecnnError
from edgecnn.geometry import Pair
from edgecnn.graph.class_map import at_size, class_map
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.half import halved
from edgecnn.graph.program import Tensor, read_program
from edgecnn.graph.reference import Reference
from edgecnn.metrics import agreement, softmax
from edgecnn.quantize import quantized_map
from edgecnn.verbs.network import TOLERANCES, Network, check_float

FAR = 0.05
"""Of the span of a reference's answers: what int8 rounding may move half of them by at most. A deep net whose weights
are random moves by some steps in another engine; a wrong file by a third of the span. `verify` looks at each layer."""


def map_graphs(
    network: Network, graphs: Mapping[str, Graph], sizes: Sequence[Pair | None]
) -> dict[Pair | None, dict[str, Graph]]:
    """The map form of each precision's graph, for pictures of each size, None being the classifier's own.

    UsageError where the network has none, or none at a size.
    """
    if not sizes:
        return {}
    own = _own_maps(network, graphs)
    return {
        size: own if size is None else {precision: at_size(graph, size) for precision, graph in own.items()}
        for size in sizes
    }


def _own_maps(network: Network, graphs: Mapping[str, Graph]) -> dict[str, Graph]:
    made = {"fp32": class_map(network.fp32)}
    if "int8" in graphs:
        made["int8"] = quantized_map(graphs["int8"], network.fp32, network.calibration.images)
    if "fp16" in graphs:
        made["fp16"] = halved(made["fp32"])
    return made


def class_map_record(network: Network, graph: Graph, opened: Artifact, classifier: Artifact) -> ClassMap:
    """What is to be known of a map's file, after holding it against its graph and its mean against the classifier.

    EdgecnnError where the file does not give what the graph says, or its mean is not the source's answer. At another
    size than the classifier's there is no answer to hold the mean against.
    """
    images, output = _as_large(network.evaluated, graph), read_program(graph).output
    _, _, height, width = output.shape
    record = ClassMap(
        file=opened.manifest,
        height=height,
        width=width,
        layout=_layout(opened.manifest.target, output),
        classifier=classifier.manifest.sha256,
        agreement=0.0,
        pictures=len(images),
    )
    found = np.stack([HeatMap(record, opened).logits(image) for image in images])
    expected = opened.values(Reference(graph).output(images)).transpose(0, 2, 3, 1)
    what = f"the {opened.manifest.target} {opened.manifest.precision} file of the heat map"
    _check(opened, found, expected, what)
    if images is not network.evaluated:
        return record
    means = found.mean(axis=(1, 2))
    answers = softmax(means) if network.output == "probabilities" else means
    _check(opened, answers, network.logits, f"the mean of {what}")
    return dataclasses.replace(record, agreement=agreement(means, classifier.raw(images)))


def _as_large(images: Array, graph: Graph) -> Array:
    """Pictures uint8 [N, H, W, C] of the size that a graph takes, by repeating or cutting them.

    Themselves where the size is theirs.
    """
    _, height, width, _ = graph.inputs[0].shape
    if images.shape[1:3] == (height, width):
        return images
    rows, columns = np.arange(height) % images.shape[1], np.arange(width) % images.shape[2]
    return np.ascontiguousarray(images[:, rows][:, :, columns])


def _layout(target: str, output: Tensor) -> str:
    """The order of axes that a format's files give a picture-like output in, told by sizes that are all different."""
    sizes = formats.find_format(target).encode(output, np.zeros((1, 2, 3, 5), np.float32)).shape
    return "NHWC" if sizes == (1, 3, 5, 2) else "NCHW"


def _check(opened: Artifact, found: Array, expected: Array, what: str) -> None:
    if found.shape != expected.shape:
        raise EdgecnnError(f"{what} gives {list(found.shape)} instead of {list(expected.shape)}")
    scale = opened.manifest.output.scale
    if scale is None:
        check_float(found, expected, what, TOLERANCES[opened.manifest.precision])
    elif np.median(np.abs(found - expected)) > max(scale, FAR * np.ptp(expected)):
        raise EdgecnnError(f"{what} lies far from what it was made from in most places")

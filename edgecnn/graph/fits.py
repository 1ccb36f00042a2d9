"""Whether float16 can hold what a network computes: what is looked at before a file is written in it."""

from __future__ import annotations

import numpy as np

from edgecnn.errors import UnusableFile
from edgecnn.graph.edit import Array, Graph
from edgecnn.graph.half import LARGEST
from edgecnn.graph.reference import Reference


def check_values_fit(graph: Graph, images: Array) -> None:
    """UnusableFile, naming layer and value, where a canonical fp32 graph computes what float16 can't hold.

    images: uint8 [N, H, W, C], those that int8 would be decided on. Only what layers give out is looked at: engines
    add up in float32.
    """
    layers = {node.output: node.name for node in graph.nodes}
    reference, batch = Reference(graph, list(layers)), graph.inputs[0].shape[0]
    for start in range(0, len(images) - batch + 1, batch):
        for name, values in reference.values(images[start : start + batch]).items():
            worst = float(values.flat[int(np.abs(values).argmax())])
            if not abs(worst) <= LARGEST:
                raise UnusableFile(
                    f"layer '{layers[name]}': its values reach {worst:.6g} on the pictures given, and fp16 ends at "
                    f"{LARGEST:.0f}; export --fp32"
                )

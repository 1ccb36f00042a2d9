"""Each named architecture as six files that run: its logits against torch, its layers against the graph."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge.runtimes import runtime_for
from edgecnn.formats import all_formats
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph
from edgecnn.graph.trace import trace
from edgecnn.proof.parity import LayerReference, check_layers
from edgecnn.quantize import quantize
from tests.graph.small_nets import planes
from tests.nn.architectures import ARCHS, named, narrowest

Array = NDArray[Any]
QUICK = ("resnet8", "lenet5", "squeezenet")
"""In the short suite too: a residual net, one that flattens, one of branches."""
FLOAT = 1e-4
"""A float file may differ from torch by this share of the largest logit."""
CHECKED = 4


@lru_cache(maxsize=1)  # the tests go architecture by architecture
def exported(arch: str) -> tuple[Array, Array, dict[str, tuple[Graph, LayerReference]]]:
    """Pictures, torch's logits on them, and the graph in both precisions; batch norms have seen real pictures."""
    images = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("train").images[:160]
    torch.manual_seed(0)
    module = named(arch, 32, 10, narrowest(arch)).build()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = None  # the mean over all that is seen
        for batch in np.split(images, 2):
            module(torch.from_numpy(planes(batch)))
        logits = module.eval()(torch.from_numpy(planes(images[:CHECKED]))).numpy()
    fp32 = canonical(trace(module, 3, 32, 32))
    graphs = {"fp32": fp32, "int8": quantize(fp32, images[:64])}
    return (
        images[:CHECKED],
        logits,
        {key: (made, LayerReference(made, images[:CHECKED])) for key, made in graphs.items()},
    )


@pytest.mark.parametrize("form", all_formats().values(), ids=all_formats())
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize(
    "arch", [pytest.param(a, marks=() if a in QUICK else (pytest.mark.slow, pytest.mark.long)) for a in ARCHS]
)
def test_it_runs_as_each_file(arch: str, precision: str, form: Any, tmp_path: Path) -> None:
    """The whole file runs on real pictures; each layer by itself is within a step, or 1e-4, of the graph."""
    images, expected, graphs = exported(arch)
    graph, reference = graphs[precision]
    form.write(graph, tmp_path, {})
    session = runtime_for(form.name).open(tmp_path / form.model, 1)
    logits = np.concatenate([session.run(image[None]) for image in images])
    assert logits.shape == (CHECKED, 10)
    if precision == "fp32":
        assert np.abs(logits - expected).max() <= FLOAT * np.abs(expected).max()
    report = check_layers(form.name, form.name, tmp_path / form.model, reference)
    assert report.first_wrong is None
    assert sum(layer.apart is not None for layer in report.layers) > len(report.layers) / 2

"""torchvision's classifiers with statistics from real pictures, through export and verify; what both of them measure.

Weights are torchvision's random ones (nothing can be downloaded here). Batch-norm statistics are set from 256 pictures,
the average over batches of 64 as training sees them, so that values keep their size through the net and logits vary.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torchvision import models
from torchvision.ops import StochasticDepth

import edgecnn
from edgecnn.data import DataSpec, Pictures, open_dataset
from edgecnn.data.loose import read_loose

NETS = (
    "mobilenet_v3_small",
    "mobilenet_v2",
    "efficientnet_b0",
    "squeezenet1_1",
    "shufflenet_v2_x0_5",
    "resnet18",
    "googlenet",
    "densenet121",
)
SIZE, STATISTICS, BATCH = 96, 256, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What torchvision's own weights want."""


def pictures(photos: Path | None, count: int) -> Pictures:
    """`count` photos of a folder, drawn over all of them, or without one of the bundled CIFAR-10 pictures, at 96x96."""
    if photos is not None:
        found = read_loose(photos, (SIZE, SIZE), "crop", limit=count).pictures
    else:
        found = open_dataset(DataSpec("cifar10_mini", None, 0.1, SIZE, SIZE, "crop")).load("train")
    return found.take(np.arange(count) * (len(found) // count))


def planes(images: Any) -> torch.Tensor:
    """Normalised by torch itself."""
    values = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255.0
    mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (MEAN, STD))
    return (values - mean) / std


def prepared(name: str, images: Any) -> nn.Module:
    """A net in eval mode, its batch norms set from pictures."""
    torch.manual_seed(1)
    extra = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    module = models.get_model(name, weights=None, **extra).train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = None  # the plain average over batches
        if isinstance(part, (nn.Dropout, StochasticDepth)):
            part.eval()
    with torch.no_grad():
        for batch in torch.split(planes(images[:STATISTICS]), BATCH):
            module(batch)
        module.eval()
        if not any(isinstance(part, nn.BatchNorm2d) for part in module.modules()):
            centre(module, images)
    return module


def centre(module: nn.Module, images: Any) -> None:
    """A net without batch norm: the last convolution's bias takes the mean away, or one class would always win."""
    last = [part for part in module.modules() if isinstance(part, nn.Conv2d)][-1]
    made: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda _, __, output: made.append(output))
    module(planes(images[:STATISTICS]))
    hook.remove()
    assert last.bias is not None
    last.bias -= made[0].mean(dim=(0, 2, 3))


def onnx_file(module: nn.Module, path: Path) -> Path:
    """As torch's older exporter writes it: another front door than edgecnn's own tracing."""
    torch.onnx.export(module, (torch.zeros(1, 3, SIZE, SIZE),), path, dynamo=False, opset_version=17)
    return path


@dataclass(frozen=True)
class Figures:
    """One net by one route. Shares are of 1; whole nets are held against the reference, by artifact."""

    net: str
    route: str
    float_apart: float
    """How far a float file is from torch at most, absolutely."""
    levels: int
    winners: int
    layers_within_1: float
    """Over the layers of the int8 files, each fed the reference's own inputs: the least share within one step."""
    worst_layer: str
    agreement: dict[str, float]
    within_1: dict[str, float]


def measured(net: str, route: str, module: nn.Module, images: Any, tested: Any, folder: Path) -> Figures:
    """Export by a route (`module` or `onnx`) to six files, and verify them on the pictures `tested`."""
    source = module if route == "module" else onnx_file(module, folder / f"{net}.onnx")
    made = edgecnn.export(
        source,
        input_size=SIZE,
        calibration=images,
        mean=MEAN,
        std=STD,
        int8=True,
        fp32=True,
        out=folder / f"{net}-{route}",
    )
    with torch.inference_mode():
        expected = module(planes(tested)).numpy()
    apart = []
    for artifact in made:
        opened = edgecnn.load(artifact.path)
        if artifact.precision == "fp32":
            apart.append(np.abs(opened.values(opened.raw(tested)) - expected).max())
    certificate = edgecnn.verify(made, tested)
    held = {pair.b: pair for pair in certificate.parity if pair.a == "reference"}
    checks = [(check, report.artifact) for report in certificate.layers for check in report.layers]
    worst, where = min(((c, a) for c, a in checks if a.endswith("int8")), key=lambda found: found[0].within_1 or 0.0)
    reference = edgecnn.load(made[0].path.parent / "onnx-int8")
    return Figures(
        net,
        route,
        float(max(apart)),
        certificate.logit_grid.levels,
        len(np.unique(reference.raw(tested).argmax(1))),
        worst.within_1 or 0.0,
        f"{where} {worst.layer} ({worst.type})",
        {name: pair.top1_agreement for name, pair in held.items()},
        {name: pair.within_1 for name, pair in held.items()},
    )

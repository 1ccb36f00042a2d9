"""A timm of two small classifiers, with the functions of timm's that edgecnn calls, as timm 1.0.31 answers them."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NAMES = ("small_net", "small_net_untrained", "small_fixed")


class NormAct(nn.BatchNorm2d):
    """A batch norm with its activation, as timm has them."""

    def forward(self, input: Tensor) -> Tensor:
        return functional.relu(super().forward(input))


class SmallNet(nn.Module):
    """A stem, a block with a gate and a shortcut that is chosen as it runs, and a classifier."""

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.conv_stem = nn.Conv2d(in_chans, 8, 3, 2, 1, bias=False)
        self.bn1 = NormAct(8)
        self.conv_dw = nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.bn2 = NormAct(8)
        self.gate = nn.Conv2d(8, 8, 1)
        self.conv_head = nn.Conv2d(8, 16, 1, bias=False)
        self.bn3 = NormAct(16)
        self.classifier = nn.Linear(16, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        x = self.bn1(self.conv_stem(image))
        y = self.bn2(self.conv_dw(x))
        y = y * self.gate(y.mean((2, 3), keepdim=True)).sigmoid()
        if y.shape == x.shape:  # a symbolic trace can't follow this
            y = y + x
        logits: Tensor = self.classifier(self.bn3(self.conv_head(y)).mean((2, 3)))
        return logits


def small_timm(monkeypatch: pytest.MonkeyPatch, error: Exception | None = None) -> SmallNet:
    """Put it in timm's place; what its trained weights are. error: what downloading them raises."""
    torch.manual_seed(11)
    trained = SmallNet(1000, 3)

    def create_model(
        name: str, pretrained: bool = False, num_classes: int = 1000, in_chans: int = 3, img_size: Any = None
    ) -> nn.Module:
        if img_size is not None and tuple(img_size) != (32, 32):
            raise AssertionError("the size must be 32")
        made = SmallNet(num_classes, in_chans)
        if pretrained and error is not None:
            raise error
        if pretrained:
            made.load_state_dict(trained.state_dict())
        return made

    def get_pretrained_cfg(name: str) -> Any:
        if name == "small_net.v9":
            raise RuntimeError("Invalid pretrained tag (v9) for small_net.")
        return SimpleNamespace(
            mean=MEAN, std=STD, has_weights=name != "small_net_untrained", fixed_input_size=name == "small_fixed"
        )

    timm: Any = ModuleType("timm")
    timm.create_model, timm.get_pretrained_cfg = create_model, get_pretrained_cfg
    timm.list_models = lambda: list(NAMES)
    timm.is_model = lambda name: name.partition(".")[0] in NAMES
    monkeypatch.setitem(sys.modules, "timm", timm)
    return trained

"""The named architectures, found in their folder, and the smallest form of each that is still that net."""

from __future__ import annotations

import pkgutil

from edgecnn.nn import archs
from edgecnn.nn.network import Network, plan_network
from edgecnn.recipe.schema import Model

ARCHS = sorted(module.name for module in pkgutil.iter_modules(archs.__path__))
FIXED = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite3", "efficientnet_lite4")
WITHOUT_WIDTH = ("lenet5", "squeezenet", *FIXED)
NARROWEST = {"shufflenet_v2": 0.5}
"""The others take a quarter."""


def named(arch: str, size: int, classes: int, width: float | None = None, channels: int = 3) -> Network:
    return plan_network(Model(arch=arch, width=width), (channels, size, size), classes)


def narrowest(arch: str) -> float | None:
    return None if arch in WITHOUT_WIDTH else NARROWEST.get(arch, 0.25)

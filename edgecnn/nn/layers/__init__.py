"""What each word of `layers:` means: one function a word, from an input shape to a Plan; one module a family of words.

A Plan knows its arithmetic without torch; `build()` makes the module, and only that imports torch. A Plan's shape is
(C, H, W), or (C,) once the picture is gone.
"""

from edgecnn.nn.layers import (  # each registers its words
    activations,
    branches,
    convolutions,
    features,
    pools,
    resampling,
    residuals,
    shuffles,
)
from edgecnn.nn.layers.plan import PLANS, Plan, Shape, plan_layers, plans

__all__ = [
    "PLANS",
    "Plan",
    "Shape",
    "activations",
    "branches",
    "convolutions",
    "features",
    "plan_layers",
    "plans",
    "pools",
    "resampling",
    "residuals",
    "shuffles",
]

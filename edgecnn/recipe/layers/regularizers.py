"""What steadies training, and is gone or folded at export."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgecnn.recipe.layers.common import Layer


class BatchNorm(Layer):
    """Batch normalisation on its own; folded into a neighbour or a 1x1 depthwise convolution at export."""


class Dropout(Layer):
    """Zero a share `rate` of the values while training."""

    rate: Annotated[float, Field(ge=0.0, lt=1.0)]


class SpatialDropout(Dropout):
    """Zero a share `rate` of whole channels while training."""

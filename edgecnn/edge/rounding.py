"""Real values as the integers of a grid: value = scale * (point - zero_point)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def nearest_points(values: NDArray[Any], scale: float, zero_point: int, dtype: DTypeLike = np.uint8) -> NDArray[Any]:
    """The grid's nearest integers, halves to even; beyond the type's ends, the ends."""
    info = np.iinfo(np.dtype(dtype))
    return np.asarray(np.clip(np.rint(values / scale) + zero_point, info.min, info.max), dtype)

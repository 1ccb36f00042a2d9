"""The class map of a label, laid over the part of the picture that the model saw."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecnn.edge import pixels
from edgecnn.edge.pixels import Image

OPACITY = 0.55
"""Of the hottest place; the coldest lets the picture through."""
INPUT = re.compile(r"(?P<height>\d+)x(?P<width>\d+) (?P<resize>\w+)")


def lay_over(picture: Image, heatmap: NDArray[np.uint8], model_input: str) -> Image:
    """A copy of a picture, uint8 [H, W, 3] RGB, with a map of 0 to 255, uint8 [h, w], in colours over it.

    model_input: `ModelCard.input`, height x width and rule: a crop covers the centred part, a letterbox's border lies
    outside the picture, stretch covers all.
    """
    import cv2

    found = INPUT.fullmatch(model_input)
    height, width = (int(found["height"]), int(found["width"])) if found else picture.shape[:2]
    resize = found["resize"] if found else "stretch"
    laid: Image = picture.copy()
    seen, heat = laid, heatmap
    if resize == "crop":
        seen = pixels.centre_crop(laid, height, width)
    elif resize == "letterbox":
        heat = pixels.centre_crop(heatmap, *laid.shape[:2])
    heat = np.asarray(cv2.resize(heat, (seen.shape[1], seen.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(heat, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    weight = heat * np.float32(OPACITY / 255)
    blended: NDArray[Any] = cv2.blendLinear(seen, colours, 1 - weight, weight)
    seen[:] = blended
    return laid

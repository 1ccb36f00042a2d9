"""Values that float16 can't hold are found on pictures, with the layer's name."""

from __future__ import annotations

import numpy as np
import pytest

from edgecnn.errors import UnusableFile
from edgecnn.graph.fits import check_values_fit
from tests.graph.small_nets import Net, pictures

IMAGES = pictures(np.random.default_rng(1), 8, 6, 6)


def net(gain: float) -> Net:
    """Weights that float16 holds; `gain` times over, values that it may not."""
    made = Net(np.random.default_rng(0), 6, 6)
    first = made.conv("x", "first", 8, gain=gain)
    made.dense(made.flatten(made.conv(first, "second", 4, gain=1.0)), "classifier", 3, gain=1e-4)
    return made


def test_usual_values_fit() -> None:
    check_values_fit(net(1.0).canonical(), IMAGES)


@pytest.mark.parametrize("batch_of", [8, 7])
def test_the_layer_and_its_value_are_named(batch_of: int) -> None:
    graph = net(1e5).canonical()
    with pytest.raises(UnusableFile, match=r"^layer 'first': its values reach -?\d.*, and fp16 ends at 65504; export"):
        check_values_fit(graph, IMAGES[:batch_of])


def test_only_one_of_the_pictures_reaches_so_far() -> None:
    made = Net(np.random.default_rng(0), 6, 6)
    weights = np.full((1, 3, 1, 1), 3e4, np.float32)
    made.flatten(made.conv("x", "bright", 1, weights=weights, bias=np.zeros(1, np.float32)))
    grey = np.full((4, 6, 6, 3), 128, np.uint8)
    check_values_fit(made.canonical(), grey)
    grey[2, 3, 4] = 255  # 3 channels of 127/128, times 3e4
    with pytest.raises(UnusableFile, match="layer 'bright': its values reach 89296"):
        check_values_fit(made.canonical(), grey)

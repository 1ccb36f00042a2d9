"""Which layers have no int8 form, and where a recipe has them: by themselves, in a block, in a branch."""

from __future__ import annotations

import pytest

from edgecnn.nn.deployable import FloatIsland, float_islands
from edgecnn.nn.layers import plan_layers
from edgecnn.recipe.layers import WORDS, Concat, Conv, L2Pool, Layer, Residual, StochasticPool

PICTURE = (4, 8, 8)
KEEPS = StochasticPool(size=(1, 1), name="drawn")


def found(*layers: Layer) -> tuple[FloatIsland, ...]:
    return float_islands(plan_layers(layers, PICTURE))


def test_the_words_that_have_no_int8_form() -> None:
    """Those whose operations are not in the LiteRT 8-bit quantization specification."""
    planned = {"l2_pool": L2Pool(), "stochastic_pool": StochasticPool()}
    islands = {name: found(word) for name, word in planned.items()}
    assert islands == {name: (FloatIsland(f"{name}_1", name, (0, name)),) for name in planned}
    plain = [WORDS[name]() for name in WORDS if name not in planned and not WORDS[name].nested and _is_whole(name)]
    assert all(found(word) == () for word in plain)


def _is_whole(name: str) -> bool:
    return not any(field.is_required() for field in WORDS[name].model_fields.values())


@pytest.mark.parametrize(
    ("layer", "path", "place"),
    [
        (
            Residual(layers=(Conv(filters=4), KEEPS)),
            "residual_2/drawn",
            (1, "residual", "layers", 1, "stochastic_pool"),
        ),
        (
            Concat(branches=((), (Conv(filters=2), KEEPS))),
            "concat_2/branch2/drawn",
            (1, "concat", "branches", 1, 1, "stochastic_pool"),
        ),
        (
            Residual(layers=(Concat(branches=((Conv(filters=2),), (Conv(filters=2), KEEPS))),)),
            "residual_2/concat_1/branch2/drawn",
            (1, "residual", "layers", 0, "concat", "branches", 1, 1, "stochastic_pool"),
        ),
    ],
)
def test_inside_of_blocks(layer: Layer, path: str, place: tuple[str | int, ...]) -> None:
    assert found(Conv(filters=4), layer) == (FloatIsland(path, "stochastic_pool", place),)

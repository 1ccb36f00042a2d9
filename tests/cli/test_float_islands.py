"""A layer that has no int8 form is said before training, at its place in the recipe; or allowed, and then shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.verbs.small_runs import edgecnn

RECIPE = """\
name: pools
data: {source: cifar10_mini}
input: {size: 16}
model:
  layers:
    - conv: {filters: 4, stride: 2}
    - l2_pool
    - concat:
        branches:
          - []
          - - stochastic_pool: {size: 1}
    - global_average_pool
    - dense: {units: 10}
train: {epochs: 1, batch: 64, threads: 1, dtype: float32, layout: contiguous, fused: false, compile: false}
"""
AT = {"7:7": "l2_pool_2: l2_pool", "11:15": "concat_3/branch2/stochastic_pool_1: stochastic_pool"}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "pools.yaml"
    path.write_text(RECIPE)
    return path


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_refused_before_training(verb: str, recipe: Path) -> None:
    left = edgecnn(verb, recipe)
    assert left.code == 2
    for place, layer in AT.items():
        assert f"{recipe}:{place}: {layer} has no int8 form in tflite, onnx, openvino; export fp32 only" in left.err
    assert "quantize.float_islands: true" in left.err
    assert not Path("runs").exists()


def test_fp32_alone_needs_no_leave(recipe: Path) -> None:
    recipe.write_text(RECIPE + "export: {precisions: [fp32]}\n")
    left = edgecnn("inspect", recipe, "--json")
    assert (left.code, json.loads(left.out)["float_islands"]) == (0, [])


def test_allowed_it_is_shown(recipe: Path) -> None:
    recipe.write_text(RECIPE + "quantize: {float_islands: true}\n")
    shown = edgecnn("inspect", recipe)
    assert shown.code == 0
    text = " ".join(shown.out.split())
    assert "in float inside int8 files" in text
    assert "l2_pool_2, concat_3/branch2/stochastic_pool_1" in text
    assert json.loads(edgecnn("inspect", recipe, "--json").out)["float_islands"] == [
        "l2_pool_2",
        "concat_3/branch2/stochastic_pool_1",
    ]


def test_export_asked_for_int8_says_so_too(recipe: Path) -> None:
    """A run trained for fp32 alone, then `export --int8`: refused, and nothing written; with fp32 it is made."""
    recipe.write_text(RECIPE + "export: {precisions: [fp32], targets: [onnx]}\n")
    trained = edgecnn("train", recipe, "--json")
    assert trained.code == 0, trained.err
    run = Path(json.loads(trained.out)["run"])
    refused = edgecnn("export", run, "--int8")
    assert refused.code == 2
    assert "resolved.yaml:" in refused.err
    assert "l2_pool has no int8 form in onnx" in refused.err
    assert not list((run / "export").glob("*"))
    assert edgecnn("export", run, "--json").code == 0

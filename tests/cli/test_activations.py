"""Symmetric activations by flag and by recipe: what the files say, what people read, and that `verify` passes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecnn.edge.artifact import read_manifest
from edgecnn.graph.edit import Graph, from_onnx
from edgecnn.quantize import UNTESTED, broken_rules
from tests.verbs.small_runs import SmallRun, edgecnn


def scheme(folder: str) -> str:
    """What an export's ONNX file says its int8 is, after making sure that its graph is so."""
    manifest = read_manifest(Path(folder) / "onnx-int8")
    graph = from_onnx(onnx.load(Path(folder) / "int8.onnx"))
    assert (broken_rules(graph) == ()) == manifest.scheme.endswith("_symmetric")
    return manifest.scheme


@pytest.mark.slow
def test_every_target_is_exported_and_verified(small_run: SmallRun) -> None:
    left = edgecnn("export", small_run.run, "--int8", "--activations", "symmetric", "--heatmap", "--out", "all")
    assert left.code == 0, left.err
    assert f"note: {UNTESTED}" in left.out
    assert scheme("all") == "static_wi8_ai8_symmetric"
    left = edgecnn("verify", "all", "--json")
    answer = json.loads(left.out)
    assert answer["passed"], left.err
    assert UNTESTED in answer["notes"]
    assert f"note: {UNTESTED}" in left.err
    layers = [layer for report in answer["layers"] for layer in report["layers"]]
    assert {report["artifact"] for report in answer["layers"]} == {"tflite-int8", "onnx-int8", "openvino-int8"}
    assert all(layer["apart"] <= 1 for layer in layers)


@pytest.mark.slow
def test_by_recipe_and_by_flag(small_run: SmallRun) -> None:
    asked = ("export", small_run.run, "--int8", "--target", "onnx")
    resolved = small_run.run / "resolved.yaml"
    text = resolved.read_text()
    assert "activations: asymmetric" in text
    resolved.write_text(text.replace("activations: asymmetric", "activations: symmetric"))
    edgecnn(*asked, "--out", "recipe")
    assert scheme("recipe") == "static_wi8_ai8_symmetric"
    left = edgecnn(*asked, "--activations", "asymmetric", "--out", "flag")
    assert scheme("flag") == "static_wi8_ai8", "the flag replaces what the recipe says"
    assert UNTESTED not in left.out


def test_a_graph_that_breaks_the_rules_is_not_exported(small_run: SmallRun, monkeypatch: pytest.MonkeyPatch) -> None:
    def with_a_zero_point(graph: Graph) -> tuple[str, ...]:
        graph.constants["conv.zero_point"] = np.array(3, np.int8)
        next(node for node in graph.nodes if node.op == "QuantizeLinear").inputs[2] = "conv.zero_point"
        return broken_rules(graph)

    monkeypatch.setattr("edgecnn.verbs.artifacts.broken_rules", with_a_zero_point)
    asked = ("--int8", "--target", "onnx", "--activations", "symmetric", "--out", "broken")
    left = edgecnn("export", small_run.run, *asked)
    assert left.code == 1
    assert "breaks 1 of TensorRT's rules; the first: 'image.q' has zero point 3; TensorRT takes 0 only" in left.err
    assert not Path("broken").exists()


def test_activations_that_make_no_sense(small_run: SmallRun) -> None:
    left = edgecnn("export", small_run.run, "--fp32", "--activations", "symmetric")
    assert (left.code, left.err.strip()) == (2, "error: activations is for int8 files, and none is asked for")
    assert edgecnn("export", small_run.run, "--int8", "--activations", "lopsided").code == 2

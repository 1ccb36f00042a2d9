"""What `export` says about x86 machines without VNNI, and weights of 7 bits by flag and by recipe."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecnn.edge.artifact import read_manifest
from edgecnn.edge.machine import instruction_sets
from edgecnn.graph.edit import from_onnx
from tests.verbs.small_runs import SmallRun, edgecnn


def scheme(folder: str) -> str:
    """What an export's ONNX file says its int8 is, after making sure that its graph is so."""
    manifest = read_manifest(Path(folder) / "onnx-int8")
    weights = [
        c for name, c in from_onnx(onnx.load(Path(folder) / "int8.onnx")).constants.items() if ".weight.q" in name
    ]
    assert max(int(np.abs(w.astype(int)).max()) for w in weights) == {"7": 63, "8": 127}[manifest.scheme[9]]
    assert manifest.instruction_sets == instruction_sets()
    return manifest.scheme


@pytest.mark.slow
def test_export_says_once_that_sums_can_saturate(small_run: SmallRun) -> None:
    left = edgecnn("export", small_run.run, "--int8", "--out", "all")
    said = " ".join(left.out.split())
    assert said.count("on x86 without VNNI, sums in 3 layers can saturate in onnxruntime and openvino") == 1
    assert "--weights-bits 7, or say quantize: {weights_bits: 7} in the recipe" in said
    assert scheme("all") == "static_wi8_ai8"
    left = edgecnn("export", small_run.run, "--int8", "--target", "tflite", "--out", "tflite")
    assert left.code == 0
    assert "saturate" not in left.out, "no engine that reads this file is concerned"
    assert "saturate" not in edgecnn("export", small_run.run, "--fp32", "--out", "fp32").out


@pytest.mark.slow
def test_weights_bits_by_flag_and_by_recipe(small_run: SmallRun) -> None:
    asked = ("export", small_run.run, "--int8", "--target", "onnx")
    left = edgecnn(*asked, "--weights-bits", 7, "--out", "flag")
    assert "saturate" not in left.out
    assert scheme("flag") == "static_wi7_ai8"
    resolved = small_run.run / "resolved.yaml"
    text = resolved.read_text()
    assert "weights_bits: 8" in text
    resolved.write_text(text.replace("weights_bits: 8", "weights_bits: 7"))
    edgecnn(*asked, "--out", "recipe")
    assert scheme("recipe") == "static_wi7_ai8"
    edgecnn(*asked, "--weights-bits", 8, "--out", "both")
    assert scheme("both") == "static_wi8_ai8", "the flag replaces what the recipe says"
    left = edgecnn("verify", "flag", "--json")
    assert json.loads(left.out)["passed"], left.err


def test_weights_bits_that_make_no_sense(small_run: SmallRun) -> None:
    left = edgecnn("export", small_run.run, "--fp32", "--weights-bits", 7)
    assert (left.code, left.err.strip()) == (2, "error: weights_bits is for int8 files, and none is asked for")
    assert edgecnn("export", small_run.run, "--int8", "--weights-bits", 6).code == 2

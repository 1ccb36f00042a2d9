"""int8 on an x86 machine without VNNI, which qemu plays: weights of 8 bits saturate there, weights of 7 bits don't."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgecnn
from edgecnn.records import to_json
from edgecnn.verbs.export import ExportRecord

ROOT = Path(__file__).parents[2]
PIXELS = (128 / 255,) * 3
"""Mean and std with which (pixel - 128) / 128 goes in."""
WIDENED = {"depthwise"}
"""Layers whose kernels multiply in 16 bits everywhere."""


class Bright(nn.Module):
    """Every kind of layer with weights, all of them positive and nearly alike: the worst that sums can meet."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.pointwise = nn.Conv2d(16, 16, 1)
        self.spatial = nn.Conv2d(16, 16, 3, padding=1)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16)
        self.multiplied = nn.Conv2d(16, 32, 3, padding=1, groups=16)
        self.grouped = nn.Conv2d(32, 16, 3, padding=1, groups=4)
        self.classifier = nn.Linear(16, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(pictures).relu()
        for layer in (self.pointwise, self.spatial, self.depthwise, self.multiplied, self.grouped):
            x = layer(x).relu()
        return self.classifier(x.mean((2, 3)))


def export(folder: Path, **asked: Any) -> ExportRecord:
    torch.manual_seed(1)
    module = Bright().eval()
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.08, 0.12)
    pictures = np.random.default_rng(2).integers(180, 256, (16, 8, 8, 3)).astype(np.uint8)
    pixels = {"mean": PIXELS, "std": PIXELS, "input_size": 8, "calibration": pictures}
    return edgecnn.export(module, **pixels, int8=True, out=folder, **asked)


def verified_without_vnni(folder: Path) -> dict[str, Any]:
    """The certificate of an export that a Haswell gives it; skipped, with the reason, where qemu is not installed."""
    if platform.machine() != "x86_64":
        pytest.skip(f"needs an x86-64 Python, to run it on an emulated Haswell; this is {platform.machine()}")
    emulator = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")
    if emulator is None:
        reason = "needs an emulated x86 machine without VNNI: apt-get install qemu-user"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    command = [emulator, "-cpu", "Haswell", sys.executable, "-m", "edgecnn", "verify", folder, "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode in (0, 7), done.stderr
    certificate: dict[str, Any] = json.loads(done.stdout)
    return certificate


def wrong(certificate: dict[str, Any]) -> dict[str, set[str]]:
    """The layers that are not within a step of the reference, by artifact."""
    return {
        report["artifact"]: {check["layer"] for check in report["layers"] if check["reason"] is not None}
        for report in certificate["layers"]
    }


IN_FLOAT_IN_OPENVINO = {"grouped", "multiplied"}
"""Layers that our IRs keep in float, since it computes them wrongly in int8 (formats/openvino/fusions.py)."""


@pytest.mark.slow
@pytest.mark.long
def test_weights_of_8_bits_saturate_in_the_layers_and_runtimes_that_export_names(tmp_path: Path) -> None:
    record = export(tmp_path / "export")
    assert record.saturates_in == ("onnxruntime", "openvino")
    named = {sums.layer for sums in record.saturation if sums.saturates}
    certificate = verified_without_vnni(tmp_path / "export")
    assert not certificate["passed"]
    assert certificate["saturation"] == to_json(record.saturation)
    integer = named - IN_FLOAT_IN_OPENVINO
    assert wrong(certificate) == {"tflite-int8": set(), "onnx-int8": named, "openvino-int8": integer}
    assert named == {name for name, _ in Bright().named_children()} - WIDENED
    steps = {pair["b"]: pair["max_steps"] for pair in certificate["parity"] if pair["a"] == "reference"}
    assert steps["tflite-int8"] <= 1
    assert min(steps["onnx-int8"], steps["openvino-int8"]) > 50


@pytest.mark.slow
@pytest.mark.long
def test_weights_of_7_bits_do_not(tmp_path: Path) -> None:
    record = export(tmp_path / "export", weights_bits=7)
    assert record.saturates_in == ()
    certificate = verified_without_vnni(tmp_path / "export")
    assert certificate["passed"], certificate["failures"]
    assert wrong(certificate) == {"tflite-int8": set(), "onnx-int8": set(), "openvino-int8": set()}
    assert {pair["max_steps"] for pair in certificate["parity"]} <= {0, 1}

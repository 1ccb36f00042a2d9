"""export --fp16, end to end: every target is written, answers nearly as fp32 does, and verify holds it to that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import edgecnn
from edgecnn import formats
from edgecnn.edge import artifact
from edgecnn.errors import UnusableFile
from edgecnn.verbs.export import ExportRecord
from edgecnn.verbs.verify import verify

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)


def net() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
    )
    return layers.eval()


def exported(folder: Path, module: torch.nn.Module | None = None) -> ExportRecord:
    return edgecnn.export(
        module or net(), input_size=16, calibration=IMAGES, mean=(0.5,) * 3, std=(0.25,) * 3, fp16=True, out=folder
    )


def test_every_target_answers_as_torch_does_and_verify_passes(tmp_path: Path) -> None:
    made = exported(tmp_path / "export")
    assert {(a.target, a.precision) for a in made} == {(target, "fp16") for target in formats.all_formats()}
    pixels = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    with torch.no_grad():
        expected = net()(pixels).numpy()
    for found in made:
        answers = artifact.load(found.path).raw(IMAGES)
        assert answers.dtype == np.float32
        assert np.abs(answers - expected).max() <= 2**-6 * np.abs(expected).max(), found.target
    certificate = verify(made)
    assert certificate.passed, certificate.failures
    assert set(certificate.float_agreement) == {f"{target}-fp16" for target in formats.all_formats()}


def test_a_weight_changed_after_export_is_red(tmp_path: Path) -> None:
    made = exported(tmp_path / "export")
    path = next(found.model for found in made if found.target == "onnx")
    model = onnx.load(path)
    bias = next(t for t in model.graph.initializer if t.name.endswith("weight") and len(t.dims) == 2)
    bias.CopyFrom(numpy_helper.from_array((numpy_helper.to_array(bias) * 1.05).astype(np.float16), bias.name))
    onnx.save(model, path)
    certificate = verify(made)
    assert not certificate.passed
    assert any("of the largest value" in failure for failure in certificate.failures)


def test_a_weight_beyond_fp16_is_refused_by_name(tmp_path: Path) -> None:
    large = net()
    with torch.no_grad():
        large[6].weight[0, 0] = 1e5
    with pytest.raises(UnusableFile, match=r"weight.*100000.*65504"):
        exported(tmp_path / "export", large)

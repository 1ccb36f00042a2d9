"""torchvision's classifiers: a recipe that trains one, and eight of them through both front doors of export.

Whole nets are printed by tools/check_torchvision, on more pictures; here the .onnx route is held to give the graph that
the module gives, which all six files are written from.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import edgecnn
from edgecnn.graph.canonical import Pixels, canonical
from edgecnn.graph.foreign import ForeignModel
from edgecnn.graph.program import Program, read_program
from edgecnn.graph.trace import trace
from tests.verbs.small_runs import PINNED, class_folders
from tests.verbs.small_runs import edgecnn as command
from tests.verbs.torchvision_nets import MEAN, NETS, SIZE, STATISTICS, STD, measured, onnx_file, pictures, prepared

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TESTED = 32
POINTS = 0.02
PHOTOS = "imagenette2-128/train"
QUICK = ("squeezenet1_1",)
"""The others take half a minute or more; .ci/run looks at them too."""
EACH_NET = [pytest.param(net, marks=() if net in QUICK else pytest.mark.long) for net in NETS]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """uint8 [N, 96, 96, 3]: photos where they are, else the bundled pictures."""
    data = os.environ.get("EDGECNN_DATA")
    photos = Path(data) / PHOTOS if data and (Path(data) / PHOTOS).is_dir() else None
    return pictures(photos, STATISTICS + TESTED).images


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("net", NETS)
def test_six_files_of_a_module(net: str, images: np.ndarray, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    held = np.arange(len(images)) % (len(images) // TESTED) == 0
    module = prepared(net, images[~held])
    found = measured(net, "module", module, images[~held], images[held], tmp_path)
    print(found)
    assert found.float_apart <= 1e-3
    assert found.levels >= 32
    assert found.winners >= 3
    assert found.layers_within_1 >= 0.999, found.worst_layer
    # Random weights amplify each rounding; ONNX Runtime with optimizations against itself without is the yardstick.
    assert found.within_1["tflite-int8"] >= found.within_1["onnx-int8"] - POINTS


@pytest.mark.slow
@pytest.mark.parametrize("net", EACH_NET)
def test_the_onnx_route_gives_the_modules_graph(net: str, images: np.ndarray, tmp_path: Path) -> None:
    module = prepared(net, images)
    wants = Pixels(MEAN, STD)
    ours = read_program(canonical(trace(module, 3, SIZE, SIZE), pixels=wants))
    theirs = read_program(canonical(ForeignModel(onnx_file(module, tmp_path / "net.onnx")).graph(), pixels=wants))
    assert_same(ours, theirs)


def assert_same(ours: Program, theirs: Program) -> None:
    """Operation by operation: types, shapes, attributes, weights; names are each exporter's own."""
    assert [op.type for op in ours.ops] == [op.type for op in theirs.ops]
    for a, b in zip(ours.ops, theirs.ops, strict=True):
        assert (a.output.shape, a.activation) == (b.output.shape, b.activation), a.name
        assert {key: list(np.atleast_1d(value)) for key, value in a.attributes.items()} == {
            key: list(np.atleast_1d(value)) for key, value in b.attributes.items()
        }, a.name
        if a.weights is not None:
            for mine, other in zip(a.constants, b.constants, strict=True):
                largest = max(float(np.abs(mine.values).max()), 1e-6)
                assert np.abs(mine.values - other.values).max() <= 1e-4 * largest, a.name


@pytest.mark.slow
@pytest.mark.long
def test_a_recipe_trains_one_and_its_files_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders = class_folders(tmp_path / "pictures")
    Path("net.yaml").write_text(
        f"name: net\ndata: {{folder: {folders}, val_fraction: 0.2}}\ninput: {{size: 32}}\n"
        "model: {torchvision: shufflenet_v2_x0_5}\n"
        f"train: {{epochs: 2, batch: 16, lr0: 0.05, {PINNED}}}\n"
    )
    left = command("train", "net.yaml")
    assert left.code == 0, left.err
    made = edgecnn.export("runs/net", int8=True)
    certificate = edgecnn.verify(made)
    assert certificate.n == 24
    assert all(check.reason is None for report in certificate.layers for check in report.layers)


def test_inspect_shows_its_layers(tmp_path: Path) -> None:
    path = tmp_path / "net.yaml"
    path.write_text("name: net\ndata: {source: cifar10}\ninput: {size: 96}\nmodel: {torchvision: mobilenet_v2}\n")
    left = command("inspect", path)
    assert left.code == 0, left.err
    assert "features.1.conv.0.0" in left.out
    path.write_text(path.read_text().replace("mobilenet_v2", "mobilenet_v9"))
    left = command("inspect", path)
    assert left.code == 2
    assert "net.yaml:4:9: torchvision has no classifier 'mobilenet_v9'; did you mean 'mobilenet_v2'" in left.err

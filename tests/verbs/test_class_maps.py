"""Heat maps through export and onto the device: a network that knows three colours, which shows where they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import edgecnn
from edgecnn import formats
from edgecnn.edge.artifact import load, read_manifest
from edgecnn.edge.camera.heatmap import RECORD, open_heatmap
from edgecnn.errors import EdgecnnError, UnusableFile, UsageError
from edgecnn.recipe import load_recipe
from edgecnn.records import write_json
from edgecnn.storage import sha256_file
from edgecnn.verbs import artifacts, class_maps
from edgecnn.verbs.export import ExportRecord
from edgecnn.verbs.folders import find_artifact, read_export
from edgecnn.verbs.subjects import find_subjects
from tests.verbs.small_runs import class_folders, recipe, small_run_in
from tests.verbs.small_runs import edgecnn as command

SIZE, CELL = 32, 8
LABELS = ("red", "green", "blue")
PRECISIONS = ("fp32", "fp16", "int8")
FILES = [f"{target}-{precision}" for target in formats.all_formats() for precision in PRECISIONS]


class Colours(nn.Module):
    """How much more of one colour than of the others there is, cell by cell; their mean decides."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Conv2d(3, 3, CELL, CELL)
        self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(3, 3)
        with torch.no_grad():
            differences = 1.5 * torch.eye(3) - 0.5
            self.cells.weight.copy_((differences / CELL**2)[:, :, None, None].expand(3, 3, CELL, CELL))
            self.cells.bias.zero_()
            self.head.weight.copy_(6.0 * torch.eye(3) - 1.0)
            self.head.bias.copy_(torch.tensor([0.2, -0.1, 0.0]))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.pool(self.cells(pictures).relu()).flatten(1))  # type: ignore[no-any-return]


def patches(count: int = 48) -> NDArray[np.uint8]:
    """Grey pictures with a few cells of noise in a colour each."""
    rng = np.random.default_rng(5)
    images = rng.integers(100, 156, (count, SIZE, SIZE, 3), np.uint8)
    for image in images:
        for _ in range(rng.integers(1, 6)):
            row, column = CELL * rng.integers(0, SIZE // CELL, 2)
            image[row : row + CELL, column : column + CELL, rng.integers(0, 3)] = rng.integers(180, 256)
    return images


def exported(out: Path, module: nn.Module | None = None, heatmap: bool = True, **more: Sequence[str]) -> ExportRecord:
    return edgecnn.export(
        (module or Colours()).eval(),
        input_size=SIZE,
        calibration=patches(),
        labels=LABELS,
        mean=[0.5] * 3,
        std=[0.5] * 3,
        heatmap=heatmap,
        out=out,
        **{"targets": ["tflite"], "precisions": ["int8"], **more},
    )


LAYERS = """
    - conv: {filters: 8, stride: 2, batch_norm: true, activation: relu}
    - inverted_residual: {filters: 8, expansion: 2}
    - global_average_pool
    - dropout: {rate: 0.1}
    - dense: {units: 3}
"""


@pytest.mark.parametrize("size", [(64, 48), (40, 104)])
def test_a_map_for_larger_pictures(tmp_path: Path, size: tuple[int, int]) -> None:
    """Each cell says the same wherever it stands: a picture put into a larger one is found again there."""
    made = exported(tmp_path / "export", targets=list(formats.all_formats()), precisions=PRECISIONS, map_size=size)
    assert len(made.heat_maps) == 2 * len(FILES)
    for file in FILES:
        own, larger = (open_heatmap(tmp_path / "export" / file, size=wanted) for wanted in (None, size))
        assert (larger.record.height, larger.record.width) == (size[0] // CELL, size[1] // CELL)
        image, canvas = patches(1)[0], np.full((*size, 3), 128, np.uint8)
        canvas[8 : 8 + SIZE, 16 : 16 + SIZE] = image
        near = 1e-3 if file.endswith("fp16") else 1e-5
        np.testing.assert_allclose(larger.logits(canvas)[1:5, 2:6], own.logits(image), rtol=near, atol=near)


def test_fully_convolutional_recipes_have_their_maps(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "pictures")
    path = recipe(tmp_path / "small.yaml", data, layers=LAYERS)
    run = edgecnn.train(path, {"model.fully_convolutional": True}, root=tmp_path / "runs")
    made = edgecnn.export(run, targets=["tflite"], precisions=["fp32"], map_size=(48, 64))
    assert [folder.name for folder in made.heat_maps] == ["tflite-fp32-map", "tflite-fp32-map-48x64"]
    artifact, images = load(made[0].path), patches(4)
    size = (artifact.manifest.input.height, artifact.manifest.input.width)
    means = [open_heatmap(made[0].path).logits(image[: size[0], : size[1]]).mean((0, 1)) for image in images]
    logits = artifact.raw(images[:, : size[0], : size[1]])
    np.testing.assert_allclose(means, logits, rtol=1e-5, atol=1e-5 * np.abs(logits).max())


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("maps") / "export"
    record = exported(out, targets=tuple(formats.all_formats()), precisions=PRECISIONS)
    assert sorted(folder.name for folder in record.heat_maps) == sorted(f"{name}-map" for name in FILES)
    return out


@pytest.fixture
def copied(export: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(export, tmp_path / "export"))


@pytest.mark.parametrize("name", FILES)
def test_it_shows_where_a_colour_is(export: Path, name: str) -> None:
    opened = open_heatmap(export / name)
    picture = np.full((SIZE, SIZE, 3), 128, np.uint8)
    picture[:CELL, -CELL:] = (255, 60, 60)  # red, upper right
    picture[-CELL:, :CELL] = (60, 60, 255)  # blue, lower left
    red, green, blue = (opened.of(picture, index) for index in range(3))
    assert red.shape == (4, 4)
    assert red.dtype == np.uint8
    assert np.unravel_index(red.argmax(), red.shape) == (0, 3)
    assert np.unravel_index(blue.argmax(), blue.shape) == (3, 0)
    assert red[0, 3] > 240
    assert red[3, 0] < 15
    assert green.max() < 128, "what is nowhere leaves the map dark"


@pytest.mark.parametrize("name", FILES)
def test_its_mean_is_the_classifiers_answer(export: Path, name: str) -> None:
    opened, classifier = open_heatmap(export / name), load(export / name)
    images = patches()
    means = np.stack([opened.logits(image).mean(axis=(0, 1)) for image in images])
    logits = classifier.values(classifier.raw(images))
    tolerance = {"fp32": 1e-5, "fp16": 2.0**-8, "int8": 0.03}[name[-4:]]
    assert np.abs(means - logits).max() <= tolerance * np.ptp(logits)
    assert opened.record.agreement >= (1.0 if name.endswith("fp32") else 0.95)
    assert opened.record.pictures > 0
    assert opened.input == classifier.manifest.input


def test_the_engines_maps_are_alike(export: Path) -> None:
    image = patches()[0]
    maps = [open_heatmap(export / name).of(image, 0).astype(int) for name in FILES if name.endswith("int8")]
    assert max(np.abs(one - maps[0]).max() for one in maps) <= 8


def test_probabilities_have_a_map_of_logits(tmp_path: Path) -> None:
    class Probabilities(Colours):
        def forward(self, pictures: Tensor) -> Tensor:
            return super().forward(pictures).softmax(1)

    exported(tmp_path / "export", Probabilities(), precisions=("fp32",))
    opened = open_heatmap(tmp_path / "export/tflite-fp32")
    with torch.inference_mode():
        image = patches()[0]
        expected = Colours()(torch.from_numpy((image.transpose(2, 0, 1)[None] / 255 - 0.5) / 0.5).float())
    np.testing.assert_allclose(opened.logits(image).mean(axis=(0, 1)), expected[0].numpy(), atol=1e-4)


# --- beside artifacts, and not among them ----------------------------------------------------------------------------


def test_maps_are_no_artifacts(copied: Path) -> None:
    about = read_export(copied)
    assert set(about.artifacts) == set(FILES)
    assert set(about.heat_maps) == {f"{name}-map" for name in FILES}
    assert len(find_subjects([copied], print)) == len(FILES), "bench measures what is deployed"
    with pytest.raises(UnusableFile, match="is no artifact"):
        find_artifact(copied / "tflite-int8-map")


@pytest.mark.slow
def test_verify_passes_an_export_with_maps(copied: Path) -> None:
    assert edgecnn.verify(copied).passed


def test_without_being_asked_there_is_none(tmp_path: Path) -> None:
    assert exported(tmp_path / "export", heatmap=False).heat_maps == ()
    assert read_export(tmp_path / "export").heat_maps == ()
    with pytest.raises(UsageError, match="has no heat map beside it; `edgecnn export --heatmap` makes one"):
        open_heatmap(tmp_path / "export/tflite-int8")


def test_a_damaged_map_is_refused(copied: Path) -> None:
    path = copied / "tflite-int8-map/model.tflite"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UnusableFile, match="is damaged or was changed"):
        open_heatmap(copied / "tflite-int8")


def test_another_models_map_is_refused(copied: Path) -> None:
    record = json.loads((copied / "tflite-int8-map" / RECORD).read_text())
    record["classifier"] = "0" * 64
    write_json(copied / "tflite-int8-map" / RECORD, record)
    with pytest.raises(UnusableFile, match="is the heat map of another model"):
        open_heatmap(copied / "tflite-int8")


def test_a_network_without_a_map_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    class Flat(Colours):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3 * (SIZE // CELL) ** 2, 3)

        def forward(self, pictures: Tensor) -> Tensor:
            return self.head(self.cells(pictures).relu().flatten(1))  # type: ignore[no-any-return]

    with pytest.raises(UsageError, match="a heat map is made of networks that end in a global average pool"):
        exported(tmp_path / "export", Flat())
    assert list(tmp_path.iterdir()) == []


# --- planted faults --------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_its_graph_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_maps, "_layout", lambda target, output: "NCHW")  # TFLite's are NHWC
    with pytest.raises(EdgecnnError, match=r"the tflite int8 file of the heat map gives \[48, 4, 3, 4\] instead of"):
        exported(tmp_path / "export")


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_map_of_other_weights_is_seen(tmp_path: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed_up(graphs: dict[str, object]) -> None:
        for graph in graphs.values():
            for name, values in graph.constants.items():  # type: ignore[attr-defined]
                if values.shape == (3, 3, 1, 1):
                    graph.constants[name] = np.roll(values, 1, axis=0)  # type: ignore[attr-defined]

    whole = class_maps.map_graphs

    def planted(network: object, graphs: dict[str, object], sizes: Sequence[None]) -> dict[None, dict[str, object]]:
        made: dict[None, dict[str, object]] = whole(network, graphs, sizes)  # type: ignore[arg-type]
        mixed_up(made[None])
        return made

    monkeypatch.setattr(artifacts, "map_graphs", planted)
    with pytest.raises(EdgecnnError, match="the mean of the tflite"):
        exported(tmp_path / "export", precisions=(precision,))


# --- a run -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_runs_recipe_asks_for_maps_and_a_flag_overrules_it(tmp_path: Path) -> None:
    run = small_run_in(tmp_path).run
    recipe = run / "resolved.yaml"
    assert not load_recipe(recipe).export.heatmap
    assert command("export", run, "--int8", "--target", "tflite", "--heatmap", "--out", tmp_path / "asked").code == 0
    assert (tmp_path / "asked/tflite-int8-map" / RECORD).is_file()
    recipe.write_text(recipe.read_text().replace("heatmap: false", "heatmap: true"))
    assert load_recipe(recipe).export.heatmap
    left = command("export", run, "--int8", "--target", "tflite", "--out", tmp_path / "recipe")
    assert "tflite-int8-map" in left.out
    left = command("export", run, "--int8", "--target", "tflite", "--no-heatmap", "--out", tmp_path / "overruled")
    assert left.code == 0
    assert not (tmp_path / "overruled/tflite-int8-map").exists()


def test_the_classifiers_file_is_the_same_with_and_without(export: Path, tmp_path: Path) -> None:
    exported(tmp_path / "export", heatmap=False)
    name = "tflite-int8/model.tflite"
    assert sha256_file(tmp_path / "export" / name) == sha256_file(export / name)
    assert read_manifest(export / "tflite-int8").output.kind == "logits"

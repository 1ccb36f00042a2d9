"""`eval` and `inspect` on model files from anywhere: by themselves, outside artifact folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from edgecnn.data import DataSpec, open_dataset
from edgecnn.errors import UsageError
from edgecnn.formats.tflite.builder import pack, unpack
from edgecnn.graph.edit import Array
from edgecnn.verbs.eval import EvalRecord, evaluate
from edgecnn.verbs.model_files import FileOptions, match_classes
from tests.verbs.small_runs import LABELS, SmallRun, class_folders, small_run_in
from tests.verbs.small_runs import edgecnn as command

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
PIXELS = FileOptions(mean=MEAN, std=STD)
SIZE = 16


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return small_run_in(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def data(made: SmallRun) -> Path:
    return made.data


def alone(artifact: Path, folder: Path) -> Path:
    """An artifact's model file where nothing else says what it is."""
    for path in artifact.iterdir():
        if path.name.startswith("model."):
            shutil.copy(path, folder / path.name)
    (found,) = (path for path in folder.iterdir() if path.suffix in (".tflite", ".onnx", ".xml"))
    return found


@pytest.mark.parametrize("target", ["tflite", "onnx", "openvino"])
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_file_alone_does_as_well_as_in_its_folder(
    made: SmallRun, target: str, precision: str, tmp_path: Path
) -> None:
    artifact = made.export / f"{target}-{precision}"
    expected = evaluate(artifact, data_source=str(made.data))
    found = evaluate(alone(artifact, tmp_path), data_source=str(made.data))
    assert (found.confusion, found.top1, found.n) == (expected.confusion, expected.top1, 24)
    assert len(found.notes) == 1, "the labels and all else stand in the file"


class Small(nn.Module):
    """float32 [N, 3, 16, 16] -> [N, classes]; seeded, and sensitive to colour."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, classes)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.head(self.conv(pictures).relu().mean((2, 3)))
        return answers


def written(path: Path, classes: int = 3, batch: bool = False) -> Path:
    named = {"input_names": ["x"], "output_names": ["y"]}
    if batch:
        named["dynamic_axes"] = {"x": {0: "n"}, "y": {0: "n"}}  # type: ignore[assignment]
    given = torch.zeros(1, 3, SIZE, SIZE)
    torch.onnx.export(Small(classes).eval(), (given,), str(path), dynamo=False, **named)  # type: ignore[arg-type]
    return path


def torch_record(data: Path, classes: int = 3, offset: int = 0) -> tuple[Array, float]:
    """Predictions and accuracy by torch, with the pictures normalised by hand."""
    pictures = open_dataset(DataSpec(None, str(data), 0.1, SIZE, SIZE, "crop")).load("test")
    planes = torch.from_numpy(pictures.images.astype(np.float32) / 255).permute(0, 3, 1, 2)
    planes = (planes - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        predicted = Small(classes).eval()(planes).argmax(1).numpy()
    return predicted, float((predicted == pictures.classes + offset).mean())


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("batch", [False, True])
def test_a_float_network_of_torchs(data: Path, runtime: str, batch: bool, tmp_path: Path) -> None:
    model = written(tmp_path / "net.onnx", batch=batch)
    record = evaluate(model, data_source=str(data), options=FileOptions(runtime=runtime, mean=MEAN, std=STD))
    predicted, accuracy = torch_record(data)
    assert record.top1 == accuracy
    assert np.array(record.confusion).sum(axis=0).tolist() == np.bincount(predicted, minlength=3).tolist()
    assert any("does not name its classes" in note for note in record.notes)
    assert any(note.startswith(f"run by {runtime}") for note in record.notes)


def test_pixels_that_nobody_described_are_asked_for(data: Path, tmp_path: Path) -> None:
    left = command("eval", written(tmp_path / "net.onnx"), "--data-source", data)
    assert left.code == 2
    assert "--mean and --std" in left.err


def test_one_class_more_than_labels(data: Path, tmp_path: Path) -> None:
    model = written(tmp_path / "net.onnx", classes=4)
    record = evaluate(model, data_source=str(data), options=PIXELS)
    _, accuracy = torch_record(data, 4, offset=1)
    assert record.top1 == accuracy
    assert len(record.confusion) == 4
    assert any("--label-offset 1" in note for note in record.notes)
    with pytest.raises(UsageError, match="4 classes apart"):
        evaluate(model, data_source=str(data), options=FileOptions(mean=MEAN, std=STD, label_offset=0))


def test_pictures_of_some_classes_by_a_list_of_labels(data: Path, tmp_path: Path) -> None:
    """In the order of the model's outputs: truck, dog, cat, ship."""
    labels = tmp_path / "labels.txt"
    labels.write_text("truck\ndog\ncat\nship\n")
    model = written(tmp_path / "net.onnx", classes=4)
    left = command(
        "eval", model, "--data-source", data, "--labels", labels, "--json",
        "--mean", ",".join(map(str, MEAN)), "--std", ",".join(map(str, STD)),
    )  # fmt: skip
    record = json.loads(left.out)
    pictures = open_dataset(DataSpec(None, str(data), 0.1, SIZE, SIZE, "crop")).load("test")
    predicted, _ = torch_record(data, 4)
    wanted = np.array([2, 3, 0])[pictures.classes]
    assert record["top1"] == float((predicted == wanted).mean())
    assert set(record["per_class"]) == set(LABELS)


def test_a_quantized_input_is_normalised_onto_its_grid(made: SmallRun, tmp_path: Path) -> None:
    """The int8 file without its uint8 door: int8 at 1/128 is a pixel less 128, said by a scale or by nobody."""
    artifact = made.export / "tflite-int8"
    expected = evaluate(artifact, data_source=str(made.data))
    model = unpack((artifact / "model.tflite").read_bytes())
    model.metadata = None
    graph = model.subgraphs[0]
    door = next(op for op in graph.operators if graph.inputs[0] in op.inputs)
    graph.inputs = np.array([door.outputs[0]], np.int32)
    graph.operators = [op for op in graph.operators if op is not door]
    model.signatureDefs = None
    (tmp_path / "int8.tflite").write_bytes(pack(model))
    plain = evaluate(tmp_path / "int8.tflite", data_source=str(made.data))
    half = FileOptions(mean=(128 / 255,) * 3, std=(128 / 255,) * 3)
    told = evaluate(tmp_path / "int8.tflite", data_source=str(made.data), options=half)
    assert plain.confusion == told.confusion == expected.confusion


def test_damaged_metadata_does_not_keep_a_network_from_running(made: SmallRun, tmp_path: Path) -> None:
    """The labels behind the model are cut off."""
    model = alone(made.export / "tflite-int8", tmp_path)
    model.write_bytes(model.read_bytes()[:-30])
    record = evaluate(model, data_source=str(made.data))
    assert record.confusion == evaluate(made.export / "tflite-int8", data_source=str(made.data)).confusion
    assert "label file" in record.notes[0]
    left = command("inspect", model)
    assert left.code == 0
    assert "what the file says about itself can't be read" in left.out


def labelled(count: int, labels: tuple[str, ...] | None, offset: int | None) -> tuple[tuple[str, ...], list[int]]:
    said: list[str] = []
    found = match_classes(count, labels, offset, ("cat", "ship"), said.append)
    return found.labels, found.places.tolist()


def test_classes_are_matched_by_name() -> None:
    assert labelled(2, None, None) == (("cat", "ship"), [0, 1])
    assert labelled(3, None, None) == (("background", "cat", "ship"), [1, 2])
    assert labelled(3, ("ship", "dog", "cat"), None) == (("ship", "dog", "cat"), [2, 0])
    assert labelled(4, ("ship", "dog", "cat"), None) == (("background", "ship", "dog", "cat"), [3, 1])
    assert labelled(4, ("cat", "ship"), 2)[1] == [2, 3]


@pytest.mark.parametrize(
    ("count", "labels", "offset", "words"),
    [
        (5, None, None, "5 classes apart, and there are 2"),
        (2, ("dog", "ship"), None, "no class 'cat'"),
        (3, ("cat", "ship", "cat"), None, "'cat', or several"),
        (2, None, 1, "behind an offset of 1"),
    ],
)
def test_classes_that_do_not_match(count: int, labels: tuple[str, ...] | None, offset: int | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        labelled(count, labels, offset)


def planted(path: Path, **changed: Any) -> Path:
    """A model that takes what it should not, or gives it."""
    shape = changed.get("shape", [1, 3, 8, 8])
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        helper.make_node(changed.get("last", "Flatten"), ["mean"], ["y"]),
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    gives = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [gives]), opset_imports=[helper.make_opsetid("", 20)]
    )
    model.ir_version = 10
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(
    ("changed", "words", "code"),
    [
        ({"shape": [1, 3, 8, 3]}, ("--layout",), 2),
        ({"shape": [1, 3, "h", "w"]}, ("--input-size",), 2),
        ({"shape": [1, 5, 8, 8]}, ("pictures are",), 3),
        ({"shape": [1, 3, 8]}, ("pictures are",), 3),
    ],
)
def test_inputs_that_are_not_clear(
    data: Path, changed: dict[str, Any], words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    model = planted(tmp_path / "planted.onnx", **changed)
    left = command("eval", model, "--data-source", data, "--mean", "0,0,0", "--std", "1,1,1")
    assert left.code == code, left.err
    for word in words:
        assert word in left.err


def test_options_are_refused_where_the_model_says_it_all(made: SmallRun) -> None:
    left = command("eval", made.export / "tflite-int8", "--mean", "0,0,0", "--std", "1,1,1")
    assert left.code == 2
    assert "knows its own mean" in left.err


def test_pictures_must_be_named(made: SmallRun, tmp_path: Path) -> None:
    left = command("eval", alone(made.export / "tflite-int8", tmp_path))
    assert left.code == 2
    assert "--data-source" in left.err


@pytest.mark.parametrize(("name", "code"), [("gone.tflite", 3), ("gone.xml", 3), ("net.pt", 2)])
def test_files_that_are_none(data: Path, name: str, code: int, tmp_path: Path) -> None:
    assert command("eval", tmp_path / name, "--data-source", data).code == code


def test_a_runtime_that_does_not_read_the_file(made: SmallRun, data: Path, tmp_path: Path) -> None:
    model = alone(made.export / "tflite-int8", tmp_path)
    left = command("eval", model, "--data-source", data, "--runtime", "openvino")
    assert left.code == 2
    assert "choose from litert" in left.err


# --- inspect ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["tflite", "onnx", "openvino"])
def test_inspect_counts_as_the_recipe_does(made: SmallRun, target: str, tmp_path: Path) -> None:
    """Batch norm is folded into the convolutions, so that parameters are those of conv with bias."""
    recipe = json.loads(command("inspect", made.recipe, "--json").out)
    for artifact in (made.export / f"{target}-fp32", made.export / f"{target}-int8"):
        left = command("inspect", artifact, "--json")
        found = json.loads(left.out)
        assert found["schema"] == recipe["schema"] == "edgecnn.inspect/1"
        assert found["macs"] == recipe["macs"] == sum(row["macs"] for row in found["layers"])
        assert found["params"] == sum(row["params"] for row in found["layers"])
        fields = [row["receptive_field"] for row in found["layers"] if row["macs"]]
        assert fields == [row["receptive_field"] for row in recipe["layers"] if row["macs"]]
        assert found["int8_share"] == (1.0 if artifact.name.endswith("int8") else 0.0)
        assert found["bytes"] == sum(path.stat().st_size for path in artifact.glob("model.*"))


def test_inspect_prints_a_table_and_what_to_change(made: SmallRun, tmp_path: Path) -> None:
    left = command("inspect", written(tmp_path / "net.onnx", batch=True))
    assert left.code == 0
    assert "Conv" in left.out
    assert "sizes are left open" in left.out
    assert "no multiply-adds run in 8 bits" in left.out
    (tmp_path / "ours").mkdir()
    left = command("inspect", alone(made.export / "tflite-int8", tmp_path / "ours"))
    assert "XNNPACK" in left.out
    assert "nothing that should be changed" in left.out


def test_other_pictures_are_brought_to_size_by_the_files_rule(made: SmallRun, tmp_path: Path) -> None:
    """The recipe's rule is crop; stretched pictures of another aspect are others."""
    data = class_folders(tmp_path / "pictures", train=1, test=4)
    model = alone(made.export / "tflite-int8", tmp_path)
    plain: EvalRecord = evaluate(model, data_source=str(data))
    told = evaluate(model, data_source=str(data), options=FileOptions(resize="crop"))
    assert plain.confusion == told.confusion

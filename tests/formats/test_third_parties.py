"""Files as they are, in libraries of others and environments of their own: they answer with our labels.

MediaPipe's ImageClassifier takes a .tflite file, OpenVINO's Model API an IR; what they say of a picture is held against
edgecnn's own answer to the same pixels. MediaPipe's classes of the metadata schema read what edgecnn wrote, and write
what edgecnn reads.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge import artifact
from edgecnn.edge.artifact import Artifact
from edgecnn.formats import Details, find_format, labels_of, labels_text
from edgecnn.formats.tflite.builder import AlignedBuffer, pack, schema
from edgecnn.formats.tflite.metadata import with_labels
from edgecnn.graph.edit import Array, Graph, from_onnx
from edgecnn.metrics import softmax
from edgecnn.packaged import find_model
from edgecnn.quantize import float_answers
from tests.environments import make_environment, run_script
from tests.formats.test_details import float_input
from tests.graph.small_nets import Net

pytestmark = [pytest.mark.slow, pytest.mark.long]  # each environment takes as long to make as all else here

MODELS = ("cifar10-ds", "cifar10-mobile")
PICTURES = 50
TELLING = ("gas pump", "crème brûlée", "猫", "a, b", '"quoted"', "tab\there", "<&>", "{0: 'x'}", "it's", "10")
"""Ten labels of any text."""

MEDIAPIPE = """
import json, sys
import mediapipe
import numpy as np
from mediapipe.tasks.python import vision

classifier = vision.ImageClassifier.create_from_model_path(sys.argv[1])
answers = []
for picture in np.load(sys.argv[2]):
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
    (found,) = classifier.classify(image).classifications
    answers.append([[each.index, each.category_name, each.score] for each in found.categories])
print(json.dumps(answers))
"""
MODEL_API = """
import json, sys
import numpy as np
from model_api.adapters import OpenvinoAdapter, create_core
from model_api.models import Model

core = create_core()
core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})  # bfloat16 where the processor has it, otherwise
try:
    model = Model.create_model(OpenvinoAdapter(core, sys.argv[1], device="CPU"))
except Exception as error:
    print(json.dumps(str(error)))
else:
    bgr = np.ascontiguousarray(np.load(sys.argv[2])[:, :, :, ::-1])  # as OpenCV reads pictures
    tops = [model(picture).top_labels[0] for picture in bgr]
    print(json.dumps([[int(top.id), top.name, float(top.confidence)] for top in tops]))
"""
READ_SCHEMA = """
import json, sys
from mediapipe.tasks.metadata import metadata_schema_py_generated as fb
from mediapipe.tasks.metadata import schema_py_generated as model_fb

content = open(sys.argv[1], "rb").read()
model = model_fb.ModelT.InitFromObj(model_fb.Model.GetRootAsModel(content, 0))
(buffer,) = (bytes(model.buffers[e.buffer].data) for e in model.metadata if e.name == b"TFLITE_METADATA")
assert fb.ModelMetadata.ModelMetadataBufferHasIdentifier(buffer, 0)
found = fb.ModelMetadataT.InitFromObj(fb.ModelMetadata.GetRootAsModelMetadata(buffer, 0))
(graph,) = found.subgraphMetadata
(image,), (classes,) = graph.inputTensorMetadata, graph.outputTensorMetadata
(file,), (unit,) = classes.associatedFiles, image.processUnits
kinds = [image.content.contentPropertiesType, classes.content.contentPropertiesType, unit.optionsType, file.type]
names = fb.ContentProperties, fb.ProcessUnitOptions, fb.AssociatedFileType
print(json.dumps({
    "name": found.name.decode(), "parser": found.minParserVersion.decode(),
    "inputs": [image.name.decode(), classes.name.decode()], "file": file.name.decode(),
    "dimensions": [each.decode() for each in image.dimensionNames],
    "size": [image.content.contentProperties.defaultSize.width, image.content.contentProperties.defaultSize.height],
    "kinds": kinds == [names[0].ImageProperties, names[0].FeatureProperties, names[1].NormalizationOptions,
                       names[2].TENSOR_AXIS_LABELS],
    "rgb": image.content.contentProperties.colorSpace == fb.ColorSpaceType.RGB,
    "grey": image.content.contentProperties.colorSpace == fb.ColorSpaceType.GRAYSCALE,
    "normalisation": [list(map(float, unit.options.mean)), list(map(float, unit.options.std))],
    "range": [list(map(float, image.stats.min)), list(map(float, image.stats.max))],
}))
"""
WRITE_SCHEMA = """
import sys
import flatbuffers
from mediapipe.tasks.metadata import metadata_schema_py_generated as fb

unit, image, classes, graph, made = (
    fb.ProcessUnitT(), fb.TensorMetadataT(), fb.TensorMetadataT(), fb.SubGraphMetadataT(), fb.ModelMetadataT())
unit.optionsType, unit.options = fb.ProcessUnitOptions.NormalizationOptions, fb.NormalizationOptionsT()
unit.options.mean, unit.options.std = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
image.name, image.processUnits = "image", [unit]
calibration, labels = fb.AssociatedFileT(), fb.AssociatedFileT()
calibration.name, calibration.type = "calibration.csv", fb.AssociatedFileType.TENSOR_AXIS_SCORE_CALIBRATION
labels.name, labels.type, labels.locale = "labels.txt", fb.AssociatedFileType.TENSOR_AXIS_LABELS, "en"
classes.name, classes.associatedFiles = "probability", [calibration, labels]
graph.inputTensorMetadata, graph.outputTensorMetadata = [image], [classes]
made.name, made.subgraphMetadata = "theirs", [graph]
builder = flatbuffers.Builder(0)
builder.Finish(made.Pack(builder), b"M001")
open(sys.argv[1], "wb").write(bytes(builder.Output()))
print("null")
"""


@pytest.fixture(scope="module")
def mediapipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("mediapipe"), "mediapipe==1.2.2")


@pytest.fixture(scope="module")
def model_api(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_environment(tmp_path_factory.mktemp("model-api"), "openvino-model-api==0.4.7")


@pytest.fixture(scope="module")
def pictures() -> Array:
    images: Array = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("test").images
    return images[:PICTURES]


@pytest.fixture(scope="module")
def pictures_file(pictures: Array, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "pictures.npy"
    np.save(path, pictures)
    return path


def packaged(model: str, name: str) -> Artifact:
    folder = find_model(model)
    assert folder is not None
    return artifact.load(folder / name)


def graph_of(model: str, precision: str) -> Graph:
    source = find_model(model)
    assert source is not None
    return from_onnx(onnx.load(source / f"{precision}.onnx"))


def rewritten(precision: str, target: str, folder: Path, details: Details) -> Path:
    """cifar10-ds as a file that says something else about itself."""
    form = find_format(target)
    form.write(graph_of("cifar10-ds", precision), folder, details)
    return folder / form.model


def with_float_answers(model: str, target: str, folder: Path, details: Details) -> Path:
    """A packaged model's int8 file as `export --answers float32` writes it."""
    form = find_format(target)
    form.write(float_answers(graph_of(model, "int8")), folder, details)
    return folder / form.model


def shuffled(labels: tuple[str, ...]) -> Details:
    return {"labels": labels_text((*labels[1:], labels[0])), "resize": "crop"}


# --- MediaPipe --------------------------------------------------------------------------------------------------------


def assert_same_scores(theirs: Any, ours: Artifact, pictures: Array) -> None:
    """Every class of every picture under our name, with our score: to a step or two of int8, or to float's rounding."""
    values, labels = ours.values(ours.raw(pictures)), ours.manifest.labels
    scale = ours.manifest.output.scale
    tolerance = 2.01 * scale if scale is not None else 1e-4 * np.abs(values).max()
    for answers, row in zip(theirs, values, strict=True):
        assert {index: name for index, name, _ in answers} == dict(enumerate(labels))
        scores = {name: score for _, name, score in answers}
        assert np.abs([scores[label] for label in labels] - row).max() <= tolerance
        assert row.max() - row[labels.index(answers[0][1])] <= 2 * tolerance, "the first is ours"


def test_mediapipe_runs_int8_files_that_answer_in_floats(
    mediapipe: Path, pictures: Array, pictures_file: Path, tmp_path: Path
) -> None:
    ours = packaged("cifar10-ds", "tflite-int8")
    model = with_float_answers("cifar10-ds", "tflite", tmp_path, {"labels": labels_text(ours.manifest.labels)})
    assert_same_scores(run_script(mediapipe, MEDIAPIPE, model, pictures_file), ours, pictures)


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("model", MODELS)
def test_mediapipe_answers_with_our_labels(
    mediapipe: Path, model: str, precision: str, pictures: Array, pictures_file: Path
) -> None:
    ours = packaged(model, f"tflite-{precision}")
    theirs = run_script(mediapipe, MEDIAPIPE, ours.folder / "model.tflite", pictures_file)
    assert_same_scores(theirs, ours, pictures)


def test_mediapipe_has_labels_of_any_text(mediapipe: Path, pictures_file: Path, tmp_path: Path) -> None:
    model = rewritten("int8", "tflite", tmp_path, {"labels": labels_text(TELLING)})
    (first, *_) = run_script(mediapipe, MEDIAPIPE, model, pictures_file)
    assert {index: name for index, name, _ in first} == dict(enumerate(TELLING))


def test_mediapipe_shows_planted_faults(mediapipe: Path, pictures: Array, pictures_file: Path, tmp_path: Path) -> None:
    ours = packaged("cifar10-ds", "tflite-int8")
    for details in (shuffled(ours.manifest.labels), {}):
        model = rewritten("int8", "tflite", tmp_path, details)
        theirs = run_script(mediapipe, MEDIAPIPE, model, pictures_file)
        with pytest.raises(AssertionError):
            assert_same_scores(theirs, ours, pictures)


def test_mediapipe_s_schema_reads_our_metadata(mediapipe: Path) -> None:
    assert run_script(mediapipe, READ_SCHEMA, packaged("cifar10-ds", "tflite-int8").folder / "model.tflite") == {
        "name": packaged("cifar10-ds", "tflite-int8").manifest.name,
        "parser": "1.0.0",
        "inputs": ["image", "logits"],
        "file": "labels.txt",
        "dimensions": ["batch", "height", "width", "channels"],
        "size": [32, 32],
        "kinds": True,
        "rgb": True,
        "grey": False,
        "normalisation": [[128.0], [128.0]],
        "range": [[0.0], [255.0]],
    }


def test_mediapipe_s_schema_reads_that_a_picture_is_grey(mediapipe: Path, tmp_path: Path) -> None:
    net = Net(np.random.default_rng(3), 28, 28, channels=1)
    net.dense(net.flatten("x"), "classifier", 2)
    form = find_format("tflite")
    form.write(net.canonical(), tmp_path, {"labels": labels_text(["a", "b"])})
    read = run_script(mediapipe, READ_SCHEMA, tmp_path / form.model)
    assert (read["grey"], read["rgb"], read["size"]) == (True, False, [28, 28])


def test_we_read_metadata_of_mediapipe_s_schema(mediapipe: Path, tmp_path: Path) -> None:
    run_script(mediapipe, WRITE_SCHEMA, tmp_path / "metadata")
    model = float_input(rewritten("fp32", "tflite", tmp_path, {}).read_bytes())
    buffer, entry = AlignedBuffer(), schema.MetadataT()
    buffer.data = (tmp_path / "metadata").read_bytes()
    model.buffers.append(buffer)
    entry.name, entry.buffer = b"TFLITE_METADATA", len(model.buffers) - 1
    model.metadata = [entry]
    (tmp_path / "theirs.tflite").write_bytes(with_labels(pack(model), TELLING))
    found = find_format("tflite").details(tmp_path / "theirs.tflite")
    assert (found["name"], labels_of(found)) == ("theirs", TELLING)
    assert [float(value) for value in found["mean"].split(",")] == pytest.approx([0.485, 0.456, 0.406])
    assert [float(value) for value in found["std"].split(",")] == pytest.approx([0.229, 0.224, 0.225])


# --- OpenVINO's Model API ---------------------------------------------------------------------------------------------


def assert_same_tops(theirs: Any, ours: Artifact, pictures: Array) -> None:
    """The top label and its probability."""
    probabilities = softmax(ours.values(ours.raw(pictures)))
    for (index, name, confidence), row in zip(theirs, probabilities, strict=True):
        assert name == ours.manifest.labels[index]
        assert abs(confidence - row[index]) <= 1e-4
        assert row.max() - row[index] <= 1e-4, "it is the top"


@pytest.mark.parametrize("model", MODELS)
def test_model_api_answers_with_our_labels(model_api: Path, model: str, pictures: Array, pictures_file: Path) -> None:
    ours = packaged(model, "openvino-fp32")
    theirs = run_script(model_api, MODEL_API, ours.folder / "model.xml", pictures_file)
    assert_same_tops(theirs, ours, pictures)


def test_model_api_has_labels_as_words(model_api: Path, pictures_file: Path, tmp_path: Path) -> None:
    model = rewritten("fp32", "openvino", tmp_path, {"labels": labels_text(TELLING)})
    theirs = run_script(model_api, MODEL_API, model, pictures_file)
    words = ["_".join(label.split()) for label in TELLING]
    assert all(name == words[index] for index, name, _ in theirs)
    assert len({index for index, _, _ in theirs}) >= 8


def test_model_api_shows_planted_faults(model_api: Path, pictures: Array, pictures_file: Path, tmp_path: Path) -> None:
    ours = packaged("cifar10-ds", "openvino-fp32")
    model = rewritten("fp32", "openvino", tmp_path, shuffled(ours.manifest.labels))
    with pytest.raises(AssertionError):
        assert_same_tops(run_script(model_api, MODEL_API, model, pictures_file), ours, pictures)
    text = model.read_text("utf-8")
    model.write_text(text.replace('<model_type value="Classification" />', ""), "utf-8")
    assert "no model with name" in run_script(model_api, MODEL_API, model, pictures_file)
    rewritten("fp32", "openvino", tmp_path, {"labels": labels_text(ours.manifest.labels)})
    model.write_text(text.replace('<reverse_input_channels value="YES" />', ""), "utf-8")
    with pytest.raises(AssertionError):
        assert_same_tops(run_script(model_api, MODEL_API, model, pictures_file), ours, pictures)


@pytest.mark.parametrize("model", MODELS)
def test_model_api_runs_int8_files_that_answer_in_floats(
    model_api: Path, model: str, pictures: Array, pictures_file: Path, tmp_path: Path
) -> None:
    ours = packaged(model, "openvino-int8")
    told = {"labels": labels_text(ours.manifest.labels), "resize": "crop"}
    theirs = run_script(model_api, MODEL_API, with_float_answers(model, "openvino", tmp_path, told), pictures_file)
    assert_same_tops(theirs, ours, pictures)
    planted = with_float_answers(model, "openvino", tmp_path, shuffled(ours.manifest.labels))
    with pytest.raises(AssertionError):
        assert_same_tops(run_script(model_api, MODEL_API, planted, pictures_file), ours, pictures)


def test_model_api_refuses_uint8_answers_instead_of_misreading_them(model_api: Path, pictures_file: Path) -> None:
    """Its softmax subtracts in uint8 and wraps round. Once it is better, int8 files may call themselves classifiers."""
    model = packaged("cifar10-ds", "openvino-int8").folder / "model.xml"
    assert "no model with name" in run_script(model_api, MODEL_API, model, pictures_file)
    forced = MODEL_API.replace('device="CPU")', 'device="CPU"), "Classification"')
    answers = run_script(model_api, forced, model, pictures_file)
    assert not any(0.0 < confidence <= 1.0 for _, _, confidence in answers)

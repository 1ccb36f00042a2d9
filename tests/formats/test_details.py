"""What files say about themselves: every format gives back what was written, and reads what others wrote."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgecnn import formats
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.formats import Details, Format, all_formats, check_labels, find_format, labels_of, labels_text
from edgecnn.formats.tflite import metadata
from edgecnn.formats.tflite.builder import pack, schema, unpack
from edgecnn.graph.edit import Graph
from edgecnn.graph.program import read_program
from edgecnn.quantize import quantize
from edgecnn.storage import sha256_file
from tests.graph.small_nets import Net, pictures

FORMATS = all_formats()
each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
HOSTILE = (
    "gas pump",
    "",
    " ",
    "crème brûlée",
    "猫,犬",
    "a\tb",
    '"]]>&<labels value="',
    "{'0': 1}",
    "\x00",
    "None",
    "'",
)
SAID = {"name": "small", "labels": labels_text(("cat", "gas pump")), "resize": "letterbox", "output": "logits"}

lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: len(text.splitlines()) < 2)
labels = lines.map(lambda text: "".join(text.splitlines()))


def graph_of(int8: bool = False, channels: int = 3) -> Graph:
    net = Net(np.random.default_rng(3), 6, 6, channels=channels)
    net.dense(net.flatten(net.relu6(net.conv("x", "stem", 5, (3, 3), (2, 2), (0, 0, 1, 1)), "act")), "classifier", 2)
    graph = net.canonical()
    return quantize(graph, pictures(np.random.default_rng(1), 8, 6, 6, channels)) if int8 else graph


GRAPHS = {"fp32": graph_of(), "int8": graph_of(int8=True)}


def written(form: Format, folder: Path, details: Details, precision: str = "fp32") -> Path:
    form.write(GRAPHS[precision], folder, details)
    return folder / form.model


# --- ours -------------------------------------------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize("precision", GRAPHS)
def test_what_was_written_comes_back_and_gives_the_same_file_again(
    form: Format, precision: str, tmp_path: Path
) -> None:
    model = written(form, tmp_path, SAID, precision)
    found, before = form.details(model), sha256_file(model)
    assert found == SAID
    assert sha256_file(written(form, tmp_path, found, precision)) == before


@each_format
def test_a_file_without_details_says_nothing(form: Format, tmp_path: Path) -> None:
    found = dict(form.details(written(form, tmp_path, {})))
    assert found.pop("name", "edgecnn") == "edgecnn"
    assert found == {}


@each_format
def test_labels_of_any_text_come_back_and_the_file_still_runs(form: Format, tmp_path: Path) -> None:
    @settings(max_examples=25, deadline=None)
    @given(st.lists(labels, max_size=6).map(tuple))
    def check(names: tuple[str, ...]) -> None:
        assert labels_of(form.details(written(form, tmp_path, {"labels": labels_text(names)}))) == names

    check()
    model = written(form, tmp_path, {"labels": labels_text(HOSTILE)})
    assert labels_of(form.details(model)) == HOSTILE
    assert runtime_for(form.name).open(model, 1).run(np.zeros((1, 6, 6, 3), np.uint8)).shape == (1, 2)


@each_format
def test_details_change_no_answer(form: Format, tmp_path: Path) -> None:
    images = pictures(np.random.default_rng(5), 8, 6, 6)
    for precision in GRAPHS:
        answers = []
        for details in ({}, SAID):
            session = runtime_for(form.name).open(written(form, tmp_path, details, precision), 1)
            answers.append(np.concatenate([session.run(image[None]) for image in images]))
        np.testing.assert_array_equal(*answers)


@pytest.mark.parametrize("label", ["two\nlines", "a\r", "\x0b", "next\x85line", "a\u2028b", "\udcff"])
def test_a_label_that_is_no_line_of_text_is_refused(label: str) -> None:
    with pytest.raises(UsageError, match="the label"):
        check_labels(["cat", label])


def test_labels_that_are_lines_are_taken() -> None:
    check_labels(HOSTILE)


# --- TFLite -----------------------------------------------------------------------------------------------------------


def test_the_label_file_lies_stored_behind_a_tflite_model(tmp_path: Path) -> None:
    content = written(find_format("tflite"), tmp_path, SAID).read_bytes()
    with zipfile.ZipFile(BytesIO(content)) as archive:
        (entry,) = archive.infolist()
        assert (entry.filename, entry.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(entry) == b"cat\ngas pump\n"
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    assert content[4:8] == b"TFL3"


def test_its_normalisation_quantizes_to_the_pixel_itself(tmp_path: Path) -> None:
    content = written(find_format("tflite"), tmp_path, SAID).read_bytes()
    model = unpack(content)
    (buffer,) = (model.buffers[entry.buffer] for entry in model.metadata if entry.name == b"TFLITE_METADATA")
    assert bytes(buffer.data)[4:8] == b"M001"
    fields = metadata._Fields.root(bytes(buffer.data))
    (image,) = fields.tables(3)[0].tables(2)
    unit = image.tables(4)[0].table(1)
    assert unit is not None
    (mean,), (std,) = unit.floats(0), unit.floats(1)
    tensor = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    pixels = np.arange(256)
    points = (pixels - mean) / std / tensor.quantization.scale[0] + tensor.quantization.zeroPoint[0]
    np.testing.assert_array_equal(points, pixels)


def float_input(content: bytes) -> Any:
    """The model without its first operator, which dequantizes pixels: it takes what they stand for."""
    model = unpack(content)
    graph = model.subgraphs[0]
    graph.inputs = graph.operators.pop(0).outputs
    model.signatureDefs = None
    return model


def test_mean_and_std_of_a_float_input_are_read_for_pixels_from_0_to_1(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(pack(float_input(written(find_format("tflite"), tmp_path, {}).read_bytes())))
    found = find_format("tflite").details(path)
    assert [float(found[key]) for key in ("mean", "std")] == [128 / 255, 128 / 255]


def test_quantizing_that_does_not_undo_the_normalisation_leaves_it_to_be_said(tmp_path: Path) -> None:
    model = unpack(written(find_format("tflite"), tmp_path, {}).read_bytes())
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].quantization.scale = np.array([1 / 50], np.float32)
    path = tmp_path / "model.tflite"
    path.write_bytes(pack(model))
    assert {"mean", "std"} <= set(find_format("tflite").details(path))


def test_labels_that_are_named_and_not_there_are_missed(tmp_path: Path) -> None:
    path = written(find_format("tflite"), tmp_path, SAID)
    path.write_bytes(pack(unpack(path.read_bytes())))  # without what lay behind the model
    with pytest.raises(UnusableFile, match=r"its label file 'labels\.txt' can't be read"):
        find_format("tflite").details(path)


def test_an_endless_label_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(find_format("tflite"), tmp_path, SAID)
    monkeypatch.setattr(metadata, "LARGEST_LABELS", 5)
    with pytest.raises(UnusableFile, match="has more than 5 bytes"):
        find_format("tflite").details(path)


def test_a_file_of_windows_lines_and_other_metadata(tmp_path: Path) -> None:
    path = written(find_format("tflite"), tmp_path, {**SAID, "labels": labels_text(("placeholder",))})
    model = unpack(path.read_bytes())
    other = schema.MetadataT()
    other.name, other.buffer = b"min_runtime_version", 0
    model.metadata.insert(0, other)
    path.write_bytes(metadata.with_labels(pack(model), ("cat\r", "dog\r")))
    assert labels_of(find_format("tflite").details(path)) == ("cat", "dog")


# --- ONNX -------------------------------------------------------------------------------------------------------------


def foreign_onnx(path: Path, props: dict[str, str], kind: int = TensorProto.FLOAT) -> Path:
    ends = [helper.make_tensor_value_info(name, kind, [1, 3, 4, 4]) for name in ("x", "y")]
    model = helper.make_model(helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", ends[:1], ends[1:]))
    helper.set_model_props(model, props)
    onnx.save(model, path)
    return path


def test_onnx_says_what_its_input_is(tmp_path: Path) -> None:
    model = onnx.load(written(find_format("onnx"), tmp_path, SAID))
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert props["Image.BitmapPixelFormat"] == "Rgb8"
    assert props["Image.NominalPixelRange"] == "NominalRange_0_255"
    (image,) = model.graph.input
    assert image.type.denotation == "IMAGE"
    assert [size.denotation for size in image.type.tensor_type.shape.dim][3] == "DATA_CHANNEL"
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    "text",
    ['["cat", "dog"]', "{0: 'cat', 1: 'dog'}", '{"1": "dog", "0": "cat"}', "['cat', 'dog']"],
    ids=["json", "ultralytics", "json by number", "python"],
)
def test_labels_of_onnx_files_from_elsewhere(text: str, tmp_path: Path) -> None:
    path = foreign_onnx(tmp_path / "a.onnx", {"names": text})
    assert labels_of(find_format("onnx").details(path)) == ("cat", "dog")


@pytest.mark.parametrize(
    "text", ["", "cat", "[1, 2]", "{'a': 'b'}", "[" * 5000, "__import__('os')", "{[]: 1}", "[None]"]
)
def test_what_is_no_list_of_labels_is_left_alone(text: str, tmp_path: Path) -> None:
    path = foreign_onnx(tmp_path / "a.onnx", {"names": text, "labels": text})
    assert "labels" not in find_format("onnx").details(path)


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [("NominalRange_0_255", 0, 255), ("Normalized_0_1", 0, 1), ("normalized_1_1", -1, 1)],
)
def test_a_range_of_pixels_is_read_as_mean_and_std(said: str, low: float, high: float, tmp_path: Path) -> None:
    path = foreign_onnx(tmp_path / "a.onnx", {"Image.NominalPixelRange": said})
    found = find_format("onnx").details(path)
    mean, std = float(found["mean"]), float(found["std"])
    assert [(pixel - mean) / std for pixel in (0.0, 1.0)] == pytest.approx([low, high])
    assert "mean" not in find_format("onnx").details(
        foreign_onnx(tmp_path / "b.onnx", {"Image.NominalPixelRange": said}, TensorProto.UINT8)
    )


# --- OpenVINO ---------------------------------------------------------------------------------------------------------

IR = """<?xml version="1.0"?><net name="n" version="11"><layers><layer><rt_info><model_info><labels value="no"/>
</model_info></rt_info></layer></layers><rt_info><model_info>{}</model_info></rt_info></net>"""


def foreign_ir(path: Path, **info: str) -> Path:
    path.write_text(IR.format("".join(f'<{key} value="{value}"/>' for key, value in info.items())))
    return path


def test_model_info_of_others_is_read(tmp_path: Path) -> None:
    path = foreign_ir(
        tmp_path / "a.xml",
        labels="cat gas_pump",
        mean_values="123.675 116.28 103.53",
        scale_values="58.395 57.12 57.375",
        resize_type="standard",
    )
    found = find_format("openvino").details(path)
    assert labels_of(found) == ("cat", "gas_pump")
    assert found["resize"] == "stretch"
    assert [float(value) for value in found["mean"].split(",")] == pytest.approx([0.485, 0.456, 0.406])
    assert [float(value) for value in found["std"].split(",")] == pytest.approx([0.229, 0.224, 0.225])


def test_a_scale_alone_and_numbers_that_are_none(tmp_path: Path) -> None:
    found = find_format("openvino").details(foreign_ir(tmp_path / "a.xml", scale_values="255"))
    assert (found["mean"], found["std"]) == ("0.0", "1.0")
    for bad in ("0", "nan", "many"):
        assert "std" not in find_format("openvino").details(foreign_ir(tmp_path / "a.xml", scale_values=bad))


@pytest.mark.parametrize("int8", [False, True])
def test_a_grey_picture_is_called_so(int8: bool, tmp_path: Path) -> None:
    import openvino

    for form in FORMATS.values():
        form.write(graph_of(int8, 1), tmp_path / form.name, SAID)
        assert form.details(tmp_path / form.name / form.model)["resize"] == "letterbox"
    model = onnx.load(tmp_path / "onnx" / find_format("onnx").model)
    assert {entry.key: entry.value for entry in model.metadata_props}["Image.BitmapPixelFormat"] == "Gray8"
    assert "grey" in model.graph.input[0].doc_string
    ir = openvino.Core().read_model(tmp_path / "openvino" / find_format("openvino").model)
    assert "reverse_input_channels" not in ir.get_rt_info("model_info").value
    assert "grey" in ir.get_rt_info(["edgecnn", "input"]).value
    content = metadata._read_entries(schema.Model.GetRootAs((tmp_path / "tflite/model.tflite").read_bytes()))
    (image,) = metadata._Fields.root(content[metadata.STANDARD]).tables(3)[0].tables(2)
    picture = image.table(3)
    assert picture is not None
    assert picture.byte(0) == 2, "GRAYSCALE of metadata_schema.fbs"
    assert "grey" in image.text(1)


@pytest.mark.parametrize("precision", GRAPHS)
def test_openvino_speaks_model_api(precision: str, tmp_path: Path) -> None:
    import openvino

    model = openvino.Core().read_model(written(find_format("openvino"), tmp_path, SAID, precision))
    info = dict(model.get_rt_info("model_info").value)
    expected = {
        "labels": "cat gas_pump",
        "reverse_input_channels": "YES",
        "resize_type": "fit_to_window_letterbox",
        "pad_value": "128",
    }
    if precision == "fp32":
        expected["model_type"] = "Classification"
    assert info == expected
    assert openvino.layout_helpers.get_layout(model.input(0)).to_string() == "[N,H,W,C]"


def test_a_document_type_is_refused(tmp_path: Path) -> None:
    lol = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 20))
    text = f'<?xml version="1.0"?><!DOCTYPE net [<!ENTITY l0 "lol">{lol}]><net>&l19;</net>'
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UnusableFile, match="declares a document type"):
        find_format("openvino").details(tmp_path / "a.xml")


# --- files that are none ----------------------------------------------------------------------------------------------


@each_format
@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x00" * 64, b"<html></html>", b"\x08\x00\x00\x00TFL3" + b"\xff" * 64]
)
def test_what_is_no_model_is_unusable_or_says_nothing(form: Format, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / form.model
    path.write_bytes(content)
    if form.name == "onnx" and not content:
        assert form.details(path) == {}, "an empty protobuf message is a valid one"
        return
    with pytest.raises(UnusableFile, match=str(path)):
        form.details(path)


@each_format
def test_a_file_that_is_not_there(form: Format, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match="can't be read"):
        form.details(tmp_path / form.model)


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    places = rng.integers(len(changed), size=rng.integers(1, 9))
    changed[places] = rng.integers(256, size=len(places))
    return changed.tobytes()


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content))]


def swap(content: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(len(content) - 4, size=2))
    return content[:a] + content[b : b + 4] + content[a + 4 : b] + content[a : a + 4] + content[b + 4 :]


def blow_up(content: bytes, rng: np.random.Generator) -> bytes:
    """Four bytes become a number as large as lengths and offsets can be."""
    at = int(rng.integers(len(content) - 4))
    return (
        content[:at] + rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x00"]) + content[at + 4 :]
    )


def said_or_refused(form: Format, path: Path) -> Details:
    """What a file says, or one sentence that names it."""
    try:
        return form.details(path)
    except UnusableFile as error:
        return {"refused": str(error)} if str(path) in str(error) and "\n" not in str(error) else {"refused": "badly"}


@each_format
@pytest.mark.parametrize("mutate", [flip, cut, swap, blow_up], ids=lambda mutate: mutate.__name__)
def test_a_damaged_file_is_unusable_or_says_something(
    form: Format, mutate: Callable[[bytes, np.random.Generator], bytes], tmp_path: Path
) -> None:
    """250 of each kind; what is said about a file that can still be read is text."""
    path, rng = written(form, tmp_path, SAID), np.random.default_rng(11)
    content = path.read_bytes()
    began = time.perf_counter()
    for _ in range(250):
        path.write_bytes(mutate(content, rng))
        found = said_or_refused(form, path)
        assert found.get("refused") != "badly"
        assert all(isinstance(value, str) for value in (*found, *found.values()))
        assert "labels" not in found or labels_of(found)
    assert time.perf_counter() - began < 60


def test_the_interchange_has_one_way_to_say_mean_and_std() -> None:
    assert formats.normalisation([127.5], [127.5]) == {"mean": "0.5", "std": "0.5"}
    for mean, std in (([], [1.0]), ([0.0], [0.0]), ([float("nan")], [1.0]), ([0.0], [float("inf")])):
        assert formats.normalisation(mean, std) == {}


def test_metadata_is_written_for_the_program_alone() -> None:
    """The same program and details give the same bytes, whatever was written before."""
    program = read_program(GRAPHS["fp32"])
    assert metadata.metadata_of(program, SAID) == metadata.metadata_of(program, SAID)

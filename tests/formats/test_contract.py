"""What every format must do, whichever are in the folder."""

from __future__ import annotations

import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest

from edgecnn import formats
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.formats import Format, all_formats, find_format
from edgecnn.graph.edit import Graph
from edgecnn.graph.half import halved
from edgecnn.graph.program import Op, Program, Tensor, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import quantize
from edgecnn.storage import sha256_file
from tests.graph.small_nets import Net, pictures

FORMATS = all_formats()
each_format = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


def small_net() -> Net:
    net = Net(np.random.default_rng(3), 6, 6)
    inside = net.relu6(net.conv("x", "stem", 5, (3, 3), (2, 2), (0, 0, 1, 1)), "act")
    net.dense(net.flatten(net.global_average_pool(net.max_pool(inside, "pool", (2, 2)), "mean")), "classifier", 7)
    return net


IMAGES = pictures(np.random.default_rng(1), 32, 6, 6)


def graphs() -> dict[str, Graph]:
    canonical = small_net().canonical()
    return {"fp32": canonical, "fp16": halved(canonical), "int8": quantize(canonical, IMAGES)}


def test_every_file_of_the_folder_is_a_format_with_a_name_of_its_own() -> None:
    found = [module.name for module in pkgutil.iter_modules(formats.__path__)]
    assert len(FORMATS) == len(found), "two formats have one name"
    assert {form.name for form in FORMATS.values()} == set(FORMATS)
    models = [name for form in FORMATS.values() for name in (form.model, *form.companions)]
    assert len(set(models)) == len(models), "two formats write one file"


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown target 'tflit'; did you mean 'tflite'"):
        find_format("tflit")


@each_format
def test_it_has_the_parts(form: Format) -> None:
    for name in ("write", "cut", "details", "encode", "decode"):
        asked = list(inspect.signature(getattr(Format, name)).parameters)[1:]
        assert list(inspect.signature(getattr(form, name)).parameters) == asked, name
    assert form.model
    assert isinstance(form.companions, tuple)


@each_format
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_it_writes_its_files_the_same_twice_and_its_runtime_opens_them(
    form: Format, precision: str, tmp_path: Path
) -> None:
    graph = graphs()[precision]
    hashes = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        form.write(graph, folder, {"labels": '["cat", "dog"]', "resize": "crop"})
        names = {path.name for path in folder.iterdir()}
        assert names == {form.model, *form.companions}
        hashes.append({name: sha256_file(folder / name) for name in names})
    assert hashes[0] == hashes[1]
    session = runtime_for(form.name).open(tmp_path / "a" / form.model, 1)
    found = session.run(IMAGES[:1])
    assert found.shape == (1, 7)
    expected = Reference(graph).output(IMAGES[:1])
    assert found.dtype == expected.dtype
    assert np.abs(found.astype(float) - expected).max() <= {"int8": 1, "fp32": 1e-5, "fp16": 2.0**-11}[precision]


@each_format
def test_encode_and_decode_undo_each_other(form: Format, tmp_path: Path) -> None:
    graph = graphs()["int8"]
    program = read_program(graph)
    reference = Reference(graph, [op.output.value for op in program.ops]).values(IMAGES)
    for op in program.ops:
        tensor, values = op.output, reference[op.output.value]
        np.testing.assert_array_equal(form.decode(tensor, form.encode(tensor, values)), values)


@each_format
def test_a_cut_of_what_is_not_there_is_an_unusable_file(form: Format, tmp_path: Path) -> None:
    graph = graphs()["int8"]
    form.write(graph, tmp_path, {})
    program = read_program(graph)
    first = program.ops[0]
    other = Tensor("elsewhere", first.output.shape, "elsewhere.q", first.output.grid)
    op = Op(first.type, "elsewhere", first.inputs, other)
    (tmp_path / "cut").mkdir()
    with pytest.raises(UnusableFile, match="elsewhere"):
        form.cut(tmp_path / form.model, Program(program.image, (op,), other), op, tmp_path / "cut")


@each_format
def test_what_can_not_be_written_leaves_nothing(form: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Exception, match="disk is full"):
        form.write(graphs()["fp32"], tmp_path, {})
    assert list(tmp_path.iterdir()) == []

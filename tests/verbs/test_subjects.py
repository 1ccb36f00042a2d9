"""What may be named for a measurement, and what is then measured."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.measuring.subject import Subject
from edgecnn.packaged import find_model
from edgecnn.verbs.subjects import find_subjects, run_of
from tests.verbs.small_bench import null_model

SIX = [f"{target}-{precision}" for target in ("tflite", "onnx", "openvino") for precision in ("fp32", "int8")]


def subjects(*given: object) -> tuple[Subject, ...]:
    return find_subjects([str(name) for name in given], lambda text: None)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A copy of the packaged export."""
    packaged = find_model("cifar10-ds")
    assert packaged is not None
    return Path(shutil.copytree(packaged, tmp_path / "runs/small/export/first"))


def test_a_packaged_model_is_all_its_artifacts() -> None:
    found = subjects("cifar10-ds")
    assert [f"{subject.target}-{subject.precision}" for subject in found] == SIX
    assert {subject.name for subject in found} == {"ds_cifar"}
    folder = find_model("cifar10-ds")
    assert folder is not None
    certificate = json.loads((folder / "certificate.json").read_text())
    for name, subject in zip(SIX, found, strict=True):
        assert subject.top1 == certificate["accuracy"][name]
        files = [folder / name / file for file in subject.sha256]
        assert subject.bytes == sum(path.stat().st_size for path in files)
        assert len(files) == (2 if subject.target == "openvino" else 1)


def test_an_export_an_artifact_its_file_and_a_run(export: Path) -> None:
    (export.parents[1] / "resolved.yaml").touch()
    assert len(subjects(export)) == len(subjects(export.parents[1])) == 6
    (folder,), (file,) = subjects(export / "onnx-int8"), subjects(export / "onnx-int8/model.onnx")
    assert folder == file
    assert (folder.target, folder.precision) == ("onnx", "int8")
    assert run_of(folder.path) == export.parents[1].absolute()
    assert len(subjects(export, export / "onnx-int8", export / "onnx-int8/model.onnx")) == 6, "each file once"


def test_files_from_elsewhere(export: Path, tmp_path: Path) -> None:
    for name, companions in (("tflite-int8/model.tflite", []), ("openvino-int8/model.xml", ["model.bin"])):
        place = tmp_path / "elsewhere" / Path(name).name
        place.parent.mkdir(exist_ok=True)
        shutil.copy(export / name, place)
        for companion in companions:
            shutil.copy((export / name).with_name(companion), place.with_name(companion))
        (found,) = subjects(place)
        assert (found.name, found.precision, found.top1) == (place.name, None, None), "nothing says what it is"
        assert set(found.sha256) == {place.name, *companions}
        assert run_of(place) is None


def test_accuracies_are_of_the_files_that_were_certified(export: Path) -> None:
    certificate = export / "certificate.json"
    content = json.loads(certificate.read_text())
    content["hashes"]["tflite-int8/model.tflite"] = "0" * 64
    certificate.write_text(json.dumps(content))
    by_name = {f"{subject.target}-{subject.precision}": subject.top1 for subject in subjects(export)}
    assert by_name["tflite-int8"] is None
    assert by_name["onnx-int8"] is not None
    certificate.write_text("{")
    said: list[str] = []
    assert all(subject.top1 is None for subject in find_subjects([export], said.append))
    assert len(said) == 1
    assert "certificate.json: can't be read" in said[0]


def test_two_of_one_name_are_told_apart(export: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(export / "tflite-int8", tmp_path / "other/tflite-int8"))
    found = subjects(export / "tflite-int8", other)
    assert [subject.name for subject in found] == [str(export / "tflite-int8"), str(other)]
    both = subjects(null_model(tmp_path / "a"), null_model(tmp_path / "b"))
    assert [subject.name for subject in both] == [str(tmp_path / "a/model.null"), str(tmp_path / "b/model.null")]


def test_what_names_nothing(export: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar10-ds'"):
        subjects("cifar10-dss")
    with pytest.raises(UnusableFile, match="is no export"):
        subjects(tmp_path)
    (tmp_path / "weights.pt").touch()
    with pytest.raises(UsageError, match="is no model file by its name"):
        subjects(tmp_path / "weights.pt")
    model = export / "tflite-int8/model.tflite"
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(UnusableFile, match="damaged or was changed"):
        subjects(export)

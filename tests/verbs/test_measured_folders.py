"""`eval --data-source FOLDER` of pictures that nobody split, or of which there is nothing to learn from."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.verbs.eval import EvalRecord, evaluate
from tests.verbs.small_runs import LABELS, SmallRun, edgecnn, small_run_in


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return small_run_in(tmp_path_factory.mktemp("made"))


@pytest.fixture(params=["run", "artifact", "file"])
def model(made: SmallRun, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that lies in no artifact's folder is one from anywhere."""
    artifact = made.export / "onnx-int8"
    if request.param == "file":
        return Path(shutil.copy(artifact / "model.onnx", tmp_path_factory.mktemp("file")))
    return {"run": made.run, "artifact": artifact}[request.param]


def found(record: EvalRecord) -> EvalRecord:
    """Without what depends on where the pictures lie."""
    return dataclasses.replace(record, notes=())


def test_class_folders_are_measured_whole(made: SmallRun, model: Path) -> None:
    """As the same pictures are in a folder with train/ beside them."""
    expected = found(evaluate(model, data_source=str(made.data)))
    assert found(evaluate(model, data_source=str(made.data / "test"))) == expected


def test_some_of_its_classes(made: SmallRun, model: Path, tmp_path: Path) -> None:
    """One is enough; it is counted in the row that it has in the model, and percentages are of it alone."""
    shutil.copytree(made.data / "test" / LABELS[1], tmp_path / "held out" / LABELS[1])
    whole = evaluate(model, data_source=str(made.data))
    record = evaluate(model, data_source=str(tmp_path / "held out"))
    assert record.confusion[1] == whole.confusion[1]
    assert record.n == sum(whole.confusion[1])
    assert record.per_class == {LABELS[1]: whole.per_class[LABELS[1]]}


def test_splits_without_train(made: SmallRun, model: Path, tmp_path: Path) -> None:
    for split in ("val", "test"):
        shutil.copytree(made.data / "test", tmp_path / split)
    shutil.rmtree(tmp_path / "val" / LABELS[0])
    expected = evaluate(model, data_source=str(made.data))
    assert evaluate(model, data_source=str(tmp_path)).confusion == expected.confusion
    assert evaluate(model, split="val", data_source=str(tmp_path)).n < expected.n
    with pytest.raises(UnusableFile, match="has no train/"):
        evaluate(model, split="train", data_source=str(tmp_path))


def test_what_is_not_split_has_no_other_split(made: SmallRun, model: Path) -> None:
    with pytest.raises(UnusableFile, match="leave out --split"):
        evaluate(model, split="val", data_source=str(made.data / "test"))


def test_a_class_that_the_model_has_not(made: SmallRun, tmp_path: Path) -> None:
    shutil.copytree(made.data / "test", tmp_path / "photos")
    (tmp_path / "photos" / LABELS[0]).rename(tmp_path / "photos" / "zebra")
    for model in (made.run, made.export / "onnx-int8"):
        with pytest.raises(UsageError, match=r"zebra.*the model's are"):
            evaluate(model, data_source=str(tmp_path / "photos"))


@pytest.mark.parametrize("inside", [(), LABELS])
def test_nothing_to_measure(made: SmallRun, inside: tuple[str, ...], tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in inside:
        (folder / name).mkdir()
    with pytest.raises(UnusableFile, match=r"holds no pictures in class folders"):
        evaluate(made.run, data_source=str(folder))


def test_no_such_folder(made: SmallRun) -> None:
    said = edgecnn("eval", made.run, "--data-source", "nowhere")
    assert said.code == 3
    assert "correct --data-source" in said.err


def test_an_empty_name_is_not_the_model_s_own_pictures(made: SmallRun, model: Path) -> None:
    """A shell's variable that nobody set."""
    said = edgecnn("eval", model, "--data-source", "")
    assert (said.code, said.out) == (2, "")
    assert "an empty name is no folder" in said.err


def test_from_the_command_line(made: SmallRun) -> None:
    said = edgecnn("eval", made.export / "onnx-int8", "--data-source", made.data / "test", "--json")
    assert said.code == 0
    assert json.loads(said.out)["n"] == 24


@pytest.mark.parametrize("name", ["~nobody-of-this-name/photos", "a" * 300])
def test_a_name_that_can_not_even_be_looked_for(made: SmallRun, name: str) -> None:
    assert edgecnn("eval", made.run, "--data-source", name).code == 3


def test_of_its_own_pictures_no_class_may_be_missing(made: SmallRun, tmp_path: Path) -> None:
    moved = made.data / "train" / LABELS[0], made.data / "test" / LABELS[0]
    for place in moved:
        place.rename(tmp_path / place.parent.name)
    try:
        for model in (made.run, made.export / "onnx-int8"):
            with pytest.raises(UsageError, match=f"no {LABELS[0]} any more"):
                evaluate(model)
    finally:
        for place in moved:
            (tmp_path / place.parent.name).rename(place)


def test_what_is_broken_or_missing_is_said(made: SmallRun, model: Path, tmp_path: Path) -> None:
    """As `new` and `camera` do, it goes on without them; of the model's own pictures none may be broken."""
    shutil.copytree(made.data / "test", tmp_path / "photos")
    (tmp_path / "photos" / LABELS[0] / "000.png").write_bytes(b"")
    shutil.rmtree(tmp_path / "photos" / LABELS[2])
    (tmp_path / "photos" / LABELS[2]).mkdir()
    (tmp_path / "photos" / LABELS[2] / "IMG_1.HEIC").touch()
    record = evaluate(model, data_source=str(tmp_path / "photos"))
    assert record.n == 15
    said = "\n".join(record.notes)
    assert f"has no pictures of {LABELS[2]}: they are not measured" in said
    assert f"{LABELS[2]} has 1 .heic: convert them" in said
    assert f"1 of 16 test pictures can't be used and are left out: {LABELS[0]}/000.png: the file is empty" in said


def test_a_limit_takes_of_every_class(made: SmallRun, model: Path) -> None:
    """Class folders are listed class by class: the first six would be of one."""
    record = evaluate(model, data_source=str(made.data), limit=6)
    assert [sum(row) for row in record.confusion] == [2, 2, 2]
    assert evaluate(model, data_source=str(made.data), limit=1000).n == 24


def test_one_class_beside_train(made: SmallRun, model: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(made.data / "test" / LABELS[1], tmp_path / split / LABELS[1])
    assert evaluate(model, data_source=str(tmp_path)).n == 8

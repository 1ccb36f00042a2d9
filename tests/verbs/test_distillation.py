"""A recipe with a teacher: a larger network that is trained first, and a small one that learns from its answers."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from edgecnn.edge import artifact
from edgecnn.errors import Interrupted, RecipeError, UnusableFile, UsageError
from edgecnn.run import Run
from edgecnn.storage import sha256_file
from edgecnn.train import choice
from edgecnn.train.checkpoint import read_state
from edgecnn.train.choice import CHOSEN, Trial
from edgecnn.verbs.eval import evaluate
from edgecnn.verbs.export import export
from edgecnn.verbs.train import TrainRecord, train
from edgecnn.verbs.verify import verify
from tests.verbs.small_runs import LAYERS, class_folders, recipe, tree
from tests.verbs.small_runs import edgecnn as command
from tests.verbs.test_fine_tuning import Heard

LARGER = LAYERS.replace("filters: 8", "filters: 24").strip("\n").replace("\n", "\n  ")
TEACHER = f"teacher:\n  model:\n    layers:\n  {LARGER}\n  epochs: 3\n  lr0: 0.05\n  temperature: 3\n"


@dataclass(frozen=True)
class Taught:
    """A run whose recipe has a teacher."""

    recipe: Path
    record: TrainRecord
    said: tuple[str, ...]

    @property
    def run(self) -> Run:
        return Run(self.record.run)

    @property
    def teacher(self) -> Run:
        found = self.run.teacher
        assert found is not None
        return found


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    folder = tmp_path_factory.mktemp("taught")
    path, heard = recipe(folder / "small.yaml", class_folders(folder / "pictures")), Heard()
    path.write_text(path.read_text() + TEACHER)
    return Taught(path, train(path, root=folder / "runs", listener=heard), tuple(heard.said))


def test_the_teacher_is_a_run_in_the_run(taught: Taught) -> None:
    assert taught.teacher.path == taught.run.path / "teacher"
    assert taught.record.teacher is not None
    assert taught.record.teacher.run == taught.teacher.path
    assert (taught.record.epochs, taught.record.teacher.epochs) == (2, 3)
    assert taught.record.teacher.params > 2 * taught.record.params
    assert next(iter(taught.teacher.metrics.read()))["lr"] < 0.05
    assert evaluate(taught.teacher.path, split="val").top1 == pytest.approx(taught.record.teacher.val_top1)
    said = [text for text in taught.said if text.startswith("teacher: ")]
    assert said[0].startswith(f"teacher: run {taught.teacher.path}: ")
    assert said[-1] == (
        f"teacher: val {100 * taught.record.teacher.val_top1:.2f} %; {taught.run.path} learns from its answers"
    )


def test_it_is_exported_and_verified_and_says_whom_it_learned_from(taught: Taught, tmp_path: Path) -> None:
    digest = sha256_file(taught.teacher.best() / "model.safetensors")
    assert read_state(taught.run.best()).teacher == digest
    made = export(taught.run.path, targets=["tflite"], out=tmp_path / "export")
    assert artifact.read_manifest(made[0].path).parents["teacher"] == digest
    assert not verify(tmp_path / "export").failures


def test_each_epoch_says_whose_it_is(taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = command("train", taught.recipe).err.splitlines()
    places = [place for place, line in enumerate(said) if line.startswith("teacher: epoch ")]
    own = [place for place, line in enumerate(said) if line.startswith("epoch ")]
    assert (len(places), len(own)) == (3, 2)
    assert max(places) < min(own)


def test_another_teacher_makes_another_student(taught: Taught, tmp_path: Path) -> None:
    """The teacher's answers are learned, not the classes of the folders."""
    other = train(taught.recipe, {"teacher.lr0": 0.01}, root=tmp_path / "other")
    plain = train(taught.recipe, {"teacher": None}, root=tmp_path / "plain")
    assert plain.teacher is None
    assert Run(plain.run).teacher is None
    weights = [load_file(Run(run).best() / "model.safetensors") for run in (taught.run.path, other.run, plain.run)]
    first = "conv_1.conv.weight"
    assert not torch.equal(weights[0][first], weights[1][first])
    assert not torch.equal(weights[0][first], weights[2][first])


@pytest.mark.parametrize("step", [5, 21])
def test_stopped_anywhere_it_goes_on_to_the_same_weights(taught: Taught, tmp_path: Path, step: int) -> None:
    """In the teacher's training of 18 steps, and in its own of 12."""
    stopped = Heard(stop_after=step)
    with pytest.raises(Interrupted):
        train(taught.recipe, root=tmp_path, listener=stopped)
    assert stopped.run == tmp_path / "small", "what is to be gone on with is the run, not its teacher"
    train(stopped.run)
    assert [path.name for path in stopped.run.glob("teacher*")] == ["teacher"]
    whole, parts = tree(taught.run.path), tree(stopped.run)
    for folder in ("checkpoints", "teacher/checkpoints"):
        for file in ("last/model.safetensors", "last/optimizer.safetensors", "best/model.safetensors"):
            assert whole[f"{folder}/{file}"] == parts[f"{folder}/{file}"], (folder, file)


def test_a_finished_run_does_not_want_its_teacher(taught: Taught, tmp_path: Path) -> None:
    shutil.copytree(taught.run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/teacher")
    heard = Heard()
    assert train(tmp_path / "run", listener=heard).teacher is None
    assert not (tmp_path / "run/teacher").exists()
    assert any("is finished" in text for text in heard.said)


def test_another_teacher_in_the_middle_is_refused(taught: Taught, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(taught.recipe, root=tmp_path, listener=Heard(stop_after=26))
    run = Run(tmp_path / "small")
    assert run.teacher is not None
    shutil.rmtree(run.teacher.path)
    text = run.resolved.read_text()
    assert "lr0: 0.05" in text
    run.resolved.write_text(text.replace("lr0: 0.05", "lr0: 0.01"))
    with pytest.raises(UsageError, match="learned from another teacher until now"):
        train(run.path)


def test_what_is_wrong_with_it_is_said_with_its_place(taught: Taught, tmp_path: Path) -> None:
    text = taught.recipe.read_text()
    for given, where, said in (
        ("teacher: {model: {arch: resnet81}}", "model", "unknown architecture 'resnet81'"),
        ("teacher: {model: {arch: resnet8}, freeze: nothing}", "freeze", "there is no layer 'nothing'"),
        ("teacher: {model: {arch: resnet8, weights: pretrained}}", "weights", "goes with torchvision and timm"),
        ("teacher: {model: {arch: resnet8}, alpha: 0}", "alpha", "Input should be greater than 0"),
        ("teacher: {model: {arch: resnet8}, temprature: 2}", "temprature", "did you mean 'temperature'"),
    ):
        path = tmp_path / "wrong.yaml"
        path.write_text(text[: text.index("teacher:")] + given + "\n")
        with pytest.raises(RecipeError) as error:
            train(path, root=tmp_path / "runs")
        (problem,) = error.value.problems
        line = text[: text.index("teacher:")].count("\n") + 1
        assert problem.where.startswith(f"{path}:{line}:"), where
        assert said in problem.message
    assert not (tmp_path / "runs").exists()


def test_weights_that_do_not_fit_it_leave_no_run(taught: Taught, tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "a.safetensors")
    given = {"teacher.model.weights": str(tmp_path / "a.safetensors")}
    with pytest.raises(UnusableFile, match="do not fit the recipe's model"):
        train(taught.recipe, given, root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_on_the_command_line(taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    left = command("train", taught.recipe, "--json")
    assert left.code == 0, left.err
    record, before = json.loads(left.out), taught.record.teacher
    assert before is not None
    assert (record["teacher"]["run"], record["teacher"]["val_top1"]) == ("runs/small/teacher", before.val_top1)
    text = command("train", taught.recipe).out
    assert "its teacher: val " in text


def test_how_to_train_is_chosen_with_the_teachers_answers(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is the teacher's; its own training is timed without one."""
    seen: list[int] = []

    def fastest(build: Any, pictures: Any, settings: Any, choices: Any, say: Any, teacher: Any) -> Any:
        seen.append(sum(p.numel() for p in teacher.model.parameters()) if teacher else 0)
        settings = replace(settings, **choices.plainest)
        return settings, [Trial(**{name: getattr(settings, name) for name in CHOSEN}, images_per_s=1.0)]

    monkeypatch.setattr(choice, "fastest", fastest)
    record = train(taught.recipe, {"train.dtype": "auto"}, root=tmp_path / "runs")
    assert record.teacher is not None
    assert seen == [record.teacher.params, 0]

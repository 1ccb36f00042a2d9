"""From a trained run to one on other classes: where weights come from, what stays, and what the files say of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from edgecnn.edge import artifact
from edgecnn.errors import Interrupted, RecipeError, UnusableFile
from edgecnn.metrics import softmax
from edgecnn.run import Run
from edgecnn.storage import sha256_file
from edgecnn.train import percentages
from edgecnn.train.checkpoint import read_state
from edgecnn.verbs import weights
from edgecnn.verbs.eval import evaluate
from edgecnn.verbs.export import export
from edgecnn.verbs.listener import Listener
from edgecnn.verbs.train import TrainRecord, train
from tests.verbs.small_runs import LAYERS, SmallRun, bundled, class_folders, recipe, small_run_in, tree
from tests.verbs.small_runs import edgecnn as command

OTHERS = ("automobile", "dog")
TWO = LAYERS.replace("units: 3", "units: 2")


class Heard(Listener):
    """Remembers what was said, and asks to stop before the `stop_after`-th step."""

    def __init__(self, stop_after: int = -1) -> None:
        self.said: list[str] = []
        self.left = stop_after
        self.run: Path | None = None

    def message(self, text: str) -> None:
        self.said.append(text)

    def started(self, run: Path) -> None:
        self.run = run

    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left == -1


@dataclass(frozen=True)
class Tuned:
    """A run on three classes, and one on two others that began with its weights, the backbone frozen."""

    source: SmallRun
    recipe: Path
    record: TrainRecord
    said: tuple[str, ...]

    @property
    def run(self) -> Run:
        return Run(self.record.run)


@pytest.fixture(scope="module", autouse=True)
def enough() -> Iterator[None]:
    """24 validation pictures are not few here: a temperature under 1 is fitted, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentages, "FEW", 24)
        yield


@pytest.fixture(scope="module")
def tuned(enough: None, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("tuned")
    source = small_run_in(folder)
    path = recipe(folder / "tuned.yaml", class_folders(folder / "others", labels=OTHERS), layers=TWO, name="tuned")
    path.write_text(path.read_text().replace("train: {", f"  weights: {source.run}\ntrain: {{freeze: backbone, "))
    heard = Heard()
    record = train(path, root=folder / "runs", listener=heard)
    return Tuned(source, path, record, tuple(heard.said))


def best(run: Path) -> dict[str, Any]:
    return load_file(run / "checkpoints/best/model.safetensors")


def test_the_backbone_is_the_source_s_and_the_classifier_is_not(tuned: Tuned) -> None:
    before, after = best(tuned.source.run), best(tuned.run.path)
    same = {name for name in after if before[name].shape == after[name].shape and (before[name] == after[name]).all()}
    assert set(after) - same == {"dense_4.dense.weight", "dense_4.dense.bias"}
    assert after["dense_4.dense.weight"].shape == (2, 16)
    file = tuned.source.run / "checkpoints/best/model.safetensors"
    assert (
        f"{len(same)} tensors taken from {file}; the classifier (dense_4.dense.weight, dense_4.dense.bias) starts anew"
    ) in tuned.said


def test_where_the_weights_came_from_is_kept(tuned: Tuned, tmp_path: Path) -> None:
    digest = sha256_file(tuned.source.run / "checkpoints/best/model.safetensors")
    for kept in ("last", "best"):
        assert read_state(tuned.run.checkpoints / kept).weights == digest
    assert read_state(Run(tuned.source.run).checkpoints / "best").weights is None
    made = export(tuned.run.path, targets=["tflite"], out=tmp_path / "export")
    for one in made:
        parents = artifact.read_manifest(one.path).parents
        assert parents["weights"] == digest
        assert parents["checkpoint"] == sha256_file(tuned.run.checkpoints / "best/model.safetensors")
    assert "weights" not in artifact.read_manifest(tuned.source.export / "tflite-int8").parents


def test_stopped_and_resumed_without_the_weights_it_ends_the_same(tuned: Tuned, tmp_path: Path) -> None:
    """They are taken once, before training begins; afterwards nobody looks for them."""
    changed = {"train.freeze": 1, "train.ema": 0.9, "train.epochs": 3}
    folder = tmp_path / "source"
    shutil.copytree(tuned.source.run, folder)
    given = {**changed, "model.weights": str(folder)}
    train(tuned.recipe, given, root=tmp_path / "whole")
    stopped = Heard(stop_after=6)
    with pytest.raises(Interrupted):
        train(tuned.recipe, given, root=tmp_path / "parts", listener=stopped)
    shutil.rmtree(folder)
    assert stopped.run is not None
    train(stopped.run)
    whole, parts = (tree(tmp_path / name / "tuned/checkpoints") for name in ("whole", "parts"))
    for file in ("last/model", "last/optimizer", "last/average", "best/model"):
        assert whole[f"{file}.safetensors"] == parts[f"{file}.safetensors"]
    assert whole["last/state.json"] == parts["last/state.json"]
    said = [(tmp_path / name / "tuned/percentages.json").read_bytes() for name in ("whole", "parts")]
    assert said[0] == said[1]


def test_stopped_before_the_first_step_it_takes_them_then(tuned: Tuned, tmp_path: Path) -> None:
    stopped, again = Heard(stop_after=0), Heard()
    with pytest.raises(Interrupted):
        train(tuned.recipe, root=tmp_path, listener=stopped)
    assert stopped.run is not None
    train(stopped.run, listener=again)
    assert any("tensors taken from" in text for text in again.said)
    assert best(stopped.run).keys() == best(tuned.run.path).keys()
    files = [run / "checkpoints/best/model.safetensors" for run in (stopped.run, tuned.run.path)]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_a_file_and_a_packaged_model_are_found(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tuned.source.run / "checkpoints/best/model.safetensors"
    assert weights.find_weights(str(tuned.source.run)) == file
    assert weights.find_weights(str(file)) == file
    packaged = weights.find_weights("cifar10-ds")
    assert packaged.parts[-3:] == ("cifar10-ds", "checkpoint", "model.safetensors")
    assert weights.absolute_weights("cifar10-ds") == "cifar10-ds"
    monkeypatch.chdir(tuned.source.run.parent)
    assert weights.absolute_weights("small") == str(tuned.source.run)
    monkeypatch.chdir(tmp_path)
    for name, said in (
        ("cifar10-sd", r"there are no such weights; did you mean 'cifar10-ds'\?"),
        (str(tmp_path), "is a folder, but no run"),
        ("no.safetensors", "there are no such weights"),
    ):
        with pytest.raises(UnusableFile, match=said):
            weights.find_weights(name)


def test_resolved_yaml_names_them_absolutely(tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tuned.source.run.parent)
    made = train(tuned.recipe, {"model.weights": "small", "train.epochs": 1}, root=tmp_path)
    assert f"weights: {tuned.source.run}\n" in Run(made.run).resolved.read_text()


def test_a_packaged_model_s_weights_go_on_learning(tmp_path: Path) -> None:
    """The CIFAR net knows cats from ships before its new classifier has learnt for long."""
    path = recipe(tmp_path / "ds.yaml", class_folders(tmp_path / "pictures"), size=32, name="ds")
    text = path.read_text()
    start, end = text.index("model:"), text.index("train:")
    path.write_text(text[:start] + "model: {arch: ds_cnn, weights: cifar10-ds}\n" + text[end:])
    heard = Heard()
    made = train(
        path, {"train.freeze": "backbone", "train.epochs": 4, "train.augment": []}, root=tmp_path, listener=heard
    )
    assert made.val_top1 > 0.9
    assert any("tensors taken from" in said and "cifar10-ds" in said for said in heard.said)


def test_another_width_is_one_sentence_and_leaves_no_run(tuned: Tuned, tmp_path: Path) -> None:
    wide = tmp_path / "wide.yaml"
    wide.write_text(tuned.recipe.read_text().replace("filters: 8", "filters: 12"))
    left = command("train", wide)
    assert left.code == 3
    assert left.err.count("\n") == 1
    assert ": 6 tensors do not fit the recipe's model: " in left.err
    assert "conv_1.conv.weight is [8, 3, 3, 3] instead of [12, 3, 3, 3]" in left.err
    with pytest.raises(UnusableFile):
        train(wide, root=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_an_unknown_layer_is_said_with_its_place(tuned: Tuned, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as error:
        train(tuned.recipe, {"train.freeze": "conv_3"}, root=tmp_path)
    (problem,) = error.value.problems
    assert problem.where == "train.freeze=conv_3"
    assert problem.message.startswith("there is no layer 'conv_3'; did you mean 'conv_")


# --- percentages ------------------------------------------------------------------------------------------------------


def test_the_run_the_record_and_the_manifests_say_one_temperature(tuned: Tuned) -> None:
    run = Run(tuned.source.run)
    kept = json.loads(run.percentages.read_text())
    assert kept["n"] == 24
    assert kept["note"] == ""
    assert kept["nll"] < kept["nll_plain"]
    for folder in tuned.source.export.glob("*-*"):
        manifest = artifact.read_manifest(folder)
        assert (manifest.temperature, manifest.unsure_below) == (kept["temperature"], kept["unsure_below"])
    assert evaluate(run.path, split="val").nll == pytest.approx(kept["nll"], rel=1e-4)
    assert evaluate(run.path, split="val").ece == pytest.approx(kept["ece"], abs=1e-4)
    assert evaluate(tuned.source.export / "tflite-fp32", split="val").nll == pytest.approx(kept["nll"], rel=1e-3)


def test_predictions_are_divided_by_it(tuned: Tuned) -> None:
    opened = artifact.load(tuned.source.export / "tflite-fp32")
    assert opened.manifest.temperature != 1.0
    image = bundled("test").images[0, :16, :16]
    logits = opened.values(opened.raw(image[None]))[0].astype(np.float64)
    found = opened.probabilities(image)
    assert np.allclose(found, softmax(logits / opened.manifest.temperature), atol=1e-6)
    assert not np.allclose(found, softmax(logits), atol=1e-3), "and without it they would be others"


def test_export_fits_what_a_run_has_not_kept(tuned: Tuned, tmp_path: Path) -> None:
    shutil.copytree(tuned.source.run, tmp_path / "old", ignore=shutil.ignore_patterns("export", "percentages.json"))
    made = export(tmp_path / "old", targets=["tflite"], out=tmp_path / "export")
    kept = json.loads(Run(tuned.source.run).percentages.read_text())
    found = artifact.read_manifest(made[0].path)
    assert found.temperature == pytest.approx(kept["temperature"], rel=1e-5)
    assert found.unsure_below == pytest.approx(kept["unsure_below"], rel=1e-5)


def test_files_that_give_probabilities_have_temperature_1(tuned: Tuned, tmp_path: Path) -> None:
    made = train(tuned.source.recipe, {"export.output": "probabilities"}, root=tmp_path)
    assert made.percentages is not None
    assert made.percentages.temperature == 1.0
    one = export(made.run, targets=["tflite"], fp32=True)[0]
    manifest = artifact.read_manifest(one.path)
    assert (manifest.temperature, manifest.unsure_below) == (1.0, made.percentages.unsure_below)
    found = evaluate(one.path, split="val")
    assert found.nll is None
    assert found.ece == pytest.approx(made.percentages.ece, abs=1e-4)


def test_older_manifests_have_temperature_1_and_wrong_ones_are_refused(tuned: Tuned, tmp_path: Path) -> None:
    folder = tmp_path / "tflite-fp32"
    shutil.copytree(tuned.source.export / "tflite-fp32", folder)
    record = json.loads((folder / "manifest.json").read_text())
    del record["temperature"], record["unsure_below"]
    (folder / "manifest.json").write_text(json.dumps(record))
    manifest = artifact.load(folder).manifest
    assert (manifest.temperature, manifest.unsure_below) == (1.0, None)
    (folder / "manifest.json").write_text(json.dumps({**record, "temperature": 0.0}))
    with pytest.raises(UnusableFile, match=r"manifest\.json: temperature: expected a number over 0, got 0\.0"):
        artifact.load(folder)


def test_train_prints_it(tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = json.loads(Run(tuned.source.run).percentages.read_text())
    left = command("train", tuned.source.recipe)
    assert left.code == 0
    assert (
        f"percentages: temperature {kept['temperature']:.2f} fitted on 24 validation pictures "
        f"(NLL {kept['nll_plain']:.2f} -> {kept['nll']:.2f}), unsure below {100 * kept['unsure_below']:.2f} %\n"
    ) in left.out

"""The camera, predict and eval say the same about 1,000 pictures; what the command line makes of its flags."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn import evaluate, predict
from edgecnn.cli.commands.camera import split_actions
from edgecnn.data import DataSpec, open_dataset
from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.session import Options
from edgecnn.errors import UsageError
from edgecnn.verbs.camera import camera
from edgecnn.verbs.folders import find_artifact

MODEL = find_artifact("cifar10-ds")
PICTURES = 1000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """test/<class>/ with all bundled test pictures, in other sizes and shapes so that each has to be fitted."""
    made = tmp_path_factory.mktemp("photos")
    dataset = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop"))
    test = dataset.load("test")
    assert len(test) == PICTURES
    for number, (image, label) in enumerate(zip(test.images, test.classes, strict=True)):
        path = made / "test" / dataset.labels[label] / f"{number:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(image[:, :, ::-1], (40 + number % 50, 36 + number % 31)))
    shutil.copytree(made / "test", made / "train")
    return made


def answers(model: Path, source: Path) -> dict[str, Result]:
    results: list[Result] = []
    camera(model, Options(source=str(source), view="none", threads=1), result=results.append)
    return {str(result.image): result for result in results}


def differing(seen: dict[str, Result], model: Path) -> int:
    """Pictures that the camera and predict name differently."""
    said = {record.image: record.top for record in predict(model, sorted(seen))}
    return sum(seen[path].label != said[path][0].label for path in seen)


@pytest.mark.slow
def test_camera_predict_and_eval_agree(folder: Path, tmp_path: Path) -> None:
    seen = answers(MODEL, folder / "test")
    assert len(seen) == PICTURES
    assert differing(seen, MODEL) == 0
    evaluated = evaluate(MODEL, data_source=str(folder))
    right = {
        label: np.mean([r.label == label for path, r in seen.items() if Path(path).parent.name == label])
        for label in evaluated.per_class
    }
    assert right == pytest.approx(dict(evaluated.per_class))

    # The fault planted: a camera with another way to the model's size.
    other = tmp_path / "other"
    shutil.copytree(MODEL, other)
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["input"]["resize"] = "letterbox"
    (other / "manifest.json").write_text(json.dumps(manifest))
    assert differing(answers(other, folder / "test"), MODEL) > 10


@pytest.mark.parametrize(
    ("words", "rest", "actions"),
    [
        ([], [], ()),
        (["m", "--source", "0"], ["m", "--source", "0"], ()),
        (["m", "--on", "cat:0.8", "say", "-u", "{label}"], ["m"], (("cat:0.8", "say", "-u", "{label}"),)),
        (["--on", "a:0.5", "x", "--on", "b:0.5", "y z"], [], (("a:0.5", "x"), ("b:0.5", "y z"))),
        (["--on=a:0.5", "x", "--on"], [], (("a:0.5", "x"), ())),
        (["--on", "a:0.5", "x", ";", "--view", "none"], ["--view", "none"], (("a:0.5", "x"),)),
        (["--on", 'it\'s "a"\n..:0.5', "rm", "-rf", "a b\n"], [], (('it\'s "a"\n..:0.5', "rm", "-rf", "a b\n"),)),
    ],
)
def test_actions_are_taken_out_of_the_command_line(
    words: list[str], rest: list[str], actions: tuple[tuple[str, ...], ...]
) -> None:
    assert split_actions(words) == (rest, actions)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(source="nothing://x"), "no source"),
        (Options(view="television"), "no view 'television'"),
        (Options(view="none", runtime="litret"), "did you mean 'litert'"),
        (Options(view="none", actions=(("cat",),)), "cat"),
        (Options(view="none", actions=((),)), "Write --on LABEL:0.8 COMMAND"),
        (Options(view="none", actions=(("cta:0.5", "true"),)), "did you mean 'cat'"),
        (Options(view="none", actions=(("cat:0.5", "no such command"),)), "no such command"),
        (Options(view="none", heatmap=True, source="fake://", frames=1), "export --heatmap"),
    ],
)
def test_what_makes_no_sense_is_said_before_a_source_is_opened(options: Options, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        camera(MODEL, options)


@pytest.mark.slow
def test_an_action_is_run_and_frames_are_kept(tmp_path: Path) -> None:
    """On the made-up scene, whose four pictures the packaged model names right."""
    touched = tmp_path / "a 'touched'\nfile"
    options = Options(
        source="fake://",
        view="none",
        frames=120,
        threads=1,
        actions=(("*:0.6", "touch", str(touched)),),
        record=tmp_path / "kept",
    )
    summary = camera("cifar10-mobile", options)
    assert summary.results == 120
    assert touched.is_file()
    kept = [path.relative_to(tmp_path / "kept") for path in (tmp_path / "kept").rglob("*.jpg")]
    assert kept
    assert {path.parts[0] for path in kept} <= {"automobile", "cat", "horse", "ship"} | {"unsure"}

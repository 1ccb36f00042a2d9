"""Pictures of one channel, the whole line: IDX files -> train -> export -> verify -> eval, predict, bench, camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.data.idx_files import bars, write_set
from tests.verbs.small_runs import PINNED
from tests.verbs.small_runs import edgecnn as command

RECIPE = f"""
name: small_grey
data: {{source: mnist, val_fraction: 0.2}}
input: {{size: 28, channels: 1}}
model:
  layers:
    - conv: {{filters: 8, kernel: 3, stride: 2, batch_norm: true, activation: relu}}
    - max_pool: {{size: 2}}
    - flatten
    - dense: {{units: 10}}
train: {{epochs: 6, batch: 32, lr0: 0.1, warmup_epochs: 1, augment: [flip], {PINNED}}}
quantize: {{calibration: {{images: 64}}}}
limits: {{drop_pp: 3.0}}
"""
FILES = {f"{t}-{p}" for t in ("tflite", "onnx", "openvino") for p in ("fp32", "int8")}


def edgecnn(*arguments: object) -> Any:
    """The JSON answer of a command that succeeds."""
    left = command(*arguments, "--json")
    assert left.code == 0, f"edgecnn {arguments}: exit {left.code}\n{left.err}"
    return json.loads(left.out)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of the data, and an export of all six files."""
    folder = tmp_path_factory.mktemp("grey")
    write_set(folder / "data/mnist")
    (folder / "grey.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained = edgecnn("train", "grey.yaml", "--data", folder / "data")
        assert trained["val_top1"] > 0.9, "bars at ten heights are easily told apart"
        made = edgecnn("export", "--data", folder / "data", "--out", folder / "export")
    assert {f"{a['target']}-{a['precision']}" for a in made["artifacts"]} == FILES
    return folder / "data", folder / "export"


def test_six_files_agree_on_pictures_of_one_channel(exported: tuple[Path, Path]) -> None:
    data, export = exported
    verified = edgecnn("verify", export, "--data", data)
    assert verified["passed"], verified["failures"]
    assert set(verified["accuracy"]) == {"fp32", *FILES}
    assert min(verified["accuracy"].values()) > 0.9
    for name in sorted(FILES):
        given = json.loads((export / name / "manifest.json").read_text())["input"]
        assert (given["height"], given["width"], given["channels"], given["color"]) == (28, 28, 1, "grey")


def test_each_file_takes_one_byte_a_pixel(exported: tuple[Path, Path]) -> None:
    import onnxruntime
    import openvino
    from ai_edge_litert.interpreter import Interpreter

    _, export = exported
    for precision in ("fp32", "int8"):
        lite = Interpreter(str(export / f"tflite-{precision}/model.tflite")).get_input_details()[0]
        assert (lite["shape"].tolist(), lite["dtype"]) == ([1, 28, 28, 1], np.uint8)
        session = onnxruntime.InferenceSession(export / f"onnx-{precision}/model.onnx").get_inputs()[0]
        assert (session.name, session.shape, session.type) == ("image", [1, 28, 28, 1], "tensor(uint8)")
        opened = openvino.Core().read_model(export / f"openvino-{precision}/model.xml").input(0)
        assert (list(opened.shape), opened.element_type) == ([1, 28, 28, 1], openvino.Type.u8)


def test_predict_and_eval_and_bench(exported: tuple[Path, Path], tmp_path: Path) -> None:
    data, export = exported
    images, classes = bars(10, 7)
    grey, colour = tmp_path / "grey.png", tmp_path / "colour.png"
    cv2.imwrite(str(grey), images[6])
    cv2.imwrite(str(colour), np.repeat(images[6][:, :, None], 3, axis=2))
    for name in sorted(FILES):
        answers = edgecnn("predict", export / name, grey, colour)
        assert [row["top"][0]["label"] for row in answers] == [str(classes[6])] * 2
        assert answers[0]["top"] == answers[1]["top"], "grey in three channels is the same grey"
    for model in ("tflite-int8", "tflite-int8/model.tflite", "onnx-fp32/model.onnx", "openvino-int8/model.xml"):
        evaluated = edgecnn("eval", export / model, "--data-source", "mnist", "--data", data)
        assert evaluated["n"] == 100
        assert evaluated["top1"] > 0.9, model
    measured = edgecnn("bench", export / "tflite-int8", "--seconds", "0.5", "--out", tmp_path / "bench.json")
    assert measured["rows"][0]["p50_us"] > 0


def test_the_camera_sees_grey(exported: tuple[Path, Path], tmp_path: Path) -> None:
    _, export = exported
    images, classes = bars(10, 7)
    large = cv2.resize(images[3], (280, 280), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(tmp_path / "frame.png"), np.repeat(large[:, :, None], 3, axis=2))
    left = command("camera", export / "tflite-int8", "--source", tmp_path, "--view", "none", "--frames", "1", "--json")
    assert left.code == 0, left.err
    assert json.loads(left.out.splitlines()[0])["label"] == str(classes[3])

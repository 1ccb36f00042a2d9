"""The whole journey on real pictures: recipe -> train -> export -> verify -> predict, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).parents[1]


def edgecnn(*arguments: str, cwd: Path) -> Any:
    """Run the command line as a user does and return its JSON answer."""
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    environment.pop("EDGECNN_DATA", None)
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", *arguments, "--json"],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"edgecnn {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}"
    return json.loads(done.stdout)


@pytest.mark.slow
def test_recipe_becomes_six_files_that_agree(tmp_path: Path, sample_pictures: dict[str, Path]) -> None:
    # Hardly trained, and a point is ten of these 1,000 pictures; one thread, for another worker has the other core.
    settings = ["train.epochs=3", "train.threads=1", "limits.drop_pp=3.0"]
    trained = edgecnn("train", "recipes/quickstart.yaml", *settings, cwd=tmp_path)
    assert trained["epochs"] == 3
    assert trained["val_top1"] > 0.3, "three epochs on 4,500 pictures beat chance (0.1) by far"

    exported = edgecnn("export", "--int8", "--fp32", "--target", "all", cwd=tmp_path)
    made = {f"{a['target']}-{a['precision']}" for a in exported["artifacts"]}
    assert made == {f"{t}-{p}" for t in ("tflite", "onnx", "openvino") for p in ("fp32", "int8")}

    verified = edgecnn("verify", cwd=tmp_path)
    assert verified["passed"], verified["failures"]
    assert set(verified["accuracy"]) == {"fp32", *made}
    assert all(abs(drop) <= 3.0 for drop in verified["drop_pp"].values())
    assert all(pair["top1_agreement"] >= 0.99 for pair in verified["parity"])

    artifacts = {a["target"]: a for a in exported["artifacts"] if a["precision"] == "int8"}
    answers = {
        target: edgecnn("predict", artifact["path"], *map(str, sample_pictures.values()), cwd=tmp_path)
        for target, artifact in artifacts.items()
    }
    best = {t: [row["top"][0]["label"] for row in rows] for t, rows in answers.items()}
    assert best["tflite"] == best["onnx"] == best["openvino"]

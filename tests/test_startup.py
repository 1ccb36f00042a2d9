"""What starts fast and alone: `edgecnn --help` without heavy libraries, and edge/ where only a runtime is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPO = Path(__file__).parents[1]
PACKAGED = REPO / "edgecnn" / "packaged" / "models" / "cifar10-ds" / "tflite-int8"
HEAVY = {"cv2", "matplotlib", "numpy", "onnx", "onnxruntime", "openvino", "pydantic", "ruamel", "safetensors", "torch"}
NOT_ON_A_DEVICE = ("torch", "onnx", "pydantic", "yaml", "ruamel", "click", "rich", "matplotlib", "safetensors")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)


def test_help_takes_less_than_250_ms() -> None:
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        done = python("-m", "edgecnn", "--help")
        seconds.append(time.perf_counter() - began)
        assert done.returncode == 0, done.stderr
        assert "train" in done.stdout
    assert min(seconds) < 0.250, f"best of {len(seconds)}: {min(seconds) * 1000:.0f} ms"


def test_help_imports_nothing_heavy() -> None:
    done = python("-X", "importtime", "-m", "edgecnn", "--help")
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "edgecnn.cli" in imported
    assert not HEAVY & {name.split(".")[0] for name in imported}


BLOCK = f"""
import sys
from importlib.abc import MetaPathFinder

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {NOT_ON_A_DEVICE!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, NotInstalled())
"""


def test_the_block_blocks() -> None:
    done = python("-c", BLOCK + "import click")
    assert "No module named 'click'" in done.stderr


def test_all_of_edge_imports_with_only_a_runtime() -> None:
    walk = """
import importlib, pkgutil
import edgecnn.edge
for module in pkgutil.walk_packages(edgecnn.edge.__path__, "edgecnn.edge."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
        print(module.name)
"""
    done = python("-c", BLOCK + walk)
    assert done.returncode == 0, done.stderr
    assert {"edgecnn.edge.pixels", "edgecnn.edge.artifact"} <= set(done.stdout.split())


@pytest.mark.parametrize("size", [(32, 32), (240, 320)], ids=["the model's size", "another size"])
def test_edge_runs_a_model_with_only_a_runtime(size: tuple[int, int]) -> None:
    predict = f"""
import numpy as np
from edgecnn.edge import artifact
session = artifact.load({str(PACKAGED)!r})
answer = session.predict(np.random.default_rng(0).integers(0, 256, ({size[0]}, {size[1]}, 3), dtype=np.uint8))
print(answer)
"""
    done = python("-c", BLOCK + predict)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_verb_train_is_not_the_room_of_that_name() -> None:
    """Whatever was imported before: importing edgecnn.train.loop must not put the package in the verb's place."""
    code = (
        "import edgecnn; first = edgecnn.train; import edgecnn.train.loop; from edgecnn.train import schedule; "
        "assert edgecnn.train is first and callable(first), edgecnn.train"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO)

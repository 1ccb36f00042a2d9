"""The built package: what is in it, that the sdist builds the same, and that it predicts where nothing else is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

REPO = Path(__file__).parents[1]
MODEL = "edgecnn/packaged/models/cifar10-ds"

pytestmark = pytest.mark.slow


def build(out: Path, *kinds: str) -> Path:
    """Build without a network, and return the wheel."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", out, REPO], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"), "--wheel")


def contents(wheel: Path) -> dict[str, int]:
    with zipfile.ZipFile(wheel) as opened:
        return {entry.filename: entry.CRC for entry in opened.infolist()}


def test_the_wheel_holds_what_the_readme_promises(wheel: Path) -> None:
    names = contents(wheel).keys()
    for kind in ("recipes", "devices"):
        own = {f"edgecnn/packaged/{kind}/{path.name}" for path in (REPO / kind).glob("*.yaml")}
        assert own, f"{kind}/ is empty"
        assert own <= names
    assert [name for name in names if re.fullmatch(r"edgecnn/packaged/.*\.webp", name)], "no bundled pictures"
    assert "edgecnn/py.typed" in names


@pytest.mark.parametrize("artifact", [f"{t}-{p}" for t in ("tflite", "onnx", "openvino") for p in ("fp32", "int8")])
def test_the_wheel_holds_the_packaged_model(wheel: Path, artifact: str) -> None:
    names = contents(wheel).keys()
    model = {"tflite": {"model.tflite"}, "onnx": {"model.onnx"}, "openvino": {"model.xml", "model.bin"}}
    for name in {"manifest.json", "labels.txt", "golden.npz"} | model[artifact.split("-")[0]]:
        assert f"{MODEL}/{artifact}/{name}" in names


def test_the_wheel_holds_every_packaged_file_and_nothing_foreign(wheel: Path) -> None:
    names = contents(wheel).keys()
    tracked = subprocess.run(["git", "ls-files", "edgecnn"], cwd=REPO, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout: nothing says which files belong to edgecnn")
    assert {name for name in tracked.stdout.splitlines() if (REPO / name).exists()} <= names
    assert all(name.startswith(("edgecnn/", "edgecnn-")) for name in names)
    assert not [name for name in names if "__pycache__" in name]


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert contents(build(tmp_path)) == contents(wheel)


# --- an empty environment --------------------------------------------------------------------------------------------


def base_distributions(wheel: Path) -> set[str]:
    """The names of what the wheel requires without extras, and of what that requires in turn."""
    with zipfile.ZipFile(wheel) as opened:
        (name,) = (n for n in opened.namelist() if n.endswith(".dist-info/METADATA"))
        required = re.findall(r"^Requires-Dist: (.*)$", opened.read(name).decode(), re.MULTILINE)
    wanted, found = required, set()
    while wanted:
        requirement = wanted.pop()
        name = re.split(r"[^A-Za-z0-9._-]", requirement)[0].lower()
        if name in found or "extra ==" in requirement:
            continue
        try:
            wanted += metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:  # its marker (an older Python, another system) speaks of elsewhere
            assert ";" in requirement, requirement
            continue
        found.add(name)
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """An environment with nothing but the wheel; the variables that let it see the base dependencies, and only those.

    They are links into this environment's packages: without a network nothing can be downloaded, and with the
    whole folder torch and onnx would be there too.
    """
    libraries = tmp_path_factory.mktemp("libraries")
    for name in base_distributions(wheel):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (libraries / top).exists():
                (libraries / top).symlink_to(Path(str(distribution.locate_file(top))))
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-qq", "--no-deps", "--no-index", wheel], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "EDGECNN"))}
    return folder, {**environment, "PYTHONPATH": str(libraries)}


def test_the_empty_environment_is_empty(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, environment = installed
    look = "import importlib.util as u, edgecnn; print(edgecnn.__file__, [n for n in {!r} if u.find_spec(n)])"
    extras = ("torch", "onnx", "onnxruntime", "openvino", "onnxscript", "safetensors", "matplotlib")
    done = subprocess.run(
        [folder / "bin" / "python", "-c", look.format(extras)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(folder) in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_predict_works_from_the_wheel(installed: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    folder, environment = installed
    picture = tmp_path / "picture.png"
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    assert cv2.imwrite(str(picture), pixels)
    done = subprocess.run(
        [folder / "bin" / "edgecnn", "predict", "cifar10-ds", picture, "--json"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert Path(row["image"]).name == "picture.png"
    assert len(row["top"]) == 5
    probabilities = [entry["probability"] for entry in row["top"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert 0 < sum(probabilities) <= 1.0 + 1e-6


def test_a_missing_extra_is_one_sentence_with_the_command(
    installed: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, environment = installed
    done = subprocess.run(
        [folder / "bin" / "edgecnn", "train", "recipes/quickstart.yaml"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "pip install 'edgecnn[train]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists(), "nothing half-written"

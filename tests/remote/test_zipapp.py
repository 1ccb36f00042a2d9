"""The application for a device: what is in it, and that it needs nothing but numpy and one runtime."""

from __future__ import annotations

import io
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgecnn import packaged
from edgecnn.remote.zipapp import application
from tests.environments import make_environment, pythons

MODEL = packaged.folder("models") / "cifar10-ds" / "tflite-int8"
BARE = ("--no-deps", "numpy", "ai-edge-litert", "backports.strenum")
"""ai-edge-litert asks for more than what running a model imports; backports.strenum is imported before Python 3.11."""
PAGE = (
    *BARE,
    "opencv-python-headless",
    "starlette",
    "uvicorn",
    "anyio",
    "idna",
    "h11",
    "click",
    "typing-extensions",
    "exceptiongroup",
)
EDGES = sorted({pythons()[0], pythons()[-1]})
"""The oldest and the newest Python at hand."""


def test_the_same_sources_are_the_same_bytes() -> None:
    first = application()
    application.cache_clear()
    assert application() == first


def test_it_holds_floor_0_and_edge_and_nothing_else() -> None:
    names = zipfile.ZipFile(io.BytesIO(application())).namelist()
    rooms = {name.split("/")[1] for name in names if name.startswith("edgecnn/")}
    assert rooms == {
        "__init__.py",
        "errors.py",
        "geometry.py",
        "metrics.py",
        "records.py",
        "registry.py",
        "storage.py",
        "edge",
    }
    assert "edgecnn/edge/camera/views/page/index.html" in names
    assert not [name for name in names if name.endswith(".pyc")]


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("application") / "edgecnn.pyz"
    path.write_bytes(application())
    return path


def ask(python: Path, packed: Path, word: str, *requests: object, behind: bytes = b"") -> list[bytes]:
    """What the application says to requests, nothing of this process's environment being there; lines, and the rest."""
    lines = b"".join(json.dumps(request).encode() + b"\n" for request in requests)
    done = subprocess.run(
        [python, "-I", packed, word],
        input=lines + behind,
        cwd=packed.parent,
        env={"PATH": "/usr/bin:/bin", "HOME": str(packed.parent)},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.split(b"\n", len(requests))


@pytest.mark.slow
@pytest.mark.parametrize(
    "python",
    [EDGES[0], *(pytest.param(path, marks=pytest.mark.long) for path in EDGES[1:])],
    ids=lambda path: path.name,
)
def test_it_measures_and_answers_with_numpy_and_one_runtime(python: Path, packed: Path, tmp_path: Path) -> None:
    bare = make_environment(tmp_path / "bare", *BARE, python=python)
    with np.load(MODEL / "golden.npz") as kept:
        images, expected = kept["images"], kept["outputs"]
    answers = ask(
        bare,
        packed,
        "bench",
        {"do": "load_engine", "runtime": "litert"},
        {"do": "open", "path": str(MODEL / "model.tflite"), "threads": 1, "input_size": None, "warmup_s": 0.0}
        | {"warmup_least": 3},
        {"do": "classify", "shape": images.shape},
        behind=images.tobytes(),
    )
    assert all(b'"answer"' in line for line in answers[:3]), answers
    got = np.frombuffer(answers[3], np.uint8).reshape(expected.shape)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.slow
@pytest.mark.long
def test_another_runtime_is_missing_and_says_so(packed: Path, tmp_path: Path) -> None:
    bare = make_environment(tmp_path / "bare", "numpy", python=EDGES[0])
    (line, _) = ask(bare, packed, "bench", {"do": "load_engine", "runtime": "litert"})
    assert json.loads(line)["error"] == "MissingExtra"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("python", EDGES, ids=lambda path: path.name)
def test_the_camera_wants_opencv_and_its_page_two_more(python: Path, packed: Path, tmp_path: Path) -> None:
    able = make_environment(tmp_path / "able", *PAGE, python=python)
    options = {"source": "fake://", "view": "web", "port": 0, "frames": 3, "threads": 1}
    order = {"artifact": str(MODEL), "options": options, "tell_results": True}
    process = subprocess.Popen([able, "-I", packed, "camera"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    said = [json.loads(line) for line in process.stdout]
    process.stdin.close()
    assert process.wait(30) == 0, said
    assert "summary" in said[-1], said
    assert sum("result" in line for line in said) == 3
    assert any("http://127.0.0.1:" in line.get("say", "") for line in said)

"""tflite-runtime 2.14 behind LiteRT's door, in an environment of its own: it wants numpy 1 and Python 3.11 or older."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge import artifact
from edgecnn.packaged import find_model
from tests.environments import make_environment, run_script

REPO = Path(__file__).parents[2]
SCRIPT = """
import json, sys
from pathlib import Path
import numpy as np
from edgecnn.edge import artifact
from edgecnn.edge.runtimes.litert import RUNTIME

folder = Path(sys.argv[1])
with np.load(folder / "golden.npz") as golden:
    raw = artifact.load(folder).raw(golden["images"])
print(json.dumps({"version": RUNTIME.version(), "numpy": np.__version__, "raw": raw.tolist()}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with tflite-runtime and numpy 1, and nothing of edgecnn's own requirements."""
    if sys.version_info >= (3, 12):
        pytest.skip("tflite-runtime has no wheels for Python 3.12 and later")
    return make_environment(tmp_path_factory.mktemp("tflite-runtime"), "tflite-runtime==2.14.0", "numpy==1.26.4")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_runs_the_same_files(python: Path, precision: str) -> None:
    model = find_model("cifar10-ds")
    assert model is not None
    folder = model / f"tflite-{precision}"
    answer = run_script(python, SCRIPT, folder, PYTHONPATH=str(REPO))
    assert answer["version"] == "tflite-runtime 2.14.0"
    assert answer["numpy"].startswith("1.")
    raw = np.array(answer["raw"])
    with np.load(folder / "golden.npz") as golden:
        ours = artifact.load(folder).raw(golden["images"]).astype(float)
    if precision == "fp32":
        assert np.abs(raw - ours).max() <= 1e-4 * np.abs(ours).max()
    else:
        assert np.abs(raw - ours).max() <= 2
        assert (raw.argmax(axis=1) == ours.argmax(axis=1)).all()

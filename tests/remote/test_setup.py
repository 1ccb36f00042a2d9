"""Setup over a real sshd on this machine: done once, done again, interrupted, refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.provision import PYTHON
from edgecnn.edge.runtimes import find_runtime
from edgecnn.errors import DeviceError, OutOfResources, UsageError
from edgecnn.packaged import find_model
from edgecnn.remote import setup
from edgecnn.remote.probing import Probe, probe
from edgecnn.remote.profiles import Profile
from edgecnn.remote.setup import Provisioned, plan_for, provision
from edgecnn.remote.ssh import Connection
from edgecnn.remote.wheels import Pin, wanted
from tests.loopback import Loopback
from tests.remote.probes import environment
from tests.remote.small_wheels import engines, wheel

LARGEST_MB = 130
"""Without OpenCV, the issue's limit."""
PROFILE = Profile(name="shed", title="", cpu="", cores=1, architecture="", python=sys.executable)
LITERT = wanted(["litert"], (3, 11))


def put(link: Connection) -> Provisioned:
    return provision(link, PROFILE, ["litert"])


def wheels_there(device: Loopback) -> list[Path]:
    return list((device.home / ".edgecnn/wheels").glob("*"))


def test_once_and_again(link: Connection, empty_device: Loopback, index: Path) -> None:
    engines(index)
    first = put(link)
    assert [entry.package for entry in first.installed] == ["ai-edge-litert", "numpy"]
    assert first.uploaded_bytes > 0
    assert wheels_there(empty_device) == []
    site = next((empty_device.home / ".edgecnn/venv").glob("lib/python3*/site-packages"))
    assert not (site / "ai_edge_litert/libLiteRtWebGpuAccelerator.so").exists()
    files = [path for path in (empty_device.home / ".edgecnn/venv").rglob("*") if path.is_symlink() or path.is_file()]
    state = empty_device.home / ".edgecnn/venv/edgecnn.json"
    real = sum(path.lstat().st_size for path in files) - state.stat().st_size
    assert first.environment_bytes == pytest.approx(real, abs=500)
    done = link.run([PYTHON, "-c", "import numpy, json; print(json.dumps(numpy.__version__))"])
    assert json.loads(done.out) == dict(first.packages)["numpy"]

    shutil.rmtree(index)  # nothing is fetched any more
    before = {path: path.lstat().st_mtime_ns for path in empty_device.home.rglob("*")}
    again = put(link)
    assert (again.installed, again.uploaded_bytes) == ((), 0)
    assert (again.packages, again.environment_bytes) == (first.packages, first.environment_bytes)
    assert {path: path.lstat().st_mtime_ns for path in empty_device.home.rglob("*")} == before


@pytest.mark.slow
@pytest.mark.long
def test_an_engine_that_does_not_load_is_told_and_made_anew(
    link: Connection, empty_device: Loopback, index: Path, tmp_path: Path
) -> None:
    engines(index, loads=False)
    with pytest.raises(DeviceError, match=r"shed: ai_edge_litert\.interpreter was .* not load there \(.*wrong proc"):
        put(link)
    found = probe(link)
    assert found.environment is not None
    assert not found.environment.whole
    assert wheels_there(empty_device)  # they don't travel again
    shutil.rmtree(tmp_path / "cache")
    engines(index)
    third = put(link)
    assert third.installed
    assert third.uploaded_bytes < sum(path.stat().st_size for path in index.iterdir()) / 2


@pytest.mark.slow
def test_one_that_is_cut_off_ends_there_and_is_picked_up(
    empty_device: Loopback, index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link goes while an engine is loaded, which takes its time; whoever comes next need not wait for that."""
    engines(index)
    slow = {"ai_edge_litert/__init__.py": "", "ai_edge_litert/interpreter.py": "import time\ntime.sleep(60)\n"}
    wheel(index, "ai-edge-litert", "2.3.0", slow)
    with Connection(empty_device.address) as cut, ThreadPoolExecutor() as pool:
        running = pool.submit(put, cut)
        site = "lib/python3*/site-packages/ai_edge_litert/interpreter.py"
        while not list((empty_device.home / ".edgecnn/venv").glob(site)):
            assert not running.done(), running.result()
            time.sleep(0.05)
        time.sleep(1.5)  # pip ends, the engine is loaded
        assert cut._master is not None
        cut._master.kill()
        with pytest.raises(DeviceError):
            running.result(timeout=30)
    shutil.rmtree(tmp_path / "cache")
    engines(index)
    with Connection(empty_device.address) as again:
        start = time.monotonic()
        assert len(put(again).installed) == 2
        assert time.monotonic() - start < 50


@pytest.mark.slow
def test_one_that_was_killed_is_picked_up(link: Connection, empty_device: Loopback, index: Path) -> None:
    """Whatever it was doing: what an environment does not call whole is not trusted."""
    engines(index)
    put(link)
    (empty_device.home / ".edgecnn/venv/edgecnn.json").write_text('{"python": "3.11')
    site = next((empty_device.home / ".edgecnn/venv").glob("lib/python3*/site-packages"))
    next(site.glob("numpy-*.dist-info/RECORD")).unlink()  # with this, pip would not go on
    assert len(put(link).installed) == 2


def test_two_at_once(link: Connection, empty_device: Loopback, index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines(index)
    monkeypatch.setattr(setup, "PATIENCE_S", 0.1)
    lock = empty_device.home / ".edgecnn/setup.lock"
    lock.parent.mkdir()
    holds = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", holds, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(DeviceError, match="another setup is at work"):
            put(link)
        other.communicate(b"\n")


def test_what_can_not_be_used_is_refused_before_anything_travels(
    link: Connection, empty_device: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_(**changes: object) -> None:
        def changed(*arguments: object) -> Probe:
            return dataclasses.replace(probe(link), **changes)  # type: ignore[arg-type]

        monkeypatch.setattr(setup, "probe", changed)

    with_(architecture="armv7l")
    with pytest.raises(DeviceError, match=r"shed is not supported: its system is a 32-bit one"):
        put(link)
    with_(python="3.10.1", glibc="2.31")
    with pytest.raises(DeviceError, match=r"can't have openvino: openvino wants glibc 2\.35"):
        provision(link, PROFILE, ["openvino"])
    with pytest.raises(UsageError, match="litrt"):
        provision(link, PROFILE, ["litrt"])
    assert list(empty_device.home.iterdir()) == []


def test_a_disk_that_is_too_small(
    link: Connection, empty_device: Loopback, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines(index)
    found = dataclasses.replace(probe(link), disk_free_mib=20)
    monkeypatch.setattr(setup, "probe", lambda *arguments: found)
    with pytest.raises(OutOfResources, match=r"has 20 MiB free, but \d+ MiB are needed"):
        put(link)
    assert list(empty_device.home.iterdir()) == []


def test_plans() -> None:
    """What there is to do, without a device."""
    made = {entry.package: entry.version for entry in LITERT}
    assert plan_for(None, "3.11.2", LITERT) == (plan := plan_for(None, "3.11.9", LITERT))
    assert (plan.missing, plan.fresh) == (LITERT, True)
    assert plan_for(environment(made), "3.11.9", LITERT).missing == ()
    assert plan_for(environment(made, python="3.9.2"), "3.11.2", LITERT).fresh
    assert plan_for(environment(made, whole=False), "3.11.2", LITERT).fresh
    older = plan_for(environment({**made, "numpy": "2.1.0"}), "3.11.2", LITERT)
    assert ([entry.package for entry in older.missing], older.fresh) == (["numpy"], False)
    more = plan_for(environment({**made, "onnxruntime": "1.31.1"}), "3.11.2", LITERT)
    assert (more.missing, more.packages) == ((), tuple(sorted([*LITERT, Pin("onnxruntime", "1.31.1")])))
    given = wanted(["litert"], (3, 11), given=["numpy"])
    both = {**made, "onnxruntime": "1.23.2"}
    came = plan_for(environment(both), "3.11.2", given, ["numpy"])  # picamera2 came: the system's numpy must be seen
    assert ([entry.package for entry in came.missing], came.fresh) == (["ai-edge-litert", "onnxruntime"], True)
    grown = plan_for(environment(both, python="3.10.12"), "3.11.2", LITERT)  # the system was upgraded
    assert Pin("onnxruntime", "1.31.1") in grown.missing


ANSWER = """
import json, sys, zlib
import numpy as np
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from edgecnn.edge.runtimes import find_runtime
session = find_runtime(sys.argv[2]).open(Path(sys.argv[3]), 1)
images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
print(json.dumps(session.run(images).tolist()))
"""


@pytest.mark.slow
@pytest.mark.long
def test_real_engines_answer_there_as_here(link: Connection, empty_device: Loopback) -> None:
    """All three of them with nothing but numpy beside them; test_wheels.py has the sizes on a Pi."""
    first = provision(link, PROFILE, ["litert"])
    assert first.environment_bytes < LARGEST_MB * 1e6
    assert [entry.package for entry in first.installed] == ["ai-edge-litert", "numpy"]
    others = provision(link, PROFILE, ["onnxruntime", "openvino"])
    assert [entry.package for entry in others.installed] == ["onnxruntime", "openvino"]
    start = time.monotonic()
    assert provision(link, PROFILE, ["litert", "openvino"]).installed == ()
    assert time.monotonic() - start < 30

    folder = find_model("cifar10-mobile")
    assert folder is not None
    models = {"litert": "tflite-int8/model.tflite", "onnxruntime": "onnx-int8/model.onnx"}
    models["openvino"] = "openvino-int8/model.xml"
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8)
    for runtime, name in models.items():
        done = link.run(["env", "-i", PYTHON, "-c", ANSWER, str(Path.cwd()), runtime, str(folder / name)], seconds=120)
        assert done.code == 0, done.err
        assert json.loads(done.out) == find_runtime(runtime).open(folder / name, 1).run(images).tolist()

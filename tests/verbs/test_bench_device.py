"""bench on a device: this machine through a real sshd, with an environment of its own over there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.errors import DeviceError, LinkLost, UsageError
from edgecnn.measuring.measurement import BenchRecord
from edgecnn.records import read_json
from edgecnn.verbs.bench import bench
from tests.loopback import Loopback, loopback, set_up
from tests.verbs.small_bench import null_model


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def quick(device: str = "loop") -> BenchRecord:
    return bench([null_model(Path("models"))], device=device, seconds=0.1, input_size=(8, 8))


def test_a_record_of_what_ran_over_there(device: Loopback) -> None:
    set_up(device, Path("devices"))
    found = quick()
    (path,) = Path("bench").glob("loop-*.json")
    assert read_json(BenchRecord, path) == found
    assert found.device == "loop"
    (row,) = found.rows
    assert (row.runtime, row.model) == ("null", "model.null")
    assert 0 < row.min_us <= row.p50_us
    (there,) = (device.home / ".edgecnn/files").rglob("model.null")
    assert there.read_bytes() == Path("models/model.null").read_bytes()


def test_the_code_that_runs_over_there_is_the_application(device: Loopback) -> None:
    set_up(device, Path("devices"))
    quick()
    (application,) = (device.home / ".edgecnn/app").rglob("edgecnn.pyz")
    application.write_bytes(b"damaged")
    assert quick().rows, "it was put there again"
    assert application.stat().st_size > 10_000


def test_a_device_that_was_not_set_up(device: Loopback) -> None:
    set_up(device, Path("devices"))
    shutil.rmtree(device.home / ".edgecnn")
    with pytest.raises(DeviceError, match="no environment to run models in yet: edgecnn devices setup loop"):
        quick()


def test_a_device_that_nobody_said_the_place_of() -> None:
    with pytest.raises(UsageError, match="edgecnn devices add raspberry-pi-4 --host"):
        bench("cifar10-ds", device="raspberry-pi-4")


def test_a_device_that_is_off(tmp_path: Path) -> None:
    with loopback(tmp_path / "off") as off:
        set_up(off, Path("devices"))
    with pytest.raises(LinkLost, match="nothing answers"):
        quick()
    assert not Path("bench").exists()

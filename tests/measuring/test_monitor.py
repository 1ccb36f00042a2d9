"""A process that reads sensors, and ones that die, hang and talk nonsense: one sentence each."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from typing import IO

import pytest

from edgecnn.edge.measure.readings import Sensor
from edgecnn.errors import DeviceError
from edgecnn.measuring import monitor
from edgecnn.measuring.monitor import Monitor
from edgecnn.measuring.place import Here


def test_readings_of_a_profiles_sensors() -> None:
    with Monitor({"clock_mhz": Sensor(("echo", "frequency(48)=1500000000"), r"=(\d+)", 1e-6)}) as watch:
        for _ in range(2):
            found = watch.read()
            assert found.clock_mhz == pytest.approx(1500)
            assert found.power_w is None
            assert "power_w" in found.missing


class Speaking(Here):
    """A place where something else starts."""

    def __init__(self, code: str) -> None:
        self._code = code

    def start(self, words: Sequence[str], complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        script = f"import sys, time\nassert sys.argv[1:] == ['watch']\n{self._code}"
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", script, *words]
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=complaints, bufsize=0)


HEARD = "sys.stdin.readline(); print('{\"answer\": null}', flush=True); sys.stdin.readline();"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (f"{HEARD} sys.exit(3)", r"ended while it was needed \(exit code 3\)"),
        (f"{HEARD} print('Welcome to Raspbian', flush=True); time.sleep(60)", "answered 'Welcome to Raspbian'"),
        (f"{HEARD} print('7', flush=True); time.sleep(60)", "answered .*, which is no answer"),
        (f"{HEARD} time.sleep(60)", "gives no answer"),
    ],
)
def test_a_device_that_says_nothing_more_is_an_error(code: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "ANSWERING_S", 2.0)
    began = time.monotonic()
    with Monitor({}, Speaking(code)) as watch, pytest.raises(DeviceError, match=said):
        watch.read()
    assert time.monotonic() - began < 20


def test_one_that_does_not_even_start_leaves_no_process() -> None:
    with pytest.raises(DeviceError, match="ended while it was needed"):
        Monitor({}, Speaking("sys.exit(1)"))

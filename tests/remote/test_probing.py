"""Probes over a real sshd on this machine, and answers that are none."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from edgecnn.edge.machine import instruction_sets
from edgecnn.errors import DeviceError
from edgecnn.remote.probing import probe, probe_here
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback


def test_a_device_says_what_it_is_and_keeps_nothing(link: Connection, empty_device: Loopback) -> None:
    found = probe(link)
    assert found.kernel == platform.release()
    assert found.instruction_sets == instruction_sets() == probe_here().instruction_sets
    assert found.environment is None
    assert list(empty_device.home.iterdir()) == []


def test_no_python(link: Connection) -> None:
    with pytest.raises(DeviceError, match="there is no python9 over there; install it"):
        probe(link, "python9")


def script(folder: Path, text: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo hello", "can't be read"),
        ("exit 0", "can't be read"),
        ("echo '{}'", "can't be read"),
        ("echo '[1]'", "can't be read"),
        ("""echo '{"flags": 3}'""", "can't be read"),
        ("echo broken >&2; exit 3", r"can't say what the device is \(broken\)"),
    ],
)
def test_an_answer_that_is_none(link: Connection, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DeviceError, match=said):
        probe(link, script(tmp_path, text))


def test_a_greeting_does_no_harm(link: Connection, tmp_path: Path) -> None:
    assert probe(link, script(tmp_path, 'echo Welcome; exec python3 "$@"')).cores >= 1

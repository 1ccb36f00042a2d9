"""Nothing stays behind a connection: no process, no folder, no descriptor, however its block ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.errors import DeviceError
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback
from tests.remote.waiting import eventually

REPO = Path(__file__).parents[2]


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """With a folder of its own for temporary files."""
    with loopback(tmp_path / "device") as found:
        (tmp_path / "tmp").mkdir()
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", None)
        yield found


def clients(device: Loopback) -> list[int]:
    """Processes of ssh's that have this device's configuration."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"ssh") and os.fsencode(device.folder / "ssh_config") in words:
            found.append(int(process.name))
    return found


def children() -> list[str]:
    return [child for path in Path("/proc/self/task").glob("*/children") for child in path.read_text().split()]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_all_ways(device: Loopback) -> None:
    """A connection whose block ends, one whose block raises, one that is not made, one that is not used."""
    with Connection(device.address) as connection:
        connection.run(["true"])
        with connection.forward(1), pytest.raises(DeviceError, match="did not end in 0 s"):
            connection.run(["sleep", "100"], seconds=0.2)
    with pytest.raises(ZeroDivisionError), Connection(device.address) as connection:
        1 / 0  # noqa: B018 - it raises
    connection.close()
    known = (device.folder / "known_hosts").read_bytes()
    device.forget()
    with pytest.raises(DeviceError), Connection(device.address):
        pass
    (device.folder / "known_hosts").write_bytes(known)
    Connection(device.address)


def leave_nothing(device: Loopback, tmp_path: Path, cycles: int) -> None:
    in_all_ways(device)
    before, also_before = descriptors(), children()
    for _ in range(cycles):
        in_all_ways(device)
    assert eventually(lambda: not clients(device))
    assert descriptors() == before
    assert children() == also_before
    assert os.listdir(tmp_path / "tmp") == []


def test_a_few_connections_leave_nothing(device: Loopback, tmp_path: Path) -> None:
    leave_nothing(device, tmp_path, 1)


@pytest.mark.slow
@pytest.mark.long
def test_fifty_connections_leave_nothing(device: Loopback, tmp_path: Path) -> None:
    leave_nothing(device, tmp_path, 17)


AT = {
    "idle": "time.sleep(100)",
    "running": "connection.run(['sleep', '100'], seconds=100)",
    "reading": "process = connection.start(['sleep', '100']); process.stdout.read()",
    "forwarding": "connection.forward(1).__enter__(); time.sleep(100)",
    "uploading": "upload(connection, [Parcel('x', b'1' * 10**9)])",
}


IMPORTS = (
    "import socket, sys, time; from pathlib import Path; from edgecnn.remote.address import Address\n"
    "from edgecnn.remote.ssh import Connection; from edgecnn.remote.files import Parcel, upload\n"
)


@pytest.mark.slow
@pytest.mark.parametrize("at", AT)
def test_ctrl_c_leaves_nothing(device: Loopback, tmp_path: Path, at: str) -> None:
    interrupted(
        f"{IMPORTS}with Connection(Address('loopback', config=Path(sys.argv[1]))) as connection:\n"
        f"    print(1, flush=True); {AT[at]}",
        device,
        tmp_path,
    )


@pytest.mark.slow
def test_ctrl_c_while_it_connects_leaves_nothing(device: Loopback, tmp_path: Path) -> None:
    interrupted(
        f"{IMPORTS}with socket.create_server(('127.0.0.1', 0)) as silent:\n"
        "    print(1, flush=True)\n"
        "    with Connection(Address('loopback', silent.getsockname()[1], Path(sys.argv[1]))): pass",
        device,
        tmp_path,
    )


def interrupted(script: str, device: Loopback, tmp_path: Path) -> None:
    """Run it until it prints, then press Ctrl-C."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(device.address.config)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert said.strip().endswith(b"KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT
    assert eventually(lambda: not clients(device))
    assert os.listdir(tmp_path / "tmp") == []

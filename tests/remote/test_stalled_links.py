"""What a caller sees of a link that stalls or is cut at work, and what becomes of the programs over there."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgecnn.edge.measure.process import Open
from edgecnn.errors import DeviceError
from edgecnn.records import to_json
from edgecnn.remote.address import Address
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback
from tests.remote.proxy import Fault, proxy
from tests.remote.waiting import eventually

LIMIT_S = 30.0
REPO = Path(__file__).parents[2]
BUSY = (
    "from edgecnn.edge import leash; leash.GRACE_S = 1.0; leash.hold(0, 1); import os, time; print(os.getpid())\n"
    + ("import sys; sys.stdout.flush()\nwhile True: time.sleep(0)")
)
"""A program over there that computes for ever."""
MEASURE = "from edgecnn.edge.measure.process import serve; serve()  # on a leash"
NEAREST_SSHD = """
pid=$PPID
while ! grep -q ^sshd /proc/$pid/comm; do pid=$(cut -d' ' -f4 /proc/$pid/stat); done
echo $pid
"""


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


def now() -> Fault:
    return Fault("stall", "there", 0)


def who_reads_sees_the_end(device: Loopback) -> float:
    """Of a program that was started; seconds."""
    with proxy(device.port) as link, Connection(device.through(link.port)) as connection:
        process = connection.start(["cat"])
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"hello")
            assert os.read(process.stdout.fileno(), 5) == b"hello"
            link.arm(now())
            began = time.monotonic()
            assert process.stdout.read() == b""
            code = process.wait(LIMIT_S)
            assert code == 255
            with pytest.raises(DeviceError, match="cut or stalls"):
                connection.check(code)
            return time.monotonic() - began


def a_program_that_is_being_started(device: Loopback) -> float:
    """Its session can't be opened any more; seconds."""
    with proxy(device.port) as link, Connection(device.through(link.port)) as connection:
        link.arm(now())
        began = time.monotonic()
        with pytest.raises(DeviceError, match="cut or stalls"):
            connection.run(["true"], seconds=200)
        return time.monotonic() - began


def a_program_with_less_patience_than_the_link(device: Loopback) -> float:
    """Its caller gives up before the link does; seconds."""
    with proxy(device.port) as link, Connection(device.through(link.port)) as connection:
        link.arm(now())
        began = time.monotonic()
        with pytest.raises(DeviceError, match="did not end in 2 s"):
            connection.run(["true"], seconds=2)
        return time.monotonic() - began


def a_port_that_is_forwarded(device: Loopback) -> float:
    """Whoever talks through it sees the end of it; seconds."""
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        proxy(device.port) as link,
        Connection(device.through(link.port)) as connection,
        connection.forward(server.getsockname()[1]) as port,
        socket.create_connection(("127.0.0.1", port)) as caller,
    ):
        caller.sendall(b"hello")
        answered, _ = server.accept()
        with answered:
            assert answered.recv(5) == b"hello"
            link.arm(now())
            caller.sendall(b"are you there?")
            began = time.monotonic()
            caller.settimeout(LIMIT_S)
            with contextlib.suppress(ConnectionResetError):
                assert caller.recv(1) == b""
            return time.monotonic() - began


def the_end_of_the_block(device: Loopback) -> float:
    """Seconds that closing takes."""
    with proxy(device.port) as link:
        with Connection(device.through(link.port)) as connection:
            process = connection.start(["cat"])
            link.arm(now())
            process.kill()
            with process:
                began = time.monotonic()
        return time.monotonic() - began


def an_sshd_that_stands_still(device: Loopback) -> float:
    """Its process for this link is stopped: TCP is alive, nobody answers; seconds."""
    with Connection(device.address) as connection:
        parent = int(connection.run(["sh", "-c", NEAREST_SSHD]).out)
        os.kill(parent, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(DeviceError, match="cut or stalls"):
                connection.run(["true"], seconds=200)
            return time.monotonic() - began
        finally:
            os.kill(parent, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.long
def test_whatever_was_at_work_ends_in_time(device: Loopback) -> None:
    cases = [
        who_reads_sees_the_end,
        a_program_that_is_being_started,
        a_program_with_less_patience_than_the_link,
        a_port_that_is_forwarded,
        the_end_of_the_block,
        an_sshd_that_stands_still,
    ]
    with ThreadPoolExecutor(len(cases)) as pool:
        taken = list(pool.map(lambda case: case(device), cases))
    seconds = {case.__name__: round(took, 1) for case, took in zip(cases, taken, strict=True)}
    print(seconds)
    assert max(taken) < LIMIT_S, seconds


def started(connection: Connection) -> tuple[subprocess.Popen[bytes], int]:
    """A busy program over there, and its number."""
    process = connection.start([sys.executable, "-c", BUSY], environment={"PYTHONPATH": str(REPO)})
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def lives(pid: int) -> bool:
    try:
        return b"leash" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize("kind", ["reset", "end"])
def test_a_busy_program_over_there_ends_with_a_link_that_is_cut(device: Loopback, kind: str) -> None:
    with proxy(device.port) as link, Connection(device.through(link.port)) as connection:
        process, pid = started(connection)
        with process:
            link.arm(Fault(kind, "there", 0))  # type: ignore[arg-type]
            assert process.stdin is not None
            process.stdin.write(b"anything")
            assert eventually(lambda: not lives(pid))


def test_a_busy_program_over_there_ends_when_its_session_is_killed(device: Loopback) -> None:
    with Connection(device.address) as connection:
        process, pid = started(connection)
        with process:
            process.kill()
        assert eventually(lambda: not lives(pid))


def test_a_busy_program_over_there_ends_with_the_block(device: Loopback) -> None:
    with Connection(device.address) as connection:
        process, pid = started(connection)
    with process:
        assert eventually(lambda: not lives(pid))


def test_the_measuring_process_ends_in_the_middle_of_its_work(device: Loopback) -> None:
    model = next((REPO / "edgecnn/packaged").rglob("*int8*/*.tflite"))
    wanted = Open(str(model), threads=1, input_size=None, warmup_s=3600.0, warmup_least=1)
    python = [sys.executable, "-c", "import os; print(os.getpid(), flush=True)\n" + MEASURE]
    with Connection(device.address) as connection:
        process = connection.start(python, environment={"PYTHONPATH": str(REPO)})
        assert process.stdin is not None
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.stdin.write(json.dumps({"do": "load_engine", "runtime": "litert"}).encode() + b"\n")
        assert b"answer" in process.stdout.readline()
        process.stdin.write(json.dumps({"do": "open", **to_json(wanted)}).encode() + b"\n")
        time.sleep(1)
        assert lives(pid)
        with process:
            process.kill()
        assert eventually(lambda: not lives(pid))


def test_without_the_leash_it_would_go_on(device: Loopback) -> None:
    """A planted fault: that sshd ends nothing by itself."""
    code = "leash = 0; import os, sys, time; print(os.getpid()); sys.stdout.flush()\nwhile True: time.sleep(0.1)"
    with Connection(device.address) as connection:
        process = connection.start([sys.executable, "-c", code])
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        with process:
            process.kill()
    try:
        time.sleep(1.5)
        assert lives(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_link_and_busy_program_end_with_this_process(device: Loopback) -> None:
    script = (
        "import sys, os; from tests.remote.test_stalled_links import *\n"
        "with Connection(Address('loopback', config=Path(sys.argv[1]))) as connection:\n"
        "    process, pid = started(connection)\n"
        "    print(connection._master.pid, process.pid, pid, flush=True); os.kill(os.getpid(), 9)"
    )
    assert isinstance(device.address, Address)
    done = subprocess.run(
        [sys.executable, "-c", script, str(device.address.config)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    )
    master, session, pid = map(int, done.stdout.split())
    assert eventually(lambda: not lives(pid)), "the program over there outlived whoever asked it to work"
    assert eventually(lambda: not is_ssh(master) and not is_ssh(session)), "the link outlived its process"


def is_ssh(pid: int) -> bool:
    try:
        return b"ssh" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False

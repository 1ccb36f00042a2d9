"""A busy process ends with whoever asked it to work: pipes and sockets, one end or both."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edgecnn.edge import leash

BUSY = "from edgecnn.edge import leash; leash.GRACE_S = 0.3; leash.hold(0, 1); import time\nwhile True: time.sleep(0)"
"""It computes for ever."""
PATIENCE_S = 20.0


@contextmanager
def process(code: str, stdin: int, stdout: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", code], stdin=stdin, stdout=stdout) as found:
        try:
            yield found
        finally:
            found.kill()


def test_a_busy_process_ends_when_its_stdin_does() -> None:
    with process(BUSY, subprocess.PIPE, subprocess.PIPE) as busy:
        assert busy.stdin is not None
        busy.stdin.close()
        assert busy.wait(PATIENCE_S) == leash.LOST


def test_a_busy_process_ends_when_nobody_can_hear_it() -> None:
    with process(BUSY, subprocess.PIPE, subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.close()
        assert busy.wait(PATIENCE_S) == leash.LOST


@pytest.mark.parametrize("how", [socket.SHUT_WR, socket.SHUT_RDWR])
def test_a_socket_like_sshds_is_a_leash_too(how: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, process(BUSY, theirs.fileno(), theirs.fileno()) as busy:
        ours.shutdown(how)
        assert busy.wait(PATIENCE_S) == leash.LOST


def test_a_file_and_a_terminals_like_hold_nothing() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    with process(BUSY, null, null) as busy:
        time.sleep(1.0)
        assert busy.poll() is None
    os.close(null)


def test_what_was_asked_before_the_end_is_answered_and_the_end_is_a_usual_one() -> None:
    code = (
        "from edgecnn.edge import leash; leash.hold(0, 1); import sys, time\n"
        "for line in sys.stdin: time.sleep(0.5); print(line, end='', flush=True)"
    )
    with process(code, subprocess.PIPE, subprocess.PIPE) as patient:
        said, _ = patient.communicate(b"1\n2\n3\n", timeout=PATIENCE_S)
        assert (said, patient.returncode) == (b"1\n2\n3\n", 0)


def test_the_measuring_process_ends_as_before() -> None:
    from edgecnn.edge.child import command, environment

    done = subprocess.run(command("bench"), input=b"", capture_output=True, env=environment(), timeout=60)
    assert done.returncode == 0

"""A device's side of an upload, on its own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgecnn.edge import receive


def start(home: Path, content: bytes, code: str | None = None) -> subprocess.Popen[bytes]:
    """A receiver that waits for this content, under the name `x`."""
    whole = Path(receive.__file__).read_text()
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", code or whole],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": str(home)},
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    order = [{"path": "x", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}]
    process.stdin.write(json.dumps(order).encode() + b"\n")
    assert json.loads(process.stdout.readline()) == [0]
    return process


def test_a_minute_of_silence_ends_it_and_leaves_nothing(tmp_path: Path) -> None:
    whole = Path(receive.__file__).read_text()
    impatient = whole.replace("PATIENCE_S = 60", "PATIENCE_S = 1")
    assert impatient != whole
    with start(tmp_path, b"12", impatient) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"1")
        assert json.loads(process.stdout.readline()) == {"error": "nothing came for 1 s", "full": False}
        assert process.wait(20) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sent", "reason"), [(b"1", "the link ended"), (b"13", "it arrived damaged")])
def test_what_is_not_whole_is_not_there(tmp_path: Path, sent: bytes, reason: str) -> None:
    with start(tmp_path, b"12") as process:
        said, _ = process.communicate(sent, 20)
    assert reason in json.loads(said)["error"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_living_writer_is_respected(tmp_path: Path) -> None:
    with start(tmp_path, b"12") as one:
        assert one.stdin is not None
        one.stdin.write(b"1")
        with start(tmp_path, b"12") as other:
            other.communicate(b"12", 20)
        assert len(list(tmp_path.iterdir())) == 2
        one.communicate(b"2", 20)
        assert one.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x"]

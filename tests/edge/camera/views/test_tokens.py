"""The token's file: made once, private, kept."""

from __future__ import annotations

import base64
import os
import stat
from pathlib import Path

import pytest

from edgecnn.edge.camera.views.tokens import default_path, keep_token
from edgecnn.errors import UnusableFile, UsageError


def test_a_token_is_made_once_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "state" / "edgecnn" / "token"
    before = os.umask(0)
    try:
        token = keep_token(file)
    finally:
        os.umask(before)
    assert len(base64.urlsafe_b64decode(token + "==")) == 16
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert keep_token(file) == token
    assert os.listdir(file.parent) == ["token"], "nothing else is left"
    assert keep_token(tmp_path / "another") != token


def test_the_first_of_two_cameras_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    link = os.link

    def later(made: str, path: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        first.append(keep_token(path))
        link(made, path)

    first: list[str] = []
    monkeypatch.setattr(os, "link", later)
    assert [keep_token(file)] == first


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_token_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    keep_token(file)
    file.chmod(mode)
    with pytest.raises(UsageError, match=r"token: others can read the token in it; remove it"):
        keep_token(file)


@pytest.mark.parametrize("content", [b"", b"short\n", b"a" * 21, b"a b" * 20, b"\xff" * 30, b"x" * 30 + b"\nsecond"])
def test_a_damaged_file_is_no_token(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(UnusableFile, match=r"token: .*remove it, a new one is made"):
        keep_token(file)


def test_a_place_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises((UsageError, UnusableFile), match="file/token"):
        keep_token(tmp_path / "file" / "token")


@pytest.mark.parametrize(
    ("state", "expected"), [("/var/s", "/var/s"), ("", "HOME/.local/state"), ("a/b", "HOME/.local/state")]
)
def test_where_it_lies(state: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The XDG specification: a path that is not absolute is passed over."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", state)
    assert str(default_path()) == expected.replace("HOME", str(tmp_path)) + "/edgecnn/camera-token"

"""The token that opens the web page from other machines: made once, kept in a file that only its owner reads."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from pathlib import Path

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.storage import disk_errors

BITS = 128
TOKEN = re.compile(r"[A-Za-z0-9_-]{22,}")
"""At least BITS bits in the letters of base64url: no letter needs quoting in an address or a cookie."""


def default_path() -> Path:
    """Where it lies if nobody says otherwise, by the XDG Base Directory Specification."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return folder / "edgecnn" / "camera-token"


def keep_token(path: Path) -> str:
    """The token in `path`; a new one is written where there is no such file.

    Raises UsageError where others can read the file, or it can't be written; UnusableFile where it holds no token.
    """
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    _write_new(path, secrets.token_urlsafe(BITS // 8))
    return _read(path)  # another camera may have been first


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(1000).strip()
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise UnusableFile(f"{path}: the token can't be read ({error}); remove it, a new one is made") from error
    if mode & 0o077:
        raise UsageError(f"{path}: others can read the token in it; remove it, a new one is made")
    if not TOKEN.fullmatch(text):
        raise UnusableFile(f"{path}: holds no token of {BITS} bits; remove it, a new one is made")
    return text


def _write_new(path: Path, token: str) -> None:
    """Write it whole, with mode 0600 from the first byte, unless the file is there by now."""
    import tempfile

    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")  # made with mode 0600
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{token}\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(name, path)
        finally:
            Path(name).unlink(missing_ok=True)

"""A device's side of an upload: `python3 -c <this file>`, the standard library alone.

First a line of JSON on stdin: [{"path", "size", "sha256"}, ...], paths from the home folder. The answer is a line of
JSON: the places in that list of what is not here yet, or not as its hash says. Then the content of those, one behind
the other, on stdin; a line of JSON for each that is in place, {"done": PLACE}. What is wrong is {"error": SENTENCE}.

A file is written under a temporary name, hashed, synced and renamed: under its own name there is a whole one or none.
The temporary file is locked while its writer lives; the next upload into the folder removes those whose writer is gone.
A writer that hears nothing for a minute goes by itself: sshd may not hear of a link that stalls.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import json
import os
import signal
import sys
import tempfile
from contextlib import suppress
from typing import IO, Any

PREFIX, PART = ".edgecnn-", ".part"
PATIENCE_S = 60
"""Without a byte; the other side gives up after 25 s."""
BLOCK = 1 << 16


def main() -> None:
    """Take what is missing."""
    signal.signal(signal.SIGALRM, give_up)
    with open(0, "rb", closefd=False) as stdin:
        take(stdin)


def take(stdin: io.BufferedReader) -> None:
    """The order, and what it says."""
    signal.alarm(PATIENCE_S)
    wanted = json.loads(stdin.readline().decode())
    signal.alarm(0)
    os.chdir(os.path.expanduser("~"))
    for folder in sorted({folder_of(entry) for entry in wanted}):
        os.makedirs(folder, exist_ok=True)
        sweep(folder)
    missing = [place for place, entry in enumerate(wanted) if not is_there(entry)]
    say(missing)
    for place in missing:
        receive(stdin, wanted[place])
        say({"done": place})


def folder_of(entry: dict[str, Any]) -> str:
    """Where a file goes."""
    return os.path.dirname(entry["path"]) or "."


def is_there(entry: dict[str, Any]) -> bool:
    """Whether a file of this size and content is in place."""
    try:
        if os.stat(entry["path"]).st_size != entry["size"]:
            return False
        digest = hashlib.sha256()
        with open(entry["path"], "rb") as file:
            for block in iter(lambda: file.read(BLOCK), b""):
                digest.update(block)
        return digest.hexdigest() == str(entry["sha256"])
    except OSError:
        return False


def receive(stdin: io.BufferedReader, entry: dict[str, Any]) -> None:
    """One file from stdin."""
    folder = folder_of(entry)
    file, name = temporary(folder)
    try:
        with file:
            found = copy(stdin, file, entry["size"])
            file.flush()
            os.fsync(file.fileno())
            if found != entry["sha256"]:
                raise ValueError("it arrived damaged")
            os.chmod(name, 0o644)
            os.replace(name, entry["path"])
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise
    sync(folder)


def temporary(folder: str) -> tuple[IO[bytes], str]:
    """A new file, locked, and its name."""
    while True:
        handle, name = tempfile.mkstemp(dir=folder, prefix=PREFIX, suffix=PART)
        file = os.fdopen(handle, "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return file, name
        file.close()  # another upload's sweep came between its making and its lock


def copy(stdin: io.BufferedReader, file: IO[bytes], size: int) -> str:
    """So many bytes from stdin into a file; their sha256. EOFError where they end before."""
    digest = hashlib.sha256()
    while size:
        signal.alarm(PATIENCE_S)
        block = stdin.read1(min(BLOCK, size))  # what is there: a slow link counts as alive
        signal.alarm(0)
        if not block:
            raise EOFError("the link ended before it was whole")
        file.write(block)
        digest.update(block)
        size -= len(block)
    return digest.hexdigest()


def give_up(number: int, frame: object) -> None:
    """Nothing has come for too long."""
    raise EOFError(f"nothing came for {PATIENCE_S} s")


def sweep(folder: str) -> None:
    """Remove what a writer that is gone has left."""
    for name in os.listdir(folder):
        if name.startswith(PREFIX) and name.endswith(PART):
            path = os.path.join(folder, name)
            with suppress(OSError), open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living writer holds it
                os.unlink(path)


def sync(folder: str) -> None:
    """Let the names in a folder outlive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def say(message: object) -> None:
    """A line of JSON."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def is_full(error: Exception) -> bool:
    """Whether the disk has no room left."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def reason(error: Exception) -> str:
    """What went wrong, in words."""
    return "its disk is full" if is_full(error) else str(error)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError, EOFError) as error:
        say({"error": reason(error), "full": is_full(error)})
        sys.exit(1)

"""A device's side of setup: `python3 -c <this file>`, the standard library alone. Makes ~/.edgecnn/venv and fills it.

The request is a line of JSON on stdin: {"patience_s": for another setup to end, "fresh": make it anew, "pip": a wheel
of pip, "wheels": {PACKAGE: PATH}, "packages": {PACKAGE: VERSION} when it is done, "unused": patterns of what is not
kept, "modules": what must load}; paths from the home folder. The answer is a line of JSON: {"bytes": SIZE}, or
{"error": SENTENCE, "full": bool}. Who asked keeps stdin open: its end before the answer means that nobody is there any
more, and ends this too.

The system's packages can be seen in it (picamera2 comes no other way); its own come before. pip runs out of its wheel:
neither pip nor ensurepip has to be there, nor a network. While it is at work the environment says that it is not
whole; one that was left so is made anew.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Mapping
from typing import IO, Any

FOLDER = ".edgecnn"
ENVIRONMENT = os.path.join(FOLDER, "venv")
STATE = os.path.join(ENVIRONMENT, "edgecnn.json")
WHEELS = os.path.join(FOLDER, "wheels")
PYTHON = os.path.join(ENVIRONMENT, "bin", "python3")
LOADING_S = 120


class Leaving:
    """Ends this process and the one that works for it as soon as stdin ends."""

    def __init__(self) -> None:
        self._working: subprocess.Popen[str] | None = None
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock Python wants as it ends
            pass
        if self._working is not None:
            self._working.kill()
            self._working.wait()
        os._exit(1)

    def run(self, command: list[str], seconds: float | None = None) -> tuple[int, str]:
        """A command's code and what it says on stderr; it ends with this process."""
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as self._working:
            try:
                said = self._working.communicate(timeout=seconds)[1]
            except subprocess.TimeoutExpired:
                self._working.kill()
                raise
        return self._working.returncode, said


def main() -> None:
    """Do what the request says; one at a time."""
    request = json.loads(sys.stdin.readline())
    os.chdir(os.path.expanduser("~"))
    os.makedirs(FOLDER, exist_ok=True)
    leaving = Leaving()
    with open(os.path.join(FOLDER, "setup.lock"), "w") as lock:
        await_turn(lock, request["patience_s"])
        fill(request, leaving)


def await_turn(lock: IO[str], seconds: float) -> None:
    """Hold the lock; ValueError where another one does not let go of it. One whose asker is gone does so soon."""
    until = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise ValueError("another setup is at work there; wait for its end") from None
            time.sleep(0.2)


def fill(request: Mapping[str, Any], leaving: Leaving) -> None:
    """Make the environment where that is asked for, install, remove what is not needed, and say so."""
    if request["fresh"]:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(ENVIRONMENT)
    tell({}, whole=False, size=0)
    if request["wheels"]:
        install(leaving, request["pip"], list(request["wheels"].values()))
    site = glob.glob(os.path.join(ENVIRONMENT, "lib", "python3*", "site-packages"))[0]
    for pattern in request["unused"]:
        for path in glob.glob(os.path.join(site, pattern)):
            remove(path)
    for module in request["modules"]:
        load(leaving, module)
    shutil.rmtree(WHEELS, ignore_errors=True)
    size = bytes_of(ENVIRONMENT)
    tell(request["packages"], whole=True, size=size)
    say({"bytes": size})


def install(leaving: Leaving, pip: str, wheels: list[str]) -> None:
    """Put wheels into the environment; pip is a wheel itself, and is run as it lies there."""
    command = [PYTHON, os.path.join(pip, "pip"), "install", "--isolated", "--no-index", "--no-deps", "--no-cache-dir"]
    command += ["--force-reinstall", "--no-compile", "--disable-pip-version-check", "--no-warn-script-location", "-q"]
    code, said = leaving.run([*command, *wheels])
    if code != 0:
        full = os.strerror(errno.ENOSPC) in said
        raise OSError(errno.ENOSPC, "") if full else ValueError(f"pip failed there ({last(said)})")


def load(leaving: Leaving, module: str) -> None:
    """See whether a module loads, in a process of its own: what is built for other processors kills it."""
    try:
        code, said = leaving.run([PYTHON, "-c", f"import {module}"], LOADING_S)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{module} was installed, but takes over {LOADING_S} s to load there") from None
    if code != 0:
        killed = f"killed by signal {-code}" if code < 0 else "without a word"
        raise ValueError(f"{module} was installed, but does not load there ({last(said) or killed})")


def tell(packages: Mapping[str, str], *, whole: bool, size: int) -> None:
    """Write what is in the environment into it, whole."""
    version = ".".join(map(str, sys.version_info[:3]))
    with open(STATE + ".part", "w") as file:
        json.dump({"python": version, "packages": packages, "whole": whole, "bytes": size}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(STATE + ".part", STATE)


def bytes_of(folder: str) -> int:
    """Of all files in a folder; links count for themselves."""
    return sum(os.lstat(os.path.join(path, name)).st_size for path, _, names in os.walk(folder) for name in names)


def remove(path: str) -> None:
    """A file, or a folder with all that is in it."""
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def last(said: str) -> str:
    """The last line that says something."""
    return (said.strip().splitlines() or [""])[-1]


def say(message: object) -> None:
    """A line of JSON."""
    print(json.dumps(message), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        say({"error": "its disk is full" if is_full else str(error), "full": is_full})
        sys.exit(1)

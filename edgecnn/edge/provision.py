"""A device's side of setup: `python3 -c <this file>`, the standard library alone. Makes ~/.edgecnn/venv and fills it.

The request is a line of JSON on stdin: {"fresh": make it anew, "pip": a wheel of pip, "wheels": {PACKAGE: PATH},
"packages": {PACKAGE: VERSION} when it is done, "unused": patterns of what is not kept, "modules": what must load};
paths from the home folder. The answer is a line of JSON: {"bytes": SIZE}, or {"error": SENTENCE, "full": bool}.

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
import venv
from collections.abc import Mapping
from typing import Any

FOLDER = ".edgecnn"
ENVIRONMENT = os.path.join(FOLDER, "venv")
STATE = os.path.join(ENVIRONMENT, "edgecnn.json")
WHEELS = os.path.join(FOLDER, "wheels")
PYTHON = os.path.join(ENVIRONMENT, "bin", "python3")
LOADING_S = 120


def main() -> None:
    """Do what the request says; one at a time."""
    request = json.loads(sys.stdin.readline())
    os.chdir(os.path.expanduser("~"))
    os.makedirs(FOLDER, exist_ok=True)
    with open(os.path.join(FOLDER, "setup.lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError("another setup is at work there; wait for its end") from None
        fill(request)


def fill(request: Mapping[str, Any]) -> None:
    """Make the environment where that is asked for, install, remove what is not needed, and say so."""
    if request["fresh"]:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(ENVIRONMENT)
    tell({}, whole=False, size=0)
    if request["wheels"]:
        install(request["pip"], list(request["wheels"].values()))
    site = glob.glob(os.path.join(ENVIRONMENT, "lib", "python3*", "site-packages"))[0]
    for pattern in request["unused"]:
        for path in glob.glob(os.path.join(site, pattern)):
            remove(path)
    for module in request["modules"]:
        load(module)
    shutil.rmtree(WHEELS, ignore_errors=True)
    size = bytes_of(ENVIRONMENT)
    tell(request["packages"], whole=True, size=size)
    say({"bytes": size})


def install(pip: str, wheels: list[str]) -> None:
    """Put wheels into the environment; pip is a wheel itself, and is run as it lies there."""
    command = [PYTHON, os.path.join(pip, "pip"), "install", "--isolated", "--no-index", "--no-deps", "--no-cache-dir"]
    command += ["--force-reinstall", "--no-compile", "--disable-pip-version-check", "--no-warn-script-location", "-q"]
    done = subprocess.run([*command, *wheels], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        full = os.strerror(errno.ENOSPC) in done.stderr
        raise OSError(errno.ENOSPC, "") if full else ValueError(f"pip failed there ({last(done.stderr)})")


def load(module: str) -> None:
    """See whether a module loads, in a process of its own: what is built for other processors kills it."""
    command = [PYTHON, "-c", f"import {module}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LOADING_S)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{module} was installed, but takes over {LOADING_S} s to load there") from None
    if done.returncode != 0:
        killed = f"killed by signal {-done.returncode}" if done.returncode < 0 else "without a word"
        raise ValueError(f"{module} was installed, but does not load there ({last(done.stderr) or killed})")


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

"""A virtual Pi for tests: a fresh one a test session, and the engines' wheels for it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tools.emulation import machine, userland
from tools.emulation.userland import CACHE, alone

REPO = Path(__file__).parents[1]
PYTHON = "3.11"
"""Bookworm's."""
GLIBC = (17, 27, 28, 34)
"""Of the manylinux platforms that bookworm can load."""
PACKAGES = ("numpy", "ai-edge-litert", "onnxruntime", "flatbuffers", "protobuf", "backports-strenum")
"""What the engines import, and no more of what they require."""
COUNTED = {"QEMU_PLUGIN": f"/{userland.PLUGIN}"}
"""The environment in which a process is counted."""


@dataclass(frozen=True)
class VirtualPi:
    """One that runs. `folder` holds its ssh_config; `root` is its disk, for tests to look at and to write to."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def home(self) -> Path:
        return self.root / "home" / userland.USER

    def sensor(self, name: str) -> Path:
        """A file of its /sys."""
        return self.root / "sys" / name

    def run(self, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command over there."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        command = shlex.join(["env", *settings, *map(str, words)])
        ssh = ["ssh", "-F", self.folder / "ssh_config", "-o", "BatchMode=yes", machine.HOST, command]
        return subprocess.run(ssh, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def ask(self, *words: object, **environment: str) -> Any:
        """What a command over there prints last, as JSON."""
        done = self.run(*words, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def put(self, source: Path, name: str) -> None:
        """Copy a file or folder into its home, past ssh."""
        (self.home / name).parent.mkdir(exist_ok=True)
        copy(source, self.home / name)
        subprocess.run(["chown", "-R", "1000:1000", self.home / name], check=True)


def copy(source: Path, target: Path) -> None:
    """A copy of a file or folder that needs no space where the file system can share it."""
    subprocess.run(["cp", "-a", "--reflink=auto", "--no-target-directory", source, target], check=True)


def need() -> None:
    """Skip a test, aloud, where there can be no virtual Pi; fail it in CI."""
    lack = userland.lacking()
    if lack is not None:
        pytest.fail(lack) if os.environ.get("CI") else pytest.skip(lack)


def fresh(folder: Path) -> Path:
    """A virtual Pi that never ran, in a new folder: a copy of one that is made once a machine."""
    need()
    template = CACHE / "virtual-pi-for-tests"
    with alone(template):
        userland.make(template)
        copy(template, folder)
    return folder


@contextmanager
def started(folder: Path, cpu: str = machine.DEFAULT_CPU) -> Iterator[VirtualPi]:
    """A fresh one in a new folder while it is needed."""
    fresh(folder)
    try:
        machine.start(folder, 0, cpu)
        yield VirtualPi(folder)
    finally:
        machine.stop(folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def virtual_pi(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPi]:
    """A cortex-a72, started once for all workers of a session; the last one to need it takes it away."""
    need()
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if os.environ.get("PYTEST_XDIST_WORKER") else shared
    folder, users = shared / "virtual-pi", shared / "virtual-pi-users"
    users.mkdir(exist_ok=True)
    mine = users / str(os.getpid())
    with alone(users):
        if not folder.exists():
            fresh(folder)
        if machine.find(folder) is None:
            machine.start(folder, 0)
        mine.touch()
    yield VirtualPi(folder)
    with alone(users):
        mine.unlink()
        if not list(users.iterdir()):
            machine.stop(folder)
            shutil.rmtree(folder)


def with_engines(pi: VirtualPi) -> Mapping[str, str]:
    """Put this checkout's edgecnn and the engines into its home; the environment in which Python finds them."""
    with alone(pi.folder / "engines"):
        if not (pi.home / "code/edgecnn").exists():
            pi.put(wheels(), "site")
            pi.put(REPO / "edgecnn", "code/edgecnn")
    return {"PYTHONPATH": "code:site"}


def wheels() -> Path:
    """A folder with the engines for arm64, of the versions that constraints.txt names; installed once a machine."""
    wanted = [Requirement(line) for line in (REPO / "constraints.txt").read_text().splitlines() if "==" in line]
    pins = sorted(
        f"{pin.name}{pin.specifier}"
        for pin in wanted
        if pin.name in PACKAGES and (pin.marker is None or pin.marker.evaluate({"python_version": PYTHON}))
    )
    assert len(pins) == len(PACKAGES), pins
    folder = CACHE / f"virtual-pi-wheels-{sha256(' '.join(pins).encode()).hexdigest()[:8]}"
    with alone(folder):
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            platforms = [word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_aarch64")]
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:"]
            command += ["--target", str(part), "--python-version", PYTHON, "--implementation", "cp", *platforms, *pins]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            part.rename(folder)
    return folder

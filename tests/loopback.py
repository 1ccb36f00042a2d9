"""A device that is this machine: a real sshd of OpenSSH's on 127.0.0.1, with keys and a home folder of its own."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecnn.remote.address import Address

ENTRY = """#!/bin/sh
cd "$EDGECNN_TEST_HOME" && HOME=$EDGECNN_TEST_HOME exec "${EDGECNN_TEST_SHELL:-/bin/sh}" -c "$SSH_ORIGINAL_COMMAND"
"""
"""Each session's start: in the device's home, and from there on what sshd would do."""
CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding yes
MaxStartups 100
SetEnv EDGECNN_TEST_HOME={home} EDGECNN_TEST_SHELL={shell}
ForceCommand {folder}/entry
Subsystem sftp internal-sftp
"""
CLIENT = """
Host loopback
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/client_key
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
"""


@dataclass
class Loopback:
    """An sshd that runs; `home` is the device's home folder, `address` how to get there."""

    folder: Path
    port: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def address(self) -> Address:
        return Address("loopback", config=self.folder / "ssh_config")

    def through(self, port: int) -> Address:
        """The same device by way of another port of this machine, a proxy's."""
        path = self.folder / f"ssh_config.{port}"
        path.write_text(CLIENT.format(port=port, user=getpass.getuser(), folder=self.folder))
        known = self.folder / "known_hosts"
        key = (self.folder / "host_key.pub").read_text()
        with known.open("a") as file:
            file.write(f"[127.0.0.1]:{port} {key}")
        return Address("loopback", config=path)

    def forget(self) -> None:
        """Let the client know no host key any more."""
        (self.folder / "known_hosts").write_text("")

    def know_another(self) -> None:
        """Let the client know a host key that is not the device's."""
        make_key(self.folder / "other_key")
        key = (self.folder / "other_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")


def make_key(path: Path) -> None:
    """A key pair."""
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextmanager
def loopback(folder: Path, shell: str = "/bin/sh") -> Iterator[Loopback]:
    """Run an sshd with everything it needs in `folder`; the test is skipped, aloud, where there is none (CI: fails).

    shell: the login shell over there.
    """
    daemon = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if daemon is None:
        message = "no sshd here (apt-get install openssh-server)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    (folder / "home").mkdir(parents=True)
    make_key(folder / "host_key")
    make_key(folder / "client_key")
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    (folder / "entry").write_text(ENTRY)
    (folder / "entry").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (folder / "sshd_config").write_text(CONFIG.format(port=port, folder=folder, home=folder / "home", shell=shell))
    (folder / "ssh_config").write_text(CLIENT.format(port=port, user=getpass.getuser(), folder=folder))
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {(folder / 'host_key.pub').read_text()}")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where root's sshd locks itself in
    log = folder / "sshd.log"
    process = subprocess.Popen([daemon, "-D", "-f", str(folder / "sshd_config"), "-E", str(log)])
    try:
        _wait(port, log)
        yield Loopback(folder, port)
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"sshd did not start: {log.read_text() if log.exists() else 'no log'}")


def set_up(device: Loopback, devices: Path, name: str = "loop", **more: object) -> None:
    """What `devices add` and `devices setup` would do: a profile in `devices`, and an environment, this process's."""
    python = device.home / ".edgecnn/venv/bin/python3"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    devices.mkdir(exist_ok=True)
    profile = {
        "name": name,
        "title": "this machine through SSH",
        "cpu": "whatever it is",
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "ssh": {"host": "loopback", "config": str(device.address.config)},
        "runtimes": ["litert", "onnxruntime", "null"],
        **more,
    }
    (devices / f"{name}.yaml").write_text(json.dumps(profile))

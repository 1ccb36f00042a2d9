"""A connection to a device through OpenSSH's client: programs are started there, over one authenticated link.

The client is the user's own, so ~/.ssh/config, agents and jump hosts work; BatchMode asks nothing, host keys are always
checked. One master process holds the link, each program is a session in it (ControlMaster, ssh_config(5)). The master
runs `cat` over there on a pipe that only this process holds: it ends with this process, however that ends.

A link that is cut or stalls is noticed within 20 s (ServerAliveInterval x ServerAliveCountMax): the master ends, and
with it all sessions.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from edgecnn.errors import DeviceError
from edgecnn.remote.address import Address, remote_command
from edgecnn.remote.trouble import unreachable

CONNECTING_S = 25.0
"""For the whole way in: the name, the connection, the keys, the login."""
USUAL_S = 25.0
"""For a short program over there."""
ENDING_S = 2.0
LONGEST_SOCKET = 80
"""Of 108 bytes that the name of a Unix socket may have, ssh takes some for a name that it makes it under."""
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "UpdateHostKeys": "no",
    "ConnectTimeout": "10",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
    "RequestTTY": "no",
    "RemoteCommand": "none",
    "PermitLocalCommand": "no",
    "ForwardX11": "no",
    "ForwardAgent": "no",
    "ControlPersist": "no",
}


@dataclass(frozen=True)
class Finished:
    """A program that has run over there."""

    code: int
    out: bytes
    err: bytes


class Connection:
    """An open link to a device; use it as a `with` block.

    Raises DeviceError, in one sentence, where the device can't be reached or its host key is unknown or has changed.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._ssh = client()
        self._folder = _short_folder()
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the connection
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Connection:
        try:
            self._connect()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the link and all that runs in it."""
        if self._master is not None:
            assert self._master.stdin is not None, "it was made with a pipe"
            with contextlib.suppress(OSError):
                self._master.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._master.wait(ENDING_S)
            self._master.kill()
            self._master.wait()
        self._complaints.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(
        self,
        words: Sequence[str],
        *,
        stdin: bytes = b"",
        seconds: float = USUAL_S,
        environment: Mapping[str, str] | None = None,
    ) -> Finished:
        """Run a program over there to its end; DeviceError where the link is lost or it takes longer than `seconds`.

        Whatever code it ends with is the caller's to judge.
        """
        with self.start(words, environment=environment, stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(stdin, seconds)
            except subprocess.TimeoutExpired as error:
                process.kill()
                process.communicate()
                raise DeviceError(
                    f"{self.address.host}: {words[0]} did not end in {seconds:.0f} s over there; is the device "
                    "hung, or very busy?"
                ) from error
        self.check(process.returncode, err)
        return Finished(process.returncode, out, err)

    def start(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a program over there; its stdin and stdout are this process's pipes, unbuffered.

        It does not end when the pipes close unless it looks for that itself.
        """
        return subprocess.Popen(
            [*self._session(), "--", self.address.host, remote_command(words, environment)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            bufsize=0,
            start_new_session=True,  # a Ctrl-C is this process's to handle
        )

    def check(self, code: int | None = None, said: bytes = b"") -> None:
        """DeviceError where the link is lost; code and said: how a session ended, if one did."""
        assert self._master is not None, "asked for inside the block only"
        if code == 255 and self._master.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # sessions may end an instant before the master
                self._master.wait(0.5)
        if self._master.poll() is not None:
            raise unreachable(self.address, self._said() + said.decode(errors="replace"))

    @contextlib.contextmanager
    def forward(self, there: int, here: int = 0) -> Iterator[int]:
        """While the block runs, 127.0.0.1's port `here` on this machine is its port `there` on the device.

        here: 0 takes a free one; the port is what the block is given.
        """
        port = here or _free_port()
        pair = f"127.0.0.1:{port}:127.0.0.1:{there}"
        self._control("forward", "-L", pair)
        try:
            yield port
        finally:
            with contextlib.suppress(DeviceError):
                self._control("cancel", "-L", pair)

    # --- the link ----------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        # -v: the client names the fingerprint of an unknown key only there
        self._master = subprocess.Popen(
            [*self._client(), "-v", "-M", "-o", "ClearAllForwardings=yes", "--", self.address.host, "exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
            start_new_session=True,
        )
        deadline = time.monotonic() + CONNECTING_S
        while not self._socket.exists():
            if self._master.poll() is not None:
                raise unreachable(self.address, self._said())
            if time.monotonic() > deadline:
                raise unreachable(self.address, f"timed out after {CONNECTING_S:.0f} s")
            time.sleep(0.01)

    def _control(self, what: str, *words: str) -> None:
        found = subprocess.run(
            [*self._client(), "-O", what, *words, "--", self.address.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=USUAL_S,
            check=False,
        )
        if found.returncode != 0:
            self.check(found.returncode)
            said = found.stderr.decode(errors="replace").strip()
            raise DeviceError(f"{self.address.host}: a port can't be forwarded from here ({said})")

    @property
    def _socket(self) -> Path:
        return self._folder / "s"

    def _client(self) -> list[str]:
        pairs = [f"{name}={value}" for name, value in OPTIONS.items()]
        options = [word for pair in (*pairs, f"ControlPath={self._socket}") for word in ("-o", pair)]
        return [self._ssh, *self.address.options(), *options]

    def _session(self) -> list[str]:
        """A client that uses the master and nothing else: alone it would find no way (`ProxyCommand=false`)."""
        return [*self._client(), "-o", "ControlMaster=no", "-o", "ProxyCommand=false", "-o", "ClearAllForwardings=yes"]

    def _said(self) -> str:
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace")


def client() -> str:
    """OpenSSH's client; DeviceError where there is none."""
    found = shutil.which("ssh")
    if found is None:
        raise DeviceError("there is no ssh here to reach a device with; install OpenSSH's client (openssh-client)")
    return found


def _short_folder() -> Path:
    """A private folder whose name is short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="edgecnn-"))
    if len(os.fsencode(folder)) <= LONGEST_SOCKET:
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="edgecnn-", dir="/tmp"))


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port

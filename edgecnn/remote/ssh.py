"""A connection to a device through OpenSSH's client: programs are started there, over one authenticated link.

The client is the user's own, so ~/.ssh/config, agents and jump hosts work; BatchMode asks nothing, host keys are always
checked against known_hosts (a jump host's as the user's own configuration says). One master process holds the link,
each program is a session in it (ControlMaster, ssh_config(5)). The master runs `cat` over there on a pipe that only
this process holds: however this process ends, that ends, the programs over there see the end of their stdin, and with
the last of them the master ends.

A link that is cut or stalls is noticed within 20 s (ServerAliveInterval x ServerAliveCountMax): the master ends, and
with it all sessions here. The other side of a cut is sshd's: it closes the pipes of the programs over there (see
edgecnn/edge/leash.py); of a stall it hears when TCP does.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
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
from edgecnn.remote.trouble import noisy, unreachable

CONNECTING_S = 25.0
"""For the whole way in: the name, the connection, the keys, the login."""
USUAL_S = 25.0
"""For a short program over there."""
QUIET_S = 0.5
"""For a link with nothing in it to end as its `cat` does; a program that hangs over there keeps it open."""
ENDING_S = 2.0
LONGEST_SOCKET = 80
"""Of 108 bytes that the name of a Unix socket may have, ssh takes some for a name that it makes it under."""
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "NoHostAuthenticationForLocalhost": "no",
    "VerifyHostKeyDNS": "no",
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
    "LogLevel": "INFO",
}
GREETING = b"edgecnn\n"
"""What the master's `cat` sends back, if nothing over there prints and programs may be run."""


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
        self._resources = contextlib.ExitStack()
        self._folder = Path()
        self._complaints = -1
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Connection:
        try:
            self._connect()
        except BaseException:
            self._end(0.0)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the link and all that runs in it."""
        self._end(QUIET_S)

    def _end(self, patience_s: float) -> None:
        with self._resources:  # whatever interrupts this, the rest is done
            if self._master is None:
                return
            assert self._master.stdin is not None, "it was made with a pipe"
            with contextlib.suppress(OSError):
                self._master.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._master.wait(patience_s)
            self._master.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._master.wait(ENDING_S)

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
                self.check()
                raise DeviceError(
                    f"{self.address.host}: {words[0]} did not end in {seconds:.0f} s over there; is the device "
                    "hung, or very busy?"
                ) from error
            finally:
                process.kill()
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

        It does not end when the pipes close unless it looks for that itself. Where the link is lost, its stdout ends
        and so does the process here, within 20 s; `check` then says why.
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
        """DeviceError where the link is lost or no session was had; code and said: how one ended, if one did."""
        assert self._master is not None, "asked for inside the block only"
        if code == 255 and self._master.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):  # sessions may end an instant before the master
                self._master.wait(0.5)
        if self._master.poll() is not None:
            raise unreachable(self.address, self._said() + said.decode(errors="replace"))
        if code == 255 and b"Session open refused by peer" in said:
            raise DeviceError(
                f"{self.address.host}: lets no more programs run at once over one link; raise MaxSessions in its "
                "/etc/ssh/sshd_config (10 where it is not set)"
            )

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
        self._folder = _short_folder()
        self._resources.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._complaints = os.open(self._folder / "said", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._resources.callback(os.close, self._complaints)
        # -v: the client names the fingerprint of an unknown key only there
        self._master = subprocess.Popen(
            [*self._client(), "-v", "-M", "-o", "ClearAllForwardings=yes", "--", self.address.host, "exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
            start_new_session=True,
        )
        self._resources.callback(_kill, self._master)
        self._greet(self._master)
        if not self._socket.exists():
            raise unreachable(self.address, self._said())

    def _greet(self, master: subprocess.Popen[bytes]) -> None:
        """See that programs can be run over there, and that what they print comes back as it is."""
        assert master.stdin is not None, "it was made with a pipe"
        assert master.stdout is not None, "it was made with a pipe"
        with contextlib.suppress(BrokenPipeError):  # why, it says on stderr
            master.stdin.write(GREETING)
        heard, deadline = b"", time.monotonic() + CONNECTING_S
        with master.stdout as stdout:
            while not heard.endswith(GREETING):
                if not select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                    raise unreachable(self.address, f"timed out after {CONNECTING_S:.0f} s")
                part = os.read(stdout.fileno(), 1 << 12)
                if not part:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        master.wait(ENDING_S)
                    raise unreachable(self.address, self._said() + heard.decode(errors="replace"))
                heard += part
        if heard != GREETING:
            raise noisy(self.address, heard.removesuffix(GREETING))

    def _control(self, what: str, *words: str) -> None:
        # without the user's configuration: the forwards in it would be asked for, too
        client = [self._ssh, "-F", os.devnull, "-o", f"ControlPath={self._socket}"]
        try:
            found = subprocess.run(
                [*client, "-O", what, *words, "--", self.address.host],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=USUAL_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            self.check()
            raise DeviceError(f"{self.address.host}: ssh's own process here does not answer; run it again") from error
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
        size = os.fstat(self._complaints).st_size
        return os.pread(self._complaints, size, 0).decode(errors="replace")


def client() -> str:
    """OpenSSH's client; DeviceError where there is none."""
    found = shutil.which("ssh")
    if found is None:
        raise DeviceError("there is no ssh here to reach a device with; install OpenSSH's client (openssh-client)")
    return found


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _short_folder() -> Path:
    """A private folder whose name is short enough for a socket in it, and which ssh takes as it is."""
    folder = Path(tempfile.mkdtemp(prefix="edgecnn-"))
    if len(os.fsencode(folder)) <= LONGEST_SOCKET and _PLAIN.fullmatch(str(folder)):
        return folder
    folder.rmdir()
    return Path(tempfile.mkdtemp(prefix="edgecnn-", dir="/tmp"))


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port

"""A device with a link to it: the application and model files go there by their hashes, and run there."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from edgecnn.edge.provision import FOLDER, PYTHON
from edgecnn.edge.runtimes import find_runtime
from edgecnn.errors import DeviceError, MissingExtra
from edgecnn.remote import zipapp
from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.profiles import Profile, address_of
from edgecnn.remote.ssh import Connection
from edgecnn.remote.wheels import ENGINES

MOST_TOGETHER = 6
"""Of the ten sessions that sshd allows a connection unless told otherwise (MaxSessions, sshd_config(5))."""
EACH_MIB = 160
"""What a process may take with an engine and a small model in it ..."""
SHARE = 0.6
"""... of this share of a device's memory; more of them than fit would swap."""


class Device:
    """A device that was reached; made by `reach`."""

    def __init__(self, profile: Profile, connection: Connection) -> None:
        self.profile = profile
        self.connection = connection
        self._application = ""
        self._paths: dict[Path, str] = {}

    def put_application(self) -> None:
        """Let there be the application; DeviceError where `devices setup` has not been there yet."""
        name = self.profile.name
        if self.connection.run(["test", "-x", PYTHON]).code != 0:
            raise DeviceError(f"{name} has no environment to run models in yet: edgecnn devices setup {name}")
        content = zipapp.application()
        digest = hashlib.sha256(content).hexdigest()
        self._application = f"{FOLDER}/app/{digest[:16]}/{zipapp.NAME}"
        self._upload([Parcel(self._application, content)])

    def put(self, groups: Sequence[Sequence[Path]], root: Path | None = None) -> int:
        """Let there be files, those of a group in one folder; the bytes that had to travel.

        Their names there are their own, or, with a root, their paths below it.
        """
        parcels = [parcel for group in groups for parcel in self._parcels(group, root)]
        return self._upload(list({parcel.path: parcel for parcel in parcels}.values()))

    def start(
        self,
        words: Sequence[str],
        complaints: int | IO[bytes] = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the application over there with these words; stderr goes to `complaints`."""
        assert self._application, "put_application comes first"
        line = [PYTHON, self._application, *words]
        return self.connection.start(
            line, environment={**self.profile.environment, **(environment or {})}, stderr=complaints
        )

    def together(self) -> int:
        """How many models may be open at once in processes of their own, by how much memory it has."""
        said = self.connection.run(["cat", "/proc/meminfo"]).out.decode(errors="replace")
        found = re.search(r"^MemTotal:\s+(\d+) kB", said, re.MULTILINE)
        memory_mib = int(found[1]) / 1024 if found else 0
        return max(1, min(MOST_TOGETHER, int(SHARE * memory_mib / EACH_MIB)))

    def free_port(self) -> int:
        """A port of its loopback address that nobody listens at now."""
        code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"
        return int(self.connection.run([self.profile.python, "-c", code]).out)

    def path_there(self, path: Path) -> str:
        """Where a file that was put there lies."""
        return self._paths[path.resolve()]

    def check(self, code: int, said: bytes) -> None:
        """LinkLost where a process ended because the link did."""
        self.connection.check(code, said)

    def lacks(self, runtime: str, error: MissingExtra) -> MissingExtra:
        """What installs it over there, where `devices setup` can."""
        if runtime not in ENGINES:
            return error
        name = self.profile.name
        extra = find_runtime(runtime).extra
        return MissingExtra(f"this on {name}", runtime, extra, f"edgecnn devices setup {name} --runtime {runtime}")

    def _parcels(self, group: Sequence[Path], root: Path | None) -> list[Parcel]:
        names = {path: path.name if root is None else path.relative_to(root).as_posix() for path in group}
        found = [Parcel(name, path) for path, name in names.items()]
        digest = hashlib.sha256("".join(f"{parcel.sha256} {parcel.path}\n" for parcel in found).encode()).hexdigest()
        folder = f"{FOLDER}/files/{digest[:16]}"
        self._paths.update({path.resolve(): f"{folder}/{name}" for path, name in names.items()})
        return [Parcel(f"{folder}/{name}", path) for path, name in names.items()]

    def _upload(self, parcels: Sequence[Parcel]) -> int:
        return upload(self.connection, parcels, python=self.profile.python)


@contextlib.contextmanager
def reach(profile: Profile, message: Callable[[str], None] = lambda text: None) -> Iterator[Device]:
    """A device with the application in place, while the block runs.

    Raises UsageError where the profile does not say where the device is, LinkLost where it can't be reached,
    DeviceError where it was not set up.
    """
    with Connection(address_of(profile)) as connection:
        device = Device(profile, connection)
        device.put_application()
        message(f"device {profile.name}: {connection.address.host}")
        yield device

"""Start and stop a virtual Pi: an sshd in namespaces of its own, with which all its processes and mounts go away."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.emulation import Trouble, binfmt
from tools.emulation.looks import CPUS, cpuinfo, put_on
from tools.emulation.userland import PLUGIN, QEMU, USER, alone, is_made, lacking

HOST = "virtual-pi"
PORT = 22022
DEFAULT_CPU = "cortex-a72"
PATIENCE_S = 90
TOOL = Path(__file__).resolve().parents[1] / "virtual_pi"
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# SetEnv: sshd clears the environment, and without QEMU_CPU a session runs as `max`, where qemu 7.2 computes wrong int8.
SSHD_CONFIG = """Port {port}
ListenAddress 127.0.0.1
HostKey /etc/ssh/ssh_host_ed25519_key
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
UseDNS no
PrintMotd no
PidFile none
MaxStartups 100
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv QEMU_CPU={cpu} LANG=C.UTF-8
"""
SSH_CONFIG = """Host {host}
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {folder}/id_ed25519
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""


@dataclass(frozen=True)
class State:
    """A virtual Pi that was started: its outermost process, and when that began (in ticks: numbers are used again)."""

    process: int
    began: int
    port: int
    cpu: str
    mounted: bool
    """Whether binfmt_misc had to be mounted for it."""

    def runs(self) -> bool:
        """Whether it still does."""
        return _began(self.process) == self.began


def start(folder: Path, port: int | None = None, cpu: str = DEFAULT_CPU) -> State:
    """Start what lies in `folder`, and wait until ssh gets an answer; Trouble where it can't be or runs otherwise.

    Port 0 is any that is free.
    """
    lack = lacking()
    if lack is not None:
        raise Trouble(lack)
    with alone(folder):
        if not is_made(folder):
            raise Trouble(f"{folder}: there is no virtual Pi; make one: tools/virtual_pi make --folder {folder}")
        running = find(folder)
        if running is not None:
            if (running.cpu, running.port) == (cpu, port or running.port):
                return running
            raise Trouble(f"{folder}: runs as {running.cpu} on port {running.port}; tools/virtual_pi stop comes first")
        _clean(folder)
        return _start(folder, _usable_port(PORT if port is None else port), cpu)


def stop(folder: Path) -> bool:
    """End all of its processes, and take away what was registered for it; False where nothing was there."""
    if os.geteuid() != 0 and find(folder) is not None:
        raise Trouble("a virtual Pi is stopped by root: sudo tools/virtual_pi stop")
    with alone(folder):
        return _clean(folder)


def find(folder: Path) -> State | None:
    """The virtual Pi that runs in `folder`."""
    state = _read(folder)
    return state if state is not None and state.runs() else None


def entry_name(folder: Path) -> str:
    """The name of the folder's entry in the registry that all of the machine shares."""
    return f"edgecnn-virtual-pi-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"


def become(folder: Path, cpu: str) -> None:
    """Turn this process, the first one of new namespaces, into the sshd of the machine. Does not return."""
    root = folder / "root"
    socket.sethostname(HOST)
    put_on(root, CPUS[cpu])
    (folder / "cpuinfo").write_text(cpuinfo(CPUS[cpu]), encoding="ascii")
    _mount("-t", "proc", "proc", root / "proc")
    _mount("--bind", folder / "cpuinfo", root / "proc/cpuinfo")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "run")
    (root / "run/sshd").mkdir()
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for name in DEVICES:
        (root / "dev" / name).touch()
        _mount("--bind", Path("/dev", name), root / "dev" / name)
    for name, kind, options in (("pts", "devpts", "newinstance,ptmxmode=666"), ("shm", "tmpfs", "mode=1777")):
        (root / "dev" / name).mkdir()
        _mount("-t", kind, "-o", options, kind, root / "dev" / name)
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    os.chroot(root)
    os.chdir("/")
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "QEMU_CPU": cpu}
    os.execve("/usr/sbin/sshd", ["/usr/sbin/sshd", "-D", "-e"], environment)  # noqa: S606 -- no shell is wanted


def _start(folder: Path, port: int, cpu: str) -> State:
    (folder / "root/etc/ssh/sshd_config").write_text(SSHD_CONFIG.format(port=port, cpu=cpu), encoding="ascii")
    key = (folder / "root/etc/ssh/ssh_host_ed25519_key.pub").read_text(encoding="ascii")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}", encoding="ascii")
    config = SSH_CONFIG.format(host=HOST, port=port, user=USER, folder=folder)
    (folder / "ssh_config").write_text(config, encoding="utf-8")
    mounted = binfmt.register(entry_name(folder), folder / "root" / QEMU)
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--uts"]
    command = [*namespaces, sys.executable, str(TOOL), "become", "--folder", str(folder), "--cpu", cpu]
    with (folder / "sshd.log").open("wb") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True
        )
    state = State(process.pid, _began(process.pid) or 0, port, cpu, mounted)
    (folder / "state.json").write_text(json.dumps(asdict(state)), encoding="ascii")
    try:
        _wait(folder, process)
    except BaseException:
        _clean(folder)
        raise
    return state


def _wait(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Until a command gets through."""
    command = ["ssh", "-F", str(folder / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=20", HOST, "true"]
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < until:
        if subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.2)
    said = (folder / "sshd.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    why = "its sshd ended" if process.poll() is not None else f"no answer within {PATIENCE_S} s"
    raise Trouble(f"{folder}: the virtual Pi does not start, {why} ({said[-1] if said else 'it says nothing'})")


def _clean(folder: Path) -> bool:
    """End what runs, or take away what is left of it."""
    state = _read(folder)
    if state is None:
        return False
    if state.runs():
        # The first process of a namespace takes all others with it, and unshare ends when the last of them is gone.
        for process in _children(state.process) or [state.process]:
            os.kill(process, signal.SIGKILL)
        until = time.monotonic() + PATIENCE_S
        while state.runs() and time.monotonic() < until:
            time.sleep(0.02)
        if state.runs():
            raise Trouble(f"{folder}: process {state.process} does not end; try tools/virtual_pi stop again")
    binfmt.unregister(entry_name(folder), state.mounted)
    (folder / "state.json").unlink()
    return True


def _read(folder: Path) -> State | None:
    try:
        return State(**json.loads((folder / "state.json").read_text(encoding="ascii")))
    except FileNotFoundError:
        return None


def _stat(process: int) -> list[str]:
    """/proc/PID/stat from its third field on: state, parent, ...; empty where there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _began(process: int) -> int | None:
    """When a process began, in ticks since the system did; None where it is gone or dead."""
    said = _stat(process)
    return int(said[19]) if said and said[0] not in "ZX" else None


def _children(process: int) -> list[int]:
    everyone = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [other for other in everyone if _stat(other)[1:2] == [str(process)]]


def _usable_port(port: int) -> int:
    """The port, or a free one for 0; Trouble where somebody else answers on it."""
    try:
        with socket.create_server(("127.0.0.1", port)) as server:
            usable: int = server.getsockname()[1]
            return usable
    except OSError as error:
        raise Trouble(f"port {port}: can't be had ({error.strerror}); take any that is free: --port 0") from error


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def told(folder: Path, state: State) -> str:
    """What a person wants to know of a machine that runs."""
    others = binfmt.others(entry_name(folder))
    lines = [
        f"A virtual Pi ({state.cpu}) answers on port {state.port}: ssh -F {folder}/ssh_config {HOST}",
        f"Counted: env QEMU_PLUGIN=/{PLUGIN} python3 ... (edgecnn/edge/measure/instructions.py)",
        f"Its files: {folder}/root, sensors below {folder}/root/sys",
        *(
            f"Until it is stopped, its qemu runs this machine's arm64 programs instead of {other}'s."
            for other in others
        ),
    ]
    return "\n".join(lines)

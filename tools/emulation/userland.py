"""What a virtual Pi is made of: Debian's arm64 packages, accounts, keys, qemu and its libraries, the plugin."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.emulation import Trouble, binfmt
from tools.emulation.looks import VCGENCMD

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecnn"
SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-security")
PACKAGES = (
    *("base-files", "bash", "coreutils", "dash", "findutils", "grep", "gzip", "hostname", "libc-bin", "procps", "sed"),
    *(
        "tar",
        "util-linux",
        "openssh-server",
        "openssh-sftp-server",
        "python3",
        "python3-venv",
        "libgomp1",
        "libstdc++6",
    ),
)
MERGED_USR = "/usr/share/mmdebstrap/hooks/merged-usr"
NEEDED = {
    "mmdebstrap": "mmdebstrap",
    "qemu-aarch64": "qemu-user",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "gcc": "gcc libc6-dev",
    "unshare": "util-linux",
}
"""Program -> the package of Debian's that has it."""
USER = "pi"
PLUGIN = "usr/local/lib/edgecnn/count.so"
QEMU = "usr/local/lib/edgecnn/qemu-aarch64"
STAMP = "made"
FILES = {
    "etc/passwd": (
        0o644,
        "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
        f"{USER}:x:1000:1000::/home/{USER}:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    "etc/group": (0o644, f"root:x:0:\ntty:x:5:\nvideo:x:44:{USER}\n{USER}:x:1000:\nnogroup:x:65534:\n"),
    # A star is no password; an exclamation mark would lock the account, for keys too.
    "etc/shadow": (0o640, "".join(f"{name}:*:19700:0:99999:7:::\n" for name in ("root", "sshd", USER, "nobody"))),
    "etc/nsswitch.conf": (0o644, "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"),
    "etc/hostname": (0o644, "virtual-pi\n"),
    "etc/hosts": (0o644, "127.0.0.1 localhost virtual-pi\n"),
    "etc/resolv.conf": (0o644, ""),  # a Pi without internet
    "usr/bin/vcgencmd": (0o755, VCGENCMD),
}


def lacking() -> str | None:
    """What this machine lacks for a virtual Pi and how it is had, in a sentence; None where there is all."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    missing = {package for program, package in NEEDED.items() if shutil.which(program, path=path) is None}
    if os.geteuid() != 0:
        return "a virtual Pi is made, started and stopped by root: sudo tools/virtual_pi ..."
    if missing:
        return f"a virtual Pi needs what is not installed: apt-get install {' '.join(sorted(missing))}"
    return binfmt.lacking()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One at a time makes, starts or stops what lies in a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(folder: Path, mirror: str | None = None) -> bool:
    """Make `folder` what this file says, whole or not at all; False where it is that already. Trouble otherwise.

    What was written to an older one's disk goes with it. For one at a time, and not while it runs.
    """
    lack = lacking()
    if lack is not None:
        raise Trouble(lack)
    stamp = _stamp()
    if is_made(folder) and (folder / STAMP).read_text(encoding="ascii") == stamp:
        return False
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        new, old = Path(name, "new"), Path(name, "old")
        new.mkdir()
        _fill(new, mirror)
        (new / STAMP).write_text(stamp, encoding="ascii")
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    return True


def is_made(folder: Path) -> bool:
    """Whether there is a virtual Pi, of this or another version of these tools."""
    return (folder / STAMP).exists()


def _stamp() -> str:
    """What all that is made depends on."""
    qemu = shutil.which("qemu-aarch64")
    assert qemu is not None, "it was looked for"
    parts = [Path(__file__), HERE / "count.c", HERE / "looks.py", Path(qemu)]
    return hashlib.sha256(b"".join(hashlib.sha256(part.read_bytes()).digest() for part in parts)).hexdigest()


def _fill(folder: Path, mirror: str | None) -> None:
    root = folder / "root"
    _install(root, mirror)
    for name, (mode, text) in FILES.items():
        path = root / name
        path.unlink(missing_ok=True)  # some are links into /run
        path.write_text(text, encoding="ascii")
        path.chmod(mode)
    _make_keys(folder, root)
    _put_qemu(root)
    _compile(root)


def _run(command: Sequence[str | Path], doing: str) -> str:
    """What a program prints; Trouble with its last line where it fails."""
    done = subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()
        raise Trouble(f"{command[0]}: {doing} failed ({lines[-1]})")
    return done.stdout


def _sources(mirror: str | None) -> list[str]:
    """Lines of a sources.list for the machine's own mirrors of the suite."""
    if mirror is not None:
        return [f"deb {mirror} {SUITE} main"]
    with tempfile.TemporaryDirectory() as lists:  # empty: apt then names all that it would fetch
        Path(lists, "partial").mkdir()
        command = ["apt-get", "-o", f"Dir::State::lists={lists}", "update", "--print-uris"]
        said = _run(command, "asking for the mirrors")
    found = dict.fromkeys(re.findall(r"^'(\S+)/dists/([\w-]+)/main/binary-\w+/Packages", said, re.MULTILINE))
    lines = [f"deb {uri} {suite} main" for uri, suite in found if suite in SUITES]
    if not any(f" {SUITE} " in line for line in lines):
        raise Trouble(f"/etc/apt: names no mirror of Debian {SUITE}; give one: tools/virtual_pi make --mirror URL")
    return lines


def _install(root: Path, mirror: str | None) -> None:
    """Unpack the packages. None of their scripts runs: that would be arm64 code, by the thousand."""
    options = ["--arch=arm64", "--variant=extract", "--skip=check/qemu", f"--hook-dir={MERGED_USR}"]
    sources = _sources(mirror)
    command = ["mmdebstrap", *options, f"--include={','.join(PACKAGES)}", SUITE, str(root), *sources]
    _run(command, f"unpacking Debian {SUITE} for arm64")


def _make_keys(folder: Path, root: Path) -> None:
    """The machine's own key pair, and one for whoever may log in."""
    for path in (root / "etc/ssh/ssh_host_ed25519_key", folder / "id_ed25519"):
        path.parent.mkdir(exist_ok=True)
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "virtual-pi", "-f", path], "making a key")
    home = root / "home" / USER
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh").chmod(0o700)
    shutil.copyfile(folder / "id_ed25519.pub", home / ".ssh/authorized_keys")
    for path in (home, home / ".ssh", home / ".ssh/authorized_keys"):
        os.chown(path, 1000, 1000)


def _put_qemu(root: Path) -> None:
    """Debian's qemu-user with its libraries, each at its own path, beside arm64's, which have other ones.

    A static qemu would need none, but can't load a plugin.
    """
    qemu = shutil.which("qemu-aarch64")
    assert qemu is not None, "it was looked for"
    (root / QEMU).parent.mkdir(parents=True)
    shutil.copy2(qemu, root / QEMU)
    libraries = re.findall(r"(?:=>\s*|^\s*)(/\S+)", _run(["ldd", qemu], "finding its libraries"), re.MULTILINE)
    if not libraries:
        raise Trouble(f"{qemu}: is statically linked and can't count instructions; apt-get install qemu-user")
    (root / "usr/lib64").mkdir(exist_ok=True)
    if not (root / "lib64").exists():
        (root / "lib64").symlink_to("usr/lib64")
    for library in libraries:
        target = root / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, target)
        target.chmod(0o755)


def _compile(root: Path) -> None:
    command = ["gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    _run([*command, "-o", root / PLUGIN, HERE / "count.c"], "compiling the counting plugin")

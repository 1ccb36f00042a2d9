"""How Linux finds qemu for an arm64 program: an entry of binfmt_misc, which the whole machine shares."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tools.emulation import Trouble

REGISTRY = Path("/proc/sys/fs/binfmt_misc")
# The first 20 bytes of an ELF file: 64 bits, little-endian, any ABI, a program or a shared object, machine 183.
# Source: QEMU, scripts/qemu-binfmt-conf.sh.
MAGIC = bytes.fromhex("7f454c460201010000000000000000000200b700")
MASK = bytes.fromhex("ffffffffffffff00fffffffffffffffffeffffff")
FLAGS = "PF"
"""P: qemu learns the name that a program was called by. F: qemu's file is opened now, and found in every chroot."""


def lacking() -> str | None:
    """What Linux lacks here, in a sentence; None where entries can be made."""
    known = Path("/proc/filesystems").read_text(encoding="ascii").split()
    if "binfmt_misc" not in known and not (REGISTRY / "register").exists():
        return "a virtual Pi needs binfmt_misc, which this Linux has not loaded: modprobe binfmt_misc"
    return None


def register(name: str, interpreter: Path) -> bool:
    """Let `interpreter` run arm64 programs; whether the registry had to be mounted. Trouble where Linux refuses."""
    mounted = _mount()
    unregister(name)
    magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in (MAGIC, MASK))
    try:
        (REGISTRY / "register").write_text(f"|{name}|M|0|{magic}|{mask}|{interpreter}|{FLAGS}", encoding="utf-8")
    except OSError as error:
        raise Trouble(f"{REGISTRY}: Linux refuses an entry for {interpreter} ({error.strerror})") from error
    return mounted


def unregister(name: str, unmount: bool = False) -> None:
    """Take an entry away, if it is there, and an empty registry too if it was mounted for it."""
    if (REGISTRY / name).exists():
        (REGISTRY / name).write_text("-1", encoding="ascii")
    if unmount and not _entries():
        subprocess.run(["umount", str(REGISTRY)], check=False, stderr=subprocess.DEVNULL)


def others(name: str) -> list[str]:
    """The names of other entries that run arm64 programs."""
    found = []
    for entry in _entries():
        magic = re.search("^magic (7f454c46[0-9a-f]{32})", entry.read_text(encoding="ascii"), re.MULTILINE)
        if entry.name != name and magic and bytes.fromhex(magic[1])[18:] == MAGIC[18:]:
            found.append(entry.name)
    return found


def _entries() -> list[Path]:
    return sorted(entry for entry in REGISTRY.iterdir() if entry.name not in ("register", "status"))


def _mount() -> bool:
    """Make the registry be there; whether it was not."""
    if (REGISTRY / "register").exists():
        return False
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{REGISTRY}: can't be mounted ({done.stderr.strip()}); a container needs --privileged")
    return True

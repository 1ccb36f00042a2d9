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
"""P: qemu learns the name that a program was called by. F: qemu's file is opened now, and then found in every chroot."""


def register(name: str, interpreter: Path) -> bool:
    """Let `interpreter` run arm64 programs; whether the registry had to be mounted for it. Trouble where it can't be."""
    mounted = _mount()
    unregister(name)
    magic, mask = ("".join(f"\\x{byte:02x}" for byte in part) for part in (MAGIC, MASK))
    try:
        (REGISTRY / "register").write_text(f"|{name}|M|0|{magic}|{mask}|{interpreter}|{FLAGS}", encoding="ascii")
    except OSError as error:
        raise Trouble(f"{REGISTRY}/register: Linux refuses an entry ({error.strerror}); run it on the host") from error
    return mounted


def unregister(name: str, unmount: bool = False) -> None:
    """Take an entry away, if it is there, and the registry too if it was mounted for it."""
    if (REGISTRY / name).exists():
        (REGISTRY / name).write_text("-1", encoding="ascii")
    if unmount:
        subprocess.run(["umount", str(REGISTRY)], check=False, stderr=subprocess.DEVNULL)


def others(name: str) -> list[str]:
    """The names of other entries that run arm64 programs."""
    found = []
    for entry in sorted(REGISTRY.iterdir()):
        if entry.name not in ("register", "status", name):
            magic = re.search("^magic (7f454c46[0-9a-f]{32})", entry.read_text(encoding="ascii"), re.MULTILINE)
            if magic and bytes.fromhex(magic[1])[18:] == MAGIC[18:]:
                found.append(entry.name)
    return found


def _mount() -> bool:
    """Make the registry be there; whether it was not."""
    if (REGISTRY / "register").exists():
        return False
    command = ["mount", "-t", "binfmt_misc", "binfmt_misc", str(REGISTRY)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{REGISTRY}: can't be mounted ({done.stderr.strip()}); modprobe binfmt_misc")
    return True

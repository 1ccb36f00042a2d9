"""A Raspberry Pi without a Raspberry Pi: Debian's arm64 userland under qemu-user, with a real sshd on loopback.

One file a part: `userland` (what is made), `looks` (what the machine says of itself), `binfmt` (how Linux finds qemu),
`machine` (what is started and stopped). `count.c` is the plugin that counts guest instructions. Standard library only:
tools/virtual_pi runs under the system's Python, as root.
"""


class Trouble(Exception):
    """What went wrong and what to do, in one sentence."""

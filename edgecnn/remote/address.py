"""How a device is reached: what its owner would write behind `ssh`, and what else ssh is told."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import UsageError

LONGEST_COMMAND = 120_000
"""Bytes: sshd hands the line to the login shell as one argument, and Linux bounds that at 128 KiB (execve(2))."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = re.compile(r"[A-Za-z0-9_./:,@-]+")
"""Nothing that a shell would expand; not `=`, which zsh expands at the start of a word."""
_SPECIAL = re.compile(r"['\\]")


@dataclass(frozen=True)
class Address:
    """A destination of OpenSSH's client: `pi@192.168.1.20`, or a Host of ~/.ssh/config.

    port, config and identity are ssh's -p, -F and -i; None leaves them to ~/.ssh/config and the agent. UsageError where
    ssh would take the host for an option.
    """

    host: str
    port: int | None = None
    config: Path | None = None
    identity: Path | None = None

    def __post_init__(self) -> None:
        if (
            not self.host
            or self.host.startswith("-")
            or any(letter.isspace() or letter == "\0" for letter in self.host)
        ):
            raise UsageError(f"'{self.host}' is no host: give what you would write behind ssh, such as pi@192.168.1.20")

    def options(self) -> list[str]:
        """ssh's options for getting there."""
        given = [("-F", self.config), ("-p", self.port), ("-i", self.identity)]
        return [word for flag, value in given if value is not None for word in (flag, str(value))]

    def command_line(self, *options: str) -> str:
        """What a person types to get there."""
        return shlex.join(["ssh", *options, *self.options(), self.host])


def remote_command(words: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """The one line that ssh hands to the login shell over there, which makes of it these words again.

    This is the only place where something is quoted. In single quotes a POSIX shell changes nothing, so any text
    arrives as one argument: spaces, quotes, newlines, `$`, `*`, a leading dash, bytes that are no UTF-8
    (`os.fsdecode`). What holds for sh holds for dash, bash, zsh and fish; csh and tcsh fail at newlines and `!`.
    UsageError for what no argument can hold, for a name that is none, and for more than the device's kernel takes.
    """
    pairs = dict(environment or {})
    for name in pairs:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r:.60} is no name for an environment variable")
    if not words or not words[0] or words[0].startswith("-") or "=" in words[0]:
        raise UsageError(f"{(words[0] if words else '')!r:.60} is no program's name")
    all_words = [*(["env"] if pairs else []), *(f"{name}={value}" for name, value in pairs.items()), *words]
    if any("\0" in word for word in all_words):
        raise UsageError("an argument for a device holds a NUL character, which no program can be handed")
    line = " ".join(map(_quoted, all_words))
    try:
        size = len(os.fsencode(line))
    except UnicodeEncodeError as error:
        raise UsageError(f"an argument for a device holds {line[error.start]!r}, which no text can hold") from error
    if size > LONGEST_COMMAND:
        raise UsageError(
            f"a command for a device is {size:,} bytes long, {LONGEST_COMMAND:,} is what a shell takes: send a file"
        )
    return line


def _quoted(word: str) -> str:
    """In single quotes, but for its quotes and backslashes: those a shell takes alone (fish reads both in quotes)."""
    return word if _PLAIN.fullmatch(word) else f"'{_SPECIAL.sub(_alone, word)}'"


def _alone(found: re.Match[str]) -> str:
    return rf"'\{found[0]}'"

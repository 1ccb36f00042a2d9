"""How a device is reached: what its owner would write behind `ssh`, and what else ssh is told."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import UsageError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


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
    arrives as one argument: spaces, quotes, newlines, `$`, `*`, a leading dash. UsageError for a NUL, which no
    argument can hold.
    """
    pairs = dict(environment or {})
    for name in pairs:
        if not _NAME.fullmatch(name):
            raise UsageError(f"'{name}' is no name for an environment variable")
    all_words = [*(["env"] if pairs else []), *(f"{name}={value}" for name, value in pairs.items()), *words]
    if any("\0" in word for word in all_words):
        raise UsageError("an argument for a device holds a NUL character, which no program can be handed")
    return shlex.join(all_words)

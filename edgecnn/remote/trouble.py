"""What OpenSSH's client says when it fails -> one sentence that says what to do."""

from __future__ import annotations

import re

from edgecnn.errors import DeviceError, LinkLost
from edgecnn.remote.address import Address

_FINGERPRINT = re.compile(r"Server host key: (\S+) (SHA256:\S+)")
_ASK = ("-o", "StrictHostKeyChecking=ask")
_DEBUG = re.compile(r"^(debug\d: |Transferred: sent |Bytes per second: ).*$", re.MULTILINE)


def unreachable(address: Address, said: str) -> LinkLost:
    """The error for a connection that was not made or has ended. said: the client's stderr, with its -v."""
    return LinkLost(f"{address.host}: {_sentence(address, said)}")


def noisy(address: Address, heard: bytes) -> DeviceError:
    """The error for a login shell that prints where only a program's output may stand."""
    return DeviceError(
        f"{address.host}: its login shell prints something of its own ({heard[:60]!r}); a shell's start-up files must "
        "be silent when nobody is there to read"
    )


def _sentence(address: Address, said: str) -> str:
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in said:
        return _changed(address, said)
    if "Host key verification failed" in said:
        return (
            f"its host key is not known here ({_fingerprint(said)}); compare that with the device's own "
            f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub over there), then accept it once: "
            f"{address.command_line(*_ASK)} true"
        )
    plain = _DEBUG.sub("", said)
    for words, sentence in _KNOWN:
        if words in plain:
            return sentence.format(line=address.command_line(), host=address.host)
    return f"the connection ended ({_last_line(said)}); `{address.command_line()} true` shows more"


def _changed(address: Address, said: str) -> str:
    place = re.search(r"Offending \S+ key in (.+):(\d+)", said)
    where = f"line {place[2]} of {place[1]}" if place else "your known_hosts"
    return (
        f"REFUSED, its host key is not the one that is known here (now {_fingerprint(said)}): somebody may be between "
        f"you and it; only if you have set the device up anew, remove {where} (ssh-keygen -R) and accept the new key: "
        f"{address.command_line(*_ASK)} true"
    )


_KNOWN = (
    (
        "Permission denied",
        "does not let this user in without a password; put your key there (ssh-copy-id {host}) and try `{line} true`",
    ),
    ("Too many authentication failures", "refused too many keys; name one in ~/.ssh/config (IdentityFile) for {host}"),
    ("Could not resolve hostname", "no such host; is its name right, and is it switched on? `{line} true` must work"),
    (
        "Connection refused",
        "nothing answers at ssh's port there; is ssh switched on (sudo raspi-config, or systemctl)?",
    ),
    ("No route to host", "can't be reached from here; is it switched on and in the same network?"),
    ("Network is unreachable", "can't be reached from here; is this machine in a network?"),
    ("timed out", "did not answer in time; is it switched on and in the same network? `{line} true` must work"),
    ("not responding", "stopped answering: the link is cut or stalls; run it again when `{line} true` works"),
    ("Connection reset", "the link was cut; run it again when `{line} true` works"),
    ("Broken pipe", "the link was cut; run it again when `{line} true` works"),
    ("closed by remote host", "the link was cut from over there; run it again when `{line} true` works"),
    ("Connection closed", "it closed the connection; `{line} true` shows more"),
    ("Bad owner or permissions", "ssh refuses its own configuration file; `{line} true` shows which"),
    ("Can't open user config file", "the ssh configuration of this device's profile is not there; is it started?"),
)


def _fingerprint(said: str) -> str:
    found = _FINGERPRINT.findall(said)
    return " ".join(found[-1]) if found else "fingerprint unknown"


def _last_line(said: str) -> str:
    lines = [line.strip() for line in _DEBUG.sub("", said).splitlines() if line.strip()]
    return lines[-1] if lines else "without a word"

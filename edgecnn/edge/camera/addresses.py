"""What a source's text is, before anything is opened: a path or an address, and how it is shown without its secrets."""

from __future__ import annotations

import re

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://|gst:", re.IGNORECASE)
_SECRETS = (
    (re.compile(r"://\S*@"), "://***@"),  # to the last @: a password may hold any character, a path seldom an @
    (re.compile(r"(://[^\s?]*\?)\S+"), r"\1***"),  # many cameras take user and password as parameters
    (re.compile(r"\b(user-pw|password|passwd|token)=\S+", re.IGNORECASE), r"\1=***"),  # GStreamer's rtspsrc
)


def has_scheme(text: str, *schemes: str) -> bool:
    """Whether a text begins with one of `schemes` and ://, in upper or lower case."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in schemes))


def is_path(text: str) -> bool:
    """Whether a text can only be meant as a file or folder: no number of a camera, no device, no address."""
    return bool(text) and not (text.isdigit() or text.startswith("/dev/") or _SCHEME.match(text))


def shown(text: str) -> str:
    """A source's text for messages, logs and pages: users, passwords and what stands behind a ? are left out."""
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text

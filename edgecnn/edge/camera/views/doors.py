"""Who may come in to the web page. Every request passes here before any route, known or not, sees it.

In this order: the Host is ours (403: a foreign name that resolves to this machine is how a web page elsewhere reads it,
DNS rebinding), the request comes from our own page or from no page (403), it only reads (405), it has the token where
one is needed (401). Forwarded headers are not looked at: whoever asks could have written them.

Neither an <img> nor an EventSource can send a header, so `/?token=...` is exchanged for a cookie once, and leaves the
address bar. Sources: RFC 9110 (Host, 401, 405), RFC 6750 (Bearer), W3C Fetch Metadata, OWASP's HTTP Headers cheat
sheet.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

METHODS = ("GET", "HEAD")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load: its own three files, its two streams and the icon that stands in it."""
SECURITY = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""With every answer, refusals included."""
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/@]+)(:(?P<port>[0-9]{1,5}))?", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """A short answer of the doors' own: a refusal, or the exchange of a token for a cookie."""

    status: int
    sentence: str
    headers: Mapping[str, str]


class Doors:
    """An ASGI application before another.

    names: what this machine is called, besides the address that a connection came in at. port: that of every Host that
    is ours. token: None where none is needed.
    """

    def __init__(self, app: App, names: Iterable[str], port: int, token: str | None) -> None:
        self._app, self._port, self._token = app, port, token
        self._names = frozenset(name.lower() for name in names)
        self._cookie = f"edgecnn_{port}"  # cookies know no ports: two cameras of one machine need two names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        answer = self._judge(scope)
        guarded = _with_headers(send, SECURITY)
        if answer is None:
            await self._app(scope, receive, guarded)
        else:
            await _send(answer, guarded)

    def _judge(self, scope: Scope) -> Answer | None:
        headers = _headers(scope)
        host = headers.get("host", "")
        if not self._is_ours(host, scope):
            return Answer(403, "This is not an address of this camera; open the one that it printed.", {})
        if not _from_our_page(headers, host):
            return Answer(403, "Another site asked for this; type the camera's address into the address bar.", {})
        if scope["method"] not in METHODS:
            return Answer(405, "This page can only be read: GET and HEAD.", {"allow": ", ".join(METHODS)})
        if self._token is None:
            return None
        return self._ask_for_token(self._token, scope, headers)

    def _is_ours(self, host: str, scope: Scope) -> bool:
        """Whether a Host header has the port, and names this machine or the very address that was connected to."""
        found = HOST.fullmatch(host)
        if found is None or int(found["port"] or 80) != self._port:
            return False
        name = found["name"].strip("[]").lower()
        return name in self._names or _same_address(name, (scope.get("server") or ("",))[0])

    def _ask_for_token(self, token: str, scope: Scope, headers: Mapping[str, str]) -> Answer | None:
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        if scope["path"] == "/" and any(_equal(given, token) for given in asked):
            cookie = f"{self._cookie}={token}; HttpOnly; SameSite=Strict; Path=/"
            return Answer(303, "", {"location": "/", "set-cookie": cookie})
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        given = [*_cookies(headers.get("cookie", ""), self._cookie), *([bearer] if kind.lower() == "bearer" else [])]
        if any(_equal(one, token) for one in given):
            return None
        sentence = "A token is needed: open the address that the camera printed, which ends in ?token=..."
        return Answer(401, sentence, {"www-authenticate": "Bearer"})


def _from_our_page(headers: Mapping[str, str], host: str) -> bool:
    """Whether our own page asked, or a person at an address bar, or a program.

    Browsers send Sec-Fetch-Site to https and to this machine itself only; elsewhere Origin, the cookie's SameSite and
    our Cross-Origin-Resource-Policy keep other sites out.
    """
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return False
    return headers.get("origin", f"http://{host}").lower() == f"http://{host}".lower()


def _same_address(name: str, address: str) -> bool:
    """Whether two IP addresses are one; a socket that takes both kinds calls IPv4 ones ::ffff:a.b.c.d."""
    try:
        one, other = (ipaddress.ip_address(text.partition("%")[0]) for text in (name, address))
    except ValueError:
        return False
    mapped = getattr(other, "ipv4_mapped", None)
    return one in (other, mapped)


def _equal(given: str, token: str) -> bool:
    """In a time that does not tell how much of it was right."""
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token.encode())


def _headers(scope: Scope) -> dict[str, str]:
    """The last of each name; where Host stands twice, uvicorn has refused it before."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


def _cookies(header: str, name: str) -> list[str]:
    """The values that a Cookie header has for a name."""
    pairs = (pair.strip().partition("=") for pair in header.split(";"))
    return [value for key, _, value in pairs if key == name]


def _with_headers(send: Send, added: Mapping[str, str]) -> Send:
    """`send`, with headers added to each answer."""
    encoded = _encoded(added)

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *encoded]}
        await send(message)

    return sending


async def _send(answer: Answer, send: Send) -> None:
    body = f"{answer.sentence}\n".encode() if answer.sentence else b""
    headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body)), **answer.headers}
    await send({"type": "http.response.start", "status": answer.status, "headers": _encoded(headers)})
    await send({"type": "http.response.body", "body": body})


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

"""Who may come in to the web page: every route that there is, asked from where it must not be."""

from __future__ import annotations

import http.client
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.routing import Route

from edgecnn.edge.camera.live import Live
from edgecnn.edge.camera.views import doors, server, tokens
from edgecnn.edge.camera.views.feed import Feed
from edgecnn.edge.camera.views.web import WebView
from tests.edge.camera.views.client import ask
from tests.edge.camera.views.scene import card

ROUTES = [route.path for route in server.routes(Feed(Live(card()))) if isinstance(route, Route)]
UNKNOWN = ["/nothing", "/page.js/", "/index.html", "/favicon.ico", "/stream/1", "//"]
OTHER_METHODS = ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebView]:
    """A page that needs a token."""
    with WebView(Live(card()), port=0, token=tmp_path_factory.mktemp("state") / "token") as view:
        yield view


@pytest.fixture(scope="module")
def token(locked: WebView) -> str:
    assert locked.token_file is not None
    return locked.token_file.read_text().strip()


@pytest.fixture(scope="module")
def unlocked() -> Iterator[WebView]:
    """A page for this machine only."""
    with WebView(Live(card()), port=0) as view:
        yield view


def test_the_routes_are_those_of_the_page() -> None:
    assert set(ROUTES) == {"/", "/style.css", "/page.js", "/stream", "/events"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ROUTES + UNKNOWN)
class TestEveryRoute:
    """What no route does, known or not."""

    def test_opens_without_a_token(self, locked: WebView, path: str, method: str) -> None:
        for wrong in ({}, {"Cookie": "edgecnn=x"}, {"Authorization": "Bearer x"}, {"Authorization": "Basic x"}):
            reply = ask(locked.address, path, method, **wrong)
            assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert ("token is needed" in reply.body) == (method == "GET")

    def test_opens_to_a_foreign_host(self, locked: WebView, token: str, path: str, method: str) -> None:
        assert ask(locked.address, path, method, Host="evil.example", Authorization=f"Bearer {token}").status == 403

    def test_opens_to_another_site(self, locked: WebView, token: str, path: str, method: str) -> None:
        given = {"Authorization": f"Bearer {token}"}
        assert ask(locked.address, path, method, Origin="http://evil.example", **given).status == 403
        assert ask(locked.address, path, method, Sec_Fetch_Site="cross-site", **given).status == 403

    def test_opens_no_further_with_one(self, locked: WebView, token: str, path: str, method: str) -> None:
        port = urlsplit(locked.address).port
        for given in ({"Authorization": f"Bearer {token}"}, {"Cookie": f"a=b; edgecnn_{port}={token}; c"}):
            reply = ask(locked.address, path, method, **given)
            assert reply.status == (200 if path in ROUTES else 404)
            assert not reply.body or method == "GET"

    def test_is_without_the_security_headers(self, locked: WebView, token: str, path: str, method: str) -> None:
        for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Host": "evil.example"}):
            reply = ask(locked.address, path, method, **headers)
            assert doors.SECURITY.items() <= reply.headers.items()
            assert not {"server", "date"} & reply.headers.keys()


@pytest.mark.parametrize("method", OTHER_METHODS)
@pytest.mark.parametrize("path", ROUTES + UNKNOWN)
def test_no_route_takes_another_method(locked: WebView, token: str, path: str, method: str) -> None:
    for headers in ({}, {"Authorization": f"Bearer {token}"}):
        reply = ask(locked.address, path, method, **headers)
        assert (reply.status, reply.headers["allow"]) == (405, "GET, HEAD")
    assert ask(locked.address, path, method, Host="evil.example").status == 403, "the Host comes first"


# --- hosts -----------------------------------------------------------------------------------------------------------

PORT = "PORT"
OURS = ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "HOSTNAME:PORT", "FIRST.local:PORT"]
FOREIGN = [
    "",
    "127.0.0.1",
    "127.0.0.1:1",
    "127.0.0.1:PORT0",
    "127.0.0.2:PORT",
    "[::1]:PORT",
    "localhost.evil.example:PORT",
    "evil.example:PORT",
    "evil.example@127.0.0.1:PORT",
    "127.0.0.1:PORT@evil.example",
    "127.0.0.1:PORT, evil.example",
    "127.0.0.1 :PORT",
    "0.0.0.0:PORT",
    "2130706433:PORT",
]


@pytest.mark.parametrize(("host", "status"), [(host, 200) for host in OURS] + [(host, 403) for host in FOREIGN])
def test_a_host_is_ours_or_foreign(unlocked: WebView, host: str, status: int) -> None:
    name = socket.gethostname()
    for sign, meant in ((PORT, str(urlsplit(unlocked.address).port)), ("HOSTNAME", name)):
        host = host.replace(sign, meant)
    assert ask(unlocked.address, "/", Host=host.replace("FIRST", name.partition(".")[0])).status == status


def test_a_request_without_a_host_is_foreign(unlocked: WebView) -> None:
    place = urlsplit(unlocked.address)
    with socket.create_connection((place.hostname, place.port), timeout=10) as asking:
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert asking.recv(1000).startswith(b"HTTP/1.1 403 ")


def test_an_upgrade_is_an_ordinary_request(unlocked: WebView, locked: WebView) -> None:
    given = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Key": "x" * 24}
    assert ask(unlocked.address, "/", **given).status == 200
    assert ask(locked.address, "/events", **given).status == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Origin": "OWN"}, 200),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1"}, 403),
        ({"Origin": "https://OTHER"}, 403),
        ({"X_Forwarded_Host": "evil.example", "Forwarded": "host=evil.example", "X_Forwarded_For": "8.8.8.8"}, 200),
        ({"Host": "evil.example", "X_Forwarded_Host": "OTHER", "Forwarded": "host=OTHER"}, 403),
    ],
)
def test_where_a_request_comes_from(unlocked: WebView, headers: dict[str, str], status: int) -> None:
    own = unlocked.address.rstrip("/")
    given = {key: value.replace("OWN", own).replace("OTHER", urlsplit(own).netloc) for key, value in headers.items()}
    assert ask(unlocked.address, "/", **given).status == status


# --- the token -------------------------------------------------------------------------------------------------------


def test_the_token_is_exchanged_for_a_cookie(locked: WebView, token: str) -> None:
    reply = ask(locked.address, f"/?token={token}")
    assert (reply.status, reply.headers["location"]) == (303, "/")
    cookie, *attributes = reply.headers["set-cookie"].split("; ")
    assert set(attributes) == {"HttpOnly", "SameSite=Strict", "Path=/"}
    assert ask(locked.address, "/", Cookie=cookie).status == 200
    assert ask(locked.address, "/events", Cookie=cookie).status == 200


@pytest.mark.parametrize(
    "made", [lambda t: t[:-1], lambda t: t + "x", lambda t: t.swapcase(), lambda t: "%00", lambda t: "%ff"]
)
def test_a_token_that_is_not_right_opens_nothing(locked: WebView, token: str, made: object) -> None:
    assert callable(made)
    assert ask(locked.address, f"/?token={made(token)}").status == 401
    assert ask(locked.address, "/", Authorization=f"Bearer {made(token)}").status == 401
    assert ask(locked.address, f"/stream?token={token}").status == 401, "it is exchanged at / only"


def test_the_token_is_compared_in_constant_time(locked: WebView, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    compare = doors.hmac.compare_digest
    monkeypatch.setattr(doors.hmac, "compare_digest", lambda one, other: seen.append(other) or compare(one, other))
    ask(locked.address, "/", Authorization=f"Bearer {token}")
    assert seen == [token.encode()]


def test_the_token_is_in_no_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with WebView(Live(card()), port=0, token=tmp_path / "token") as view:
        token = (tmp_path / "token").read_text().strip()
        ask(view.address, f"/?token={token}")
        ask(view.address, f"/nothing?token={token}", "POST")
        ask(view.address, "/", Authorization=f"Bearer {token}")
    written = capfd.readouterr()
    assert token not in caplog.text + written.out + written.err


def test_a_fault_of_ours_says_nothing_of_itself(unlocked: WebView, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(feed: Feed) -> bytes:
        raise RuntimeError("a secret")

    monkeypatch.setattr(Feed, "hello", broken)
    place = urlsplit(unlocked.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", "/events")
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    assert b"secret" not in cut.value.partial
    connection.close()
    monkeypatch.undo()
    assert ask(unlocked.address, "/events").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../doors.py",
        "/%2e%2e/doors.py",
        "/page/..%2f..%2fdoors.py",
        "/page/index.html",
        "//etc/passwd",
        "/..%5cdoors.py",
    ],
)
def test_no_path_leaves_the_page(unlocked: WebView, path: str) -> None:
    assert ask(unlocked.address, path).status == 404


def test_the_default_token_file_is_the_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    view = WebView(Live(card()), "0.0.0.0", 0)  # noqa: S104 - all addresses is what is tested
    try:
        file = tmp_path / "edgecnn" / "camera-token"
        assert view.token_file == file == tokens.default_path()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        address = f"http://127.0.0.1:{urlsplit(view.address).port}"
        assert view.start() == f"{view.address}?token={file.read_text().strip()}"
        assert ask(address, "/").status == 401
        assert ask(address, "/", Authorization=f"Bearer {file.read_text().strip()}").status == 200
    finally:
        view.stop()

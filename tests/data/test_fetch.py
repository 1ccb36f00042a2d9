"""Downloads, from a server on this machine: the right archive, and each way in which it can be the wrong one."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from edgecnn.data.fetch import fetch
from edgecnn.data.sources import Archive
from edgecnn.errors import UnusableFile, UsageError

FILES = {"set/one.bin": b"1" * 300_000, "set/inner/two.bin": b"2" * 5_000}


def tar(files: dict[str, bytes], link: str | None = None) -> bytes:
    """A gzipped tar archive; `link` adds a symbolic link of that name to /etc/passwd."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=0) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    return file.getvalue()


class Server:
    """Serves `content` at every path but /missing; sends only `send` of its bytes where that is set."""

    content = b""
    send: int | None = None
    requests = 0

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(404 if self.path == "/missing" else 200)
                self.send_header("Content-Length", str(len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content[: outer.send])

            def log_message(self, *_: Any) -> None:
                """Nothing on stderr."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def archive(self, path: str = "/set.tar.gz", checksum: str | None = None) -> Archive:
        digest = checksum or hashlib.sha256(self.content).hexdigest()
        return Archive(self.url + path, f"sha256:{digest}", "set")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Server()
    served.content = tar(FILES)
    yield served
    served.http.shutdown()
    served.http.server_close()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_the_right_archive_is_unpacked(server: Server, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    target = fetch(server.archive(), tmp_path / "new/data", lambda done, total: heard.append((done, total)))
    assert target == tmp_path / "new/data/set"
    assert (target / "one.bin").read_bytes() == FILES["set/one.bin"]
    assert (target / "inner/two.bin").read_bytes() == FILES["set/inner/two.bin"]
    assert left_in(tmp_path / "new/data") == ["inner", "one.bin", "set", "two.bin"]
    size = len(server.content)
    assert heard[-1] == (size, size)
    assert {total for _, total in heard} == {size}


def test_what_was_there_is_replaced_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set/stale.bin").write_bytes(b"old")
    fetch(server.archive(), tmp_path)
    assert left_in(tmp_path) == ["inner", "one.bin", "set", "two.bin"]


def test_a_wrong_checksum_is_never_opened(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tarfile, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(UnusableFile) as raised:
        fetch(server.archive(checksum="0" * 64), tmp_path)
    assert "is not the file that was expected" in str(raised.value)
    assert f"unpack it as {tmp_path / 'set'}" in str(raised.value)
    assert left_in(tmp_path) == []


def test_md5_too(server: Server, tmp_path: Path) -> None:
    digest = hashlib.md5(server.content, usedforsecurity=False).hexdigest()
    assert fetch(Archive(f"{server.url}/set.tar.gz", f"md5:{digest}", "set"), tmp_path).is_dir()


@pytest.mark.parametrize("send", [0, 1000, 200_000])
def test_a_connection_cut_midway(server: Server, tmp_path: Path, send: int) -> None:
    server.send = send
    with pytest.raises(UnusableFile, match=r"can't be downloaded|is not the file"):
        fetch(server.archive(), tmp_path)
    assert left_in(tmp_path) == []


def test_what_was_there_stays_when_a_download_fails(server: Server, tmp_path: Path) -> None:
    fetch(server.archive(), tmp_path)
    server.send = 1000
    with pytest.raises(UnusableFile):
        fetch(server.archive(), tmp_path)
    assert (tmp_path / "set/one.bin").read_bytes() == FILES["set/one.bin"]


def test_no_such_page_and_no_server(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UnusableFile, match=r"/missing can't be downloaded \(the server answered 404\)"):
        fetch(server.archive("/missing"), tmp_path)
    nobody = Archive("http://127.0.0.1:9/set.tar.gz", "sha256:" + "0" * 64, "set")  # the discard port, closed
    with pytest.raises(UnusableFile) as raised:
        fetch(nobody, tmp_path)
    assert "Connection refused" in str(raised.value)
    assert f"or get it by other means and unpack it as {tmp_path / 'set'}" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("name", ["../escaped.bin", "/tmp/escaped.bin", "other/one.bin", "set/../../escaped.bin"])  # noqa: S108
def test_names_that_lead_elsewhere(server: Server, tmp_path: Path, name: str) -> None:
    server.content = tar({**FILES, name: b"x"})
    with pytest.raises(UnusableFile, match="which is no file in set"):
        fetch(server.archive(), tmp_path / "data")
    assert left_in(tmp_path / "data") == []
    assert not (tmp_path / "escaped.bin").exists()


def test_links_are_refused(server: Server, tmp_path: Path) -> None:
    server.content = tar(FILES, link="set/passwd")
    with pytest.raises(UnusableFile, match="holds 'set/passwd', which is no file"):
        fetch(server.archive(), tmp_path)
    assert left_in(tmp_path) == []


def test_an_archive_without_files(server: Server, tmp_path: Path) -> None:
    server.content = tar({})
    with pytest.raises(UnusableFile, match="holds no files in set"):
        fetch(server.archive(), tmp_path)
    assert left_in(tmp_path) == []


def test_a_folder_that_is_a_file(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(UsageError, match="data is a file, not a folder"):
        fetch(server.archive(), tmp_path / "data")
    assert server.requests == 0

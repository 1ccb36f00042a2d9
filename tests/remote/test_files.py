"""Uploads, against a real sshd on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("loopback")) as found:
        yield found


@pytest.fixture(scope="module")
def connection(device: Loopback) -> Iterator[Connection]:
    with Connection(device.address) as found:
        yield found


def test_what_is_there_does_not_travel_again(device: Loopback, connection: Connection, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"b" * 300_000)
    parcels = [Parcel(".edgecnn/a", b"a" * 100), Parcel(".edgecnn/deep/b", tmp_path / "b")]
    assert upload(connection, parcels) == 300_100
    assert (device.home / ".edgecnn/deep/b").read_bytes() == b"b" * 300_000
    assert upload(connection, parcels) == 0
    (device.home / ".edgecnn/a").write_bytes(b"x" * 100)  # damaged over there
    assert upload(connection, parcels) == 100


def test_what_a_dead_writer_left_is_removed(device: Loopback, connection: Connection) -> None:
    (device.home / ".edgecnn/left").mkdir(parents=True)
    (device.home / ".edgecnn/left/.edgecnn-x.part").write_bytes(b"half")
    upload(connection, [Parcel(".edgecnn/left/whole", b"1")])
    assert [path.name for path in (device.home / ".edgecnn/left").iterdir()] == ["whole"]

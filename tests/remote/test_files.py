"""Uploads, against a real sshd on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgecnn.errors import DeviceError, OutOfResources
from edgecnn.remote import files
from edgecnn.remote.files import Parcel, upload
from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback
from tests.remote.proxy import proxy
from tests.small_disk import fill, free, small_disk


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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_full_disk_over_there_leaves_nothing(device: Loopback, connection: Connection, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=2) as disk:
        (device.home / "small").symlink_to(disk)
        parcels = [Parcel("small/a", b"a" * 1000), Parcel("small/b", b"b" * 3_000_000)]
        with pytest.raises(OutOfResources, match=r"its disk is full\); free some space"):
            upload(connection, parcels)
        assert names(disk) == ["a"]
        fill(disk)
        with pytest.raises(OutOfResources, match="its disk is full"):
            upload(connection, [Parcel("small/c", b"c" * 1000)])
        free(disk)
        assert upload(connection, [Parcel("small/c", b"c" * 1000)]) == 1000
        assert names(disk) == ["a", "c"]


def test_what_can_not_be_written_is_a_sentence(device: Loopback, connection: Connection) -> None:
    (device.home / "taken/name").mkdir(parents=True)
    (device.home / "taken/file").write_bytes(b"")
    (device.home / "kernels").symlink_to("/proc")  # where not even root can make a file
    for path, reason in [("taken/name", "directory"), ("taken/file/x", "taken/file"), ("kernels/x", "No such file")]:
        with pytest.raises(DeviceError, match=f"a file could not be put there .*{reason}") as refused:
            upload(connection, [Parcel(path, b"1" * 100_000)])
        assert "\n" not in str(refused.value)
    assert names(device.home / "taken") == ["file", "name"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only_is_a_sentence(device: Loopback, connection: Connection) -> None:
    (device.home / "closed").mkdir(mode=0o555)
    with pytest.raises(DeviceError, match="Permission denied"):
        upload(connection, [Parcel("closed/x", b"1")])


def test_no_python_over_there(connection: Connection) -> None:
    with pytest.raises(DeviceError, match="there is no python4 over there"):
        upload(connection, [Parcel("x", b"1" * 1_000_000)], python="python4")


def test_a_python_that_prints_of_its_own_is_a_sentence(device: Loopback, connection: Connection) -> None:
    script = device.home / "greeting-python"
    script.write_text(f'#!/bin/sh\necho Welcome\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    with pytest.raises(DeviceError, match="prints something of its own"):
        upload(connection, [Parcel("x", b"1")], python=str(script))


def test_a_receiver_that_is_killed_leaves_what_the_next_upload_removes(
    device: Loopback, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = files.receiver()
    killed = whole.replace(
        "        digest.update(block)\n        size", "        os.kill(os.getpid(), 9)\n        size"
    )
    assert killed != whole
    monkeypatch.setattr(files, "receiver", lambda: killed)
    with pytest.raises(DeviceError, match=r"an upload failed .*[Kk]illed"):
        upload(connection, [Parcel("killed/x", b"1" * 3_000_000)])
    assert [name[-5:] for name in names(device.home / "killed")] == [".part"]
    monkeypatch.undo()
    upload(connection, [Parcel("killed/x", b"1")])
    assert names(device.home / "killed") == ["x"]


def test_two_uploads_of_the_same_at_the_same_time_both_succeed(device: Loopback) -> None:
    def put(connection: Connection, content: bytes) -> int:
        return upload(connection, [Parcel(f"both/{number}", content) for number in range(20)], python=sys.executable)

    with Connection(device.address) as one, Connection(device.address) as other, ThreadPoolExecutor(2) as pool:
        for turn in range(3):
            content = bytes([turn]) * 100_000
            for travelled in pool.map(lambda way, content=content: put(way, content), [one, other]):
                assert travelled <= 2_000_000
            assert names(device.home / "both") == sorted(map(str, range(20)))
            assert {path.read_bytes() for path in (device.home / "both").iterdir()} == {content}


def test_a_file_of_the_home_folders_own_and_a_users_part_stay(device: Loopback, connection: Connection) -> None:
    (device.home / ".film.part").write_bytes(b"a download of the user's")
    upload(connection, [Parcel("at-home", b"1")])
    assert (device.home / "at-home").read_bytes() == b"1"
    assert (device.home / ".film.part").exists()


def slow_upload(device: Loopback, name: str) -> None:
    """Of a megabyte, which ssh takes at once and which needs four seconds."""
    with proxy(device.port) as link, Connection(device.through(link.port)) as connection:
        link.bytes_per_s = 250e3
        upload(connection, [Parcel(name, bytes(1_000_000))])


@pytest.mark.slow
def test_a_slow_link_does_not_count_as_stalled(device: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STALLED_S", 1.5)
    slow_upload(device, "slow/x")
    monkeypatch.setattr(files, "IN_FLIGHT", 0)  # a planted fault: what is on its way is not thought of
    with pytest.raises(DeviceError, match="the link stalls"):
        slow_upload(device, "slow/y")


def test_progress_is_told_in_bytes(connection: Connection) -> None:
    told: list[tuple[int, int]] = []
    upload(connection, [Parcel("told", b"1" * 200_000)], progress=lambda done, total: told.append((done, total)))
    assert told == [(65_536, 200_000), (131_072, 200_000), (196_608, 200_000), (200_000, 200_000)]

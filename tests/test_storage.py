"""Writing whole: the old or the new, and nothing besides; and hashes of content."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from edgecnn import storage
from edgecnn.errors import OutOfResources, UsageError
from edgecnn.storage import need_space, sha256, sha256_file, sweep, whole_folder, write_whole
from tests.small_disk import fill, free, full_before, small_disk


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_is_replaced_and_made_readable(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(tmp_path) == ["file", "new"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file(call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, call, full_disk)
    with pytest.raises(OutOfResources, match="the disk is full; free some space") as error:
        write_whole(tmp_path / "file", b"new")
    assert error.value.exit_code == 5
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_disk_that_is_really_full() -> None:
    """/dev/full takes nothing: the mapping of a true ENOSPC."""
    with pytest.raises(OutOfResources), storage.disk_errors(Path("/dev/full")), open("/dev/full", "wb", 0) as file:
        file.write(b"x")


def test_an_interrupt_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_writing_in_place_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: a writer that opens the file itself leaves a damaged one, and the check above turns red."""

    def write_in_place(path: Path, content: bytes) -> None:
        with storage.disk_errors(path), path.open("wb") as file:
            file.write(content[:1])
            os.fsync(file.fileno())

    write_whole(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutOfResources):
        write_in_place(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() != b"old"


def test_places_that_can_not_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match=r"can't be written .* choose another folder"):
        write_whole(tmp_path / "file" / "below", b"new")
    monkeypatch.setattr(tempfile, "mkstemp", forbid)
    with pytest.raises(UsageError, match="Read-only file system"):
        write_whole(tmp_path / "other", b"new")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
        assert not (tmp_path / "out").exists()
    assert names(tmp_path) == ["a", "out", "sub"]
    with whole_folder(tmp_path / "out") as folder:
        (folder / "b").write_text("2")
    assert names(tmp_path) == ["b", "out"], "the second one replaces the first"
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o755


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_folder_whose_block_fails_leaves_the_old_one(error: BaseException, tmp_path: Path) -> None:
    with whole_folder(tmp_path / "out") as folder:
        (folder / "old").write_text("1")
    expected = OutOfResources if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), whole_folder(tmp_path / "out") as folder:  # noqa: PT012 - the block is what fails
        (folder / "new").write_text("2")
        raise error
    assert names(tmp_path) == ["old", "out"]


def can_not_exchange(*_: object) -> bool:
    """As on macOS, or a file system that doesn't know it."""
    return False


@pytest.mark.parametrize("failing", [1, 2])
def test_a_folder_that_can_not_be_renamed_leaves_the_old_one(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever rename fails: that of the old folder out of the way, or that of the new one into its place."""
    with whole_folder(tmp_path / "out") as folder:
        (folder / "old").write_text("1")
    rename, calls = os.replace, 0

    def replace(*paths: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == failing:
            full_disk()
        rename(*paths)

    monkeypatch.setattr(storage, "_exchange", can_not_exchange)
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OutOfResources), whole_folder(tmp_path / "out") as folder:
        (folder / "new").write_text("2")
    assert names(tmp_path) == ["old", "out"]


@pytest.mark.parametrize("can_exchange", [True, False])
def test_what_was_there_becomes_the_previous_one(
    can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(storage, "_exchange", can_not_exchange)
    for number in "1234":
        with whole_folder(tmp_path / "out", previous=tmp_path / "before") as folder:
            (folder / number).write_text("")
        expected = {"out": [number]} if number == "1" else {"out": [number], "before": [str(int(number) - 1)]}
        assert {path.name: names(path) for path in tmp_path.iterdir()} == expected


def test_a_folder_in_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with whole_folder(tmp_path / "out") as folder:
        (folder / "new").write_text("")
    assert names(tmp_path) == ["new", "out"]


def test_two_names_are_exchanged_or_it_is_said_that_they_can_not_be(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.write_text("")
    if not storage._exchange(one, other):
        assert one.is_dir()
        pytest.skip("this system doesn't exchange names in one step")
    assert one.is_file()
    assert other.is_dir()
    with pytest.raises(FileNotFoundError):
        storage._exchange(one, tmp_path / "missing")


def test_all_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file and folder in a folder, it, and those made for it; by inode, since they are renamed after."""
    synced = set()

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    with whole_folder(tmp_path / "new" / "out") as folder:
        (folder / "sub" / "below").mkdir(parents=True)
        (folder / "sub" / "below" / "file").write_text("1")
    assert {path.stat().st_ino for path in (tmp_path, *tmp_path.rglob("*"))} <= synced


def test_sweeping_takes_what_was_left_and_nothing_else(tmp_path: Path) -> None:
    ours = (".last.ab12_d3x.tmp", ".last.ab12_d3x.old.tmp", ".best.ab12_d3x.tmp")
    others = (".last.tmp", ".last.ab12_d3.tmp", ".last.ab12_d3x", ".lost.ab12_d3x.tmp", "last.ab12_d3x.tmp", ".last.AB")
    for name in (*ours, *others, "last"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / ".curves.png.ab12_d3x.tmp").write_text("")
    sweep(tmp_path, ("last", "best", "curves.png"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted((*others, "last"))
    sweep(tmp_path / "missing", ("last",))


def test_sweeping_knows_the_names_that_writers_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is interrupted as it syncs, and what it would tidy up then is left, as after a SIGKILL."""
    monkeypatch.setattr(storage, "sync_folder", lambda path: None)
    monkeypatch.setattr(os, "fsync", full_disk)
    monkeypatch.setattr(storage, "_remove", lambda path: None)
    monkeypatch.setattr(Path, "unlink", lambda path, missing_ok: None)
    with pytest.raises(OutOfResources):
        write_whole(tmp_path / "file.json", b"")
    with pytest.raises(OutOfResources), whole_folder(tmp_path / "out") as folder:
        (folder / "file").write_text("")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path, ("file", "json", "ou"))
    assert len(list(tmp_path.iterdir())) == 2
    sweep(tmp_path, ("file.json", "out"))
    assert names(tmp_path) == []


@pytest.mark.parametrize("there", [True, False])
def test_sweeping_puts_back_what_was_moved_out_of_the_way(there: bool, tmp_path: Path) -> None:
    (tmp_path / ".out.ab12_d3x.old.tmp/out").mkdir(parents=True)
    (tmp_path / ".out.ab12_d3x.old.tmp/out/old").write_text("")
    if there:
        (tmp_path / "out").mkdir()
    sweep(tmp_path, ("out",))
    assert names(tmp_path) == (["out"] if there else ["old", "out"])


def test_space_that_is_needed(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=8) as disk:
        need_space(disk, 6 << 20)
        need_space(disk / "not" / "yet" / "there", 6 << 20)
        fill(disk, leave=3 << 20)
        need_space(disk, 1 << 20)
        with pytest.raises(OutOfResources, match=r"disk: the disk has 3\.0 MiB free, but 3\.0 MiB are needed"):
            need_space(disk, 2 << 20)
        with pytest.raises(OutOfResources, match=r"disk/sub: the disk has 3\.0 MiB free, but 103\.0 MiB are needed"):
            need_space(disk / "sub", 100 << 20)


def test_a_disk_that_does_not_know_its_size_has_space() -> None:
    need_space(Path("/proc"), 1 << 40)


@pytest.mark.parametrize("write", range(1, 4))
def test_a_disk_that_fills_up_while_a_file_or_a_folder_is_written(write: int, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", mib=1) as disk:
        write_whole(disk / "file", b"old")
        with whole_folder(disk / "out") as folder:
            (folder / "old").write_text("1")
        with pytest.raises(OutOfResources), full_before(write, disk):
            three_writes(disk)
        free(disk)
        content = (disk / "file").read_bytes()
        assert content == (b"old" if write == 1 else b"new")
        assert names(disk) == ["file", "old", "out"]


def three_writes(disk: Path) -> None:
    write_whole(disk / "file", b"new")
    with whole_folder(disk / "out") as folder:
        (folder / "a").write_bytes(b"2")
        (folder / "b").write_bytes(b"3")


def test_hashes(tmp_path: Path) -> None:
    """NIST's example for "abc", and a file of more than one block."""
    assert sha256(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    content = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == sha256(content)

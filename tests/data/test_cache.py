"""Decoded pictures in a file: the very same, decoded once, never a part, and the disk's end is said before it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edgecnn.data import DataSpec, Pictures, cache, fingerprint, open_dataset
from edgecnn.data import pictures as records
from edgecnn.data.cache import ABOUT, IMAGES, LOCK, PART
from edgecnn.data.places import decoded_dir
from edgecnn.edge import exif, headers, pixels
from edgecnn.errors import OutOfResources, UnusableFile


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Twelve pictures of two classes in train, four in test."""
    for split, count in (("train", 6), ("test", 2)):
        for c, label in enumerate(("cat", "dog")):
            (tmp_path / "set" / split / label).mkdir(parents=True)
            for i in range(count):
                noise = np.random.default_rng(10 * c + i).integers(0, 256, (20, 24, 3), np.uint8)
                Image.fromarray(noise).save(tmp_path / "set" / split / label / f"{i}.png")
    return tmp_path / "set"


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that were decoded."""
    seen: list[str] = []
    load = pixels.load

    def counted(path: Path, height: int, width: int, resize: str, channels: int) -> pixels.Image:
        seen.append(path.name)
        return load(path, height, width, resize, channels)

    monkeypatch.setattr(pixels, "load", counted)
    return seen


def spec(root: Path, where: str = "disk", broken: str = "refuse", side: int = 16) -> DataSpec:
    return DataSpec(None, str(root), 0.2, side, side, "crop", broken, where)


def load(root: Path, where: str = "disk", broken: str = "refuse", side: int = 16) -> Pictures:
    return open_dataset(spec(root, where, broken, side)).load("train")


def touch(path: Path) -> None:
    """Another time of change, everything else alike."""
    found = path.stat()
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns + 1))


def folder() -> Path:
    """The one folder there is."""
    (made,) = decoded_dir().iterdir()
    return made


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_the_same_pictures_as_in_memory(root: Path, split: str) -> None:
    dataset = open_dataset(spec(root))
    kept, plain = dataset.load(split), open_dataset(spec(root, "memory")).load(split)
    assert isinstance(kept.images, np.memmap)
    assert not isinstance(plain.images, np.memmap)
    assert not kept.images.flags.writeable
    assert np.array_equal(kept.images, plain.images)
    assert (kept.names, kept.classes.tolist()) == (plain.names, plain.classes.tolist())
    assert fingerprint(kept) == fingerprint(plain)
    assert sorted(path.name for path in folder().iterdir()) == [ABOUT, IMAGES, LOCK]
    (note,) = dataset.notes
    assert f"the {split} pictures are decoded once and read from {folder() / IMAGES}" in note


def test_pictures_are_decoded_once(root: Path, decodes: list[str]) -> None:
    first = load(root)
    assert len(decodes) == len(first) == 10
    again = load(root)
    assert len(decodes) == 10
    assert fingerprint(again) == fingerprint(first)


def test_a_change_decodes_anew_in_the_same_place(
    root: Path, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def decoded(what: str) -> None:
        before = len(decodes)
        pictures = load(root)
        assert len(decodes) == before + len(pictures), what
        assert fingerprint(pictures) == fingerprint(load(root, "memory")), what
        assert len(list(decoded_dir().iterdir())) == 1, what
        decodes.clear()

    decoded("nothing there")
    old = load(root)
    touch(root / "train/cat/1.png")
    touch(root / "train/cat/0.png")
    decoded("a time of change")
    for name in ("0.png", "1.png", "2.png", "3.png"):
        Image.new("RGB", (9, 9), "red").save(root / "train/cat" / name)
    decoded("another picture")
    assert old.images.max() > 0, "who had the old file open goes on reading it"
    (root / "train/cat/5.png").rename(root / "train/cat/9.png")
    decoded("a name")
    with (folder() / IMAGES).open("ab") as file:
        file.write(b"more")
    decoded("a file of another size")
    (folder() / ABOUT).write_text("{", encoding="utf-8")
    decoded("a damaged record")
    monkeypatch.setattr(cache, "decoder", lambda: "another OpenCV")
    decoded("another decoder")


def test_the_decoder_is_our_code_and_opencvs_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache.decoder()
    for module in (pixels, headers, exif):
        other = tmp_path / "changed.py"
        other.write_text("changed", encoding="utf-8")
        with monkeypatch.context() as patch:
            patch.setattr(module, "__file__", str(other))
            assert cache.decoder() != before
    with monkeypatch.context() as patch:
        patch.setattr("cv2.__version__", "0.0")
        assert cache.decoder() != before
    assert cache.decoder() == before


def test_each_split_and_size_has_its_own(root: Path, decodes: list[str]) -> None:
    for _ in range(2):
        dataset = open_dataset(spec(root))
        for split in ("train", "val", "test"):
            dataset.load(split)
        load(root, side=8)
    assert len(decodes) == 10 + 2 + 4 + 10
    assert len(list(decoded_dir().iterdir())) == 4
    assert "4 splits" in (cache.kept() or "")


def test_val_that_is_test_too_is_kept_once(root: Path) -> None:
    (root / "test").rename(root / "val")
    dataset = open_dataset(spec(root))
    assert fingerprint(dataset.load("val")) == fingerprint(dataset.load("test"))
    folder()


def test_auto_is_memory_while_half_of_it_is_enough(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 10 * 16 * 16 * 3
    monkeypatch.setattr(cache, "free_memory", lambda: 2.0 * needed)
    assert not isinstance(load(root, "auto").images, np.memmap)
    monkeypatch.setattr(cache, "free_memory", lambda: 2.0 * needed - 1)
    assert isinstance(load(root, "auto").images, np.memmap)
    monkeypatch.setattr(records, "free_memory", lambda: needed - 1.0)
    with pytest.raises(OutOfResources, match=r"use data\.cache=disk"):
        load(root, "memory")


def test_broken_pictures_are_left_out_and_the_others_close_up(root: Path, decodes: list[str]) -> None:
    for name in ("cat/0.png", "cat/3.png", "dog/5.png"):
        (root / "train" / name).write_text("text", encoding="utf-8")
    plain = load(root, "memory", "skip")
    kept = load(root, "disk", "skip")
    assert fingerprint(kept) == fingerprint(plain)
    assert (folder() / IMAGES).stat().st_size == len(kept) * 16 * 16 * 3
    decodes.clear()
    assert fingerprint(load(root, "disk", "skip")) == fingerprint(plain)
    with pytest.raises(UnusableFile, match=r"of 10 train pictures can't be used"):
        load(root, "disk", "refuse")
    assert decodes == [], "the file knows what is broken"


def test_nothing_but_broken_pictures(root: Path) -> None:
    for path in (root / "train").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(UnusableFile, match="no other is left of cat, dog"):
        load(root, "disk", "skip")


def test_a_full_disk_is_said_before_anything_is_decoded(
    root: Path, decodes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = SimpleNamespace(f_blocks=1000, f_bavail=256, f_frsize=4096)  # 1 MiB
    monkeypatch.setattr(os, "statvfs", lambda path: full)
    with pytest.raises(OutOfResources, match=r"1\.0 MiB free, but 8\.7 MiB are needed.* XDG_CACHE_HOME") as raised:
        load(root, side=512)
    assert raised.value.exit_code == 5
    assert decodes == []
    assert [path.name for path in folder().iterdir()] == [LOCK]


def test_a_disk_that_fills_up_meanwhile(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, start: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OutOfResources, match="the disk is full"):
        load(root)
    assert [path.name for path in folder().iterdir()] == [LOCK]


def test_an_error_half_way_leaves_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pixels, "load", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(root)
    assert [path.name for path in folder().iterdir()] == [LOCK]
    assert fingerprint(load(root)) == fingerprint(load(root, "memory"))


SLOW = r"""
import sys, time
from pathlib import Path
from edgecnn.data import DataSpec, fingerprint, open_dataset
from edgecnn.edge import pixels

load, pause = pixels.load, float(sys.argv[2])

def slow(path, *rest):
    print("decoded\n", end="", flush=True)  # in one write: pictures are decoded by several threads
    image = load(path, *rest)
    time.sleep(pause)
    return image

pixels.load = slow
spec = DataSpec(None, sys.argv[1], 0.2, 16, 16, "crop", "refuse", "disk")
print(fingerprint(open_dataset(spec).load("train")))
"""


def child(root: Path, pause: float) -> subprocess.Popen[str]:
    """Another process that wants the same pictures; it takes `pause` seconds for each."""
    return subprocess.Popen([sys.executable, "-c", SLOW, str(root), str(pause)], stdout=subprocess.PIPE, text=True)


def begun(process: subprocess.Popen[str]) -> None:
    """Wait until it has decoded its first picture."""
    assert process.stdout is not None
    assert process.stdout.readline() == "decoded\n"


def test_killed_half_way(root: Path) -> None:
    process = child(root, 60.0)
    begun(process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert sorted(path.name for path in folder().iterdir()) == [PART, LOCK]
    before = folder()
    load(root, side=8)  # other pictures: sweeps all the same
    assert [path.name for path in before.iterdir()] == [LOCK]
    assert fingerprint(load(root)) == fingerprint(load(root, "memory"))


def test_what_another_process_is_at_work_on_is_left_alone(root: Path) -> None:
    process = child(root, 60.0)
    try:
        begun(process)
        at_work = folder()
        load(root, side=8)
        assert (at_work / PART).exists()
    finally:
        process.kill()
        process.communicate()


def test_two_processes_at_once_decode_once(root: Path) -> None:
    first = child(root, 0.2)
    begun(first)
    second = child(root, 0.0)
    (out, _), (other, _) = first.communicate(), second.communicate()
    assert (first.returncode, second.returncode) == (0, 0)
    assert out.split()[-1] == other.strip() == fingerprint(load(root, "memory"))


def test_waiting_is_for_the_lock(root: Path) -> None:
    load(root)
    touch(root / "train/cat/0.png")
    with cache._locked(folder()):
        waiting = threading.Thread(target=load, args=(root,))
        waiting.start()
        time.sleep(0.2)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


def test_a_run_of_neighbours_is_not_copied(root: Path) -> None:
    pictures = load(root)
    run = pictures.take(np.arange(2, 6))
    assert isinstance(run.images, np.memmap)
    assert np.array_equal(run.images, pictures.images[2:6])
    for places in ([5, 2], [0, 2], [-1], [-1, 0], []):
        taken = pictures.take(np.array(places, np.int64))
        assert not isinstance(taken.images, np.memmap)
        assert np.array_equal(taken.images, np.array(pictures.images)[np.array(places, np.int64)])


def test_a_registered_source_at_another_size(decodes: list[str]) -> None:
    def loaded(where: str, side: int) -> Pictures:
        return open_dataset(DataSpec("cifar10_mini", None, 0.1, side, side, "crop", cache=where)).load("val")

    for side in (32, 40):
        kept = loaded("disk", side)
        assert isinstance(kept.images, np.memmap)
        assert fingerprint(kept) == fingerprint(loaded("memory", side))
    written = {path: path.stat().st_mtime_ns for path in decoded_dir().glob(f"*/{IMAGES}")}
    loaded("disk", 40)
    assert written == {path: path.stat().st_mtime_ns for path in decoded_dir().glob(f"*/{IMAGES}")}


def test_where_it_is_kept_and_how_large() -> None:
    assert cache.kept() is None
    (decoded_dir() / "a").mkdir(parents=True)
    (decoded_dir() / "a" / IMAGES).write_bytes(bytes(3 * 2**20))
    said = cache.kept() or ""
    assert "1 splits, 3.0 MiB" in said
    assert f"rm -r {decoded_dir()}" in said

"""fake.py: its frames, its rate, and its faults."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.camera.clock import Pace
from edgecnn.edge.camera.scenery import Scenery
from edgecnn.edge.camera.sources import Wanted
from edgecnn.edge.camera.sources.fake import SOURCE, Fault, read_fault
from edgecnn.errors import DeviceError, UsageError
from edgecnn.remote.zipapp import application
from tests.edge.camera.reading import read_until

WANTED = Wanted(32, 32, width=64, height=48)


class Clock:
    """Time passes by sleeping only."""

    ns = 50_000_000_000

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


def test_frames_are_the_scene_at_its_rate() -> None:
    clock = Clock()
    with SOURCE.open("fake://?fps=100", WANTED) as source:
        source._pace = Pace(lambda: clock.ns, clock.sleep)
        frames = list(islice(source, 31))
    assert source.live
    scenery = Scenery(48, 64)
    assert all(np.array_equal(frame.data, scenery.draw(number)) for number, frame in enumerate(frames))
    assert np.diff([frame.captured_ns for frame in frames]).tolist() == pytest.approx([1e7] * 30, abs=2)
    assert clock.ns == pytest.approx(Clock.ns + 0.3e9, abs=2)


def test_its_rate_is_real() -> None:
    with SOURCE.open("fake://?fps=100", WANTED) as source:
        before_ns = time.monotonic_ns()
        assert len(list(islice(source, 31))) == 31
    assert time.monotonic_ns() - before_ns >= 0.3e9


@pytest.mark.parametrize(
    ("text", "wanted", "shape"),
    [
        ("fake://", Wanted(32, 32), (480, 640, 3)),
        ("FAKE://?width=100", Wanted(32, 32, width=50, height=60), (60, 100, 3)),
        ("fake://?width=1280&height=720&fps=60", Wanted(32, 32), (720, 1280, 3)),
    ],
)
def test_sizes_come_from_the_address_then_from_what_is_wanted(
    text: str, wanted: Wanted, shape: tuple[int, ...]
) -> None:
    with SOURCE.open(text, wanted) as source:
        assert next(iter(source)).data.shape == shape
        assert source.description.startswith(text)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("widht=3", "has no option 'widht'; did you mean 'width'"),
        ("width=0", "width must be a number from 1 to 4096, not '0'"),
        ("height=5000", "height must be"),
        ("fps=nan", "fps must be"),
        ("fps=quick", "not 'quick'"),
        ("fault=explode@3", "block, nothing, repeat, vanish"),
        ("fault=block", "block@100"),
        ("fault=block@-1", "block@100"),
        ("fault=", "block@100"),
    ],
)
def test_what_makes_no_sense_is_named(query: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        SOURCE.open(f"fake://?{query}", WANTED)


def test_before_it_vanishes_frames_come() -> None:
    with SOURCE.open("fake://?fps=500&fault=vanish@4", WANTED) as source:
        frames, said = read_until(source, DeviceError)
    assert len(frames) == 4
    assert "the camera is lost" in said


def test_repeat_is_the_same_frame_at_new_times() -> None:
    with SOURCE.open("fake://?fps=500&fault=repeat@2", WANTED) as source:
        frames = list(islice(source, 6))
    same = [np.array_equal(frame.data, frames[2].data) for frame in frames]
    assert same == [False, False, True, True, True, True]
    assert len({frame.captured_ns for frame in frames}) == 6


@pytest.mark.parametrize("kind", ["block", "nothing"])
def test_after_block_and_nothing_no_frame_comes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sleeps of a source that gives no more: one that does not return, or one for each frame that does not come."""

    class Enough(Exception):
        pass

    slept = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > 200:
            raise Enough

    with SOURCE.open(f"fake://?fps=500&fault={kind}@3", WANTED) as source:
        frames = iter(source)
        assert len([next(frames) for _ in range(3)]) == 3
        monkeypatch.setattr("edgecnn.edge.camera.sources.fake.time.sleep", sleep)
        monkeypatch.setattr("edgecnn.edge.camera.sources.fake.Scenery.draw", lambda *_: sleep(0.002))
        with pytest.raises(Enough):
            next(frames)
    assert (max(slept) == 60) == (kind == "block")


def test_a_fault_is_read() -> None:
    assert read_fault("nothing@7") == Fault("nothing", 7)
    assert read_fault(None).kind == "none"


def test_it_runs_from_what_is_packed_for_a_device(tmp_path: Path) -> None:
    """Floor 0 and edge/ in a zip file, in a process that finds nothing else of edgecnn."""
    (tmp_path / "device.pyz").write_bytes(application())
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from edgecnn.edge.camera.sources import Wanted, find_kind\n"
        "with find_kind('fake://').open('fake://', Wanted(32, 32)) as source:\n"
        "    print(__import__('edgecnn').__file__, next(iter(source)).data.shape)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "device.pyz")],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == f"{tmp_path / 'device.pyz' / 'edgecnn' / '__init__.py'} (480, 640, 3)"

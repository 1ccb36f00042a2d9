"""The camera's loop on the made-up scene and on folders, with sources and processes that fail."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.edge import pixels
from edgecnn.edge.artifact import load
from edgecnn.edge.camera import keepers, revival
from edgecnn.edge.camera.camera import Camera, Hands, Settings
from edgecnn.edge.camera.live import Live, ModelCard, Result
from edgecnn.edge.camera.sources import Wanted
from edgecnn.errors import DeviceError, EdgecnnError, UnusableFile
from edgecnn.verbs.folders import find_artifact

MODEL = find_artifact("cifar10-ds")


def settings(source: str, frames: int | None = None, **wanted: object) -> Settings:
    asked = Wanted(32, 32, pictures_per_s=float("inf"))
    return Settings(MODEL, source, replace(asked, **wanted), threads=1, frames=frames)  # type: ignore[arg-type]


def live() -> Live:
    return Live(ModelCard("cifar10-ds", "", "litert", 1, "int8", "32x32 crop", ()))


class Heard:
    """Answers and sentences, in order."""

    def __init__(self, on_say: Callable[[str], None] = lambda text: None) -> None:
        self.results: list[Result] = []
        self.said: list[str] = []
        self._on_say = on_say

    def say(self, text: str) -> None:
        self.said.append(text)
        self._on_say(text)

    @property
    def hands(self) -> Hands:
        return Hands(self.results.append, self.say)


def run(asked: Settings, heard: Heard, shown: Live | None = None) -> Camera:
    with Camera(asked, shown or live(), heard.hands) as camera:
        camera.run()
        return camera


def folder_of(path: Path, count: int) -> list[Path]:
    """Pictures of noise, blurred so that they differ in what the model sees."""
    path.mkdir()
    random = np.random.default_rng(3)
    made = []
    for number in range(count):
        image = cv2.resize(random.integers(0, 256, (4, 5, 3), np.uint8), (50 + number, 40))
        made.append(path / f"{number:03}.png")
        cv2.imwrite(str(made[-1]), image)
    return made


# --- what it answers -------------------------------------------------------------------------------------------------


def test_of_the_first_pictures_of_a_folder_none_is_dropped(tmp_path: Path) -> None:
    """Those that came while it was ending are not counted."""
    folder_of(tmp_path / "pictures", 60)
    summary = run(settings(str(tmp_path / "pictures"), frames=7), Heard()).summary
    assert (summary.frames, summary.results, summary.dropped) == (7, 7, 0.0)


def test_every_picture_of_a_folder_is_answered_as_predict_answers(tmp_path: Path) -> None:
    made = folder_of(tmp_path / "a folder", 40)
    heard = Heard()
    camera = run(settings(str(tmp_path / "a folder")), heard)
    assert [result.image for result in heard.results] == list(map(str, made))
    model = load(MODEL)
    for path, result in zip(made, heard.results, strict=True):
        assert result.top == model.predict(pixels.read(path))
        assert result.label == result.top[0].label
        assert result.age_ms >= result.stages_ms["model"] > 0
    assert camera.summary.results == 40
    assert camera.summary.dropped == 0


def test_a_broken_picture_is_said_and_passed_over(tmp_path: Path) -> None:
    made = folder_of(tmp_path / "photos", 5)
    made[2].write_bytes(made[2].read_bytes()[:50])
    heard = Heard()
    run(settings(str(tmp_path / "photos")), heard)
    assert [result.image for result in heard.results] == [str(path) for path in made if path != made[2]]
    assert [text for text in heard.said if "002.png" in text] == heard.said


def test_a_picture_that_is_too_large_is_named_and_where_none_is_left_it_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos/phone.png"), np.zeros((6048, 8064, 3), np.uint8))
    heard = Heard()
    with pytest.raises(UnusableFile, match=r"no frame could be used, the last: .*phone.png: 8064x6048 pixels"):
        run(settings(str(tmp_path / "photos")), heard)
    assert "45 megapixels that a frame may have; make it smaller" in heard.said[0]


def test_signs_of_life_do_not_depend_on_frames() -> None:
    """A source that blocks is waited for, and opened again; a loop that does so is alive."""
    heard, signs, ready = Heard(), [], []
    hands = replace(heard.hands, alive=lambda: signs.append(time.monotonic()), ready=lambda: ready.append(len(signs)))
    shown = live()
    with Camera(settings("fake://?fps=5&fault=block@3"), shown, hands) as camera:
        threading.Timer(4.0, shown.close).start()
        camera.run()
    assert len(heard.results) < 6
    assert max(later - before for before, later in pairwise(signs)) < 1.5
    assert len(ready) == 1


def test_a_scene_is_answered_at_its_pace_and_ends_after_the_frames_asked_for() -> None:
    heard = Heard()
    summary = run(settings("fake://", frames=45), heard).summary
    assert len(heard.results) == 45
    numbers = [result.frame for result in heard.results]
    assert numbers == sorted(set(numbers))
    assert 20 < summary.frames_per_s < 40
    assert summary.dropped < 0.5
    assert {"decode", "wait", "pixels", "model", "answer"} <= set(summary.stages_ms)


def test_a_view_gets_the_picture_that_the_answer_is_about(tmp_path: Path) -> None:
    made = folder_of(tmp_path / "photos", 8)
    shown, pictures = live(), {}
    shown.watch(1)
    put = shown.put

    def kept(newer: object) -> None:
        pictures[newer.result.image] = newer.picture  # type: ignore[attr-defined]
        put(newer)  # type: ignore[arg-type]

    shown.put = kept  # type: ignore[method-assign]
    run(settings(str(tmp_path / "photos")), Heard(), shown)
    assert set(pictures) <= set(map(str, made)), "a view that is late misses some, and never gets another's"
    assert pictures
    for path, picture in pictures.items():
        assert np.array_equal(picture, pixels.read(Path(path)))
    assert shown.health.state == "ended"


def test_nobody_looks_so_no_picture_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecnn.edge.camera.slot.Slot.copy", lambda slot, number: pytest.fail("copied"))
    run(settings("fake://", frames=5), Heard())


# --- what can be said against it --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("/dev/video63", DeviceError, "no such camera"),
        ("/nowhere/at all", UnusableFile, "/nowhere/at all"),
    ],
)
def test_a_source_that_never_opens_ends_it(source: str, error: type[EdgecnnError], words: str) -> None:
    with pytest.raises(error, match=words):
        run(settings(source), Heard())


def test_a_model_that_is_damaged_ends_it(tmp_path: Path) -> None:
    damaged = tmp_path / "model"
    damaged.mkdir()
    for path in MODEL.iterdir():
        (damaged / path.name).write_bytes(path.read_bytes())
    (damaged / "model.tflite").write_bytes(b"no model")
    with pytest.raises(UnusableFile, match="damaged or was changed"):
        run(replace(settings("fake://"), artifact=damaged), Heard())


# --- what it survives ------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a second instead of four, so that the test is short; tools/soak_camera takes the real ones."""
    monkeypatch.setattr(keepers, "SILENCE_S", 1.0)
    monkeypatch.setattr(keepers, "ANSWER_S", 1.0)
    monkeypatch.setattr(revival, "PAUSES_S", (0.1,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [("block", "no frame"), ("nothing", "no frame"), ("repeat", "same frame"), ("vanish", "")],
)
@pytest.mark.usefixtures("impatient")
def test_a_source_that_fails_is_noticed_and_opened_again(fault: str, words: str) -> None:
    import re

    shown = live()
    states: list[tuple[str, str]] = []

    def said(text: str) -> None:
        states.append((camera._capture.state, camera._capture.message))
        if len(heard.said) == 3:
            shown.close()

    heard = Heard(said)
    with Camera(settings(f"fake://?fault={fault}@20"), shown, heard.hands) as camera:
        threads, descriptors = threading.active_count(), len(os.listdir("/proc/self/fd"))
        camera.run()
        assert threading.active_count() == threads
        assert camera.summary.restarts == 2
    assert len(os.listdir("/proc/self/fd")) < descriptors, "everything is closed"
    assert all("opening it again" in text for text in heard.said)
    assert all(re.search(words, text) for text in heard.said), heard.said
    assert all(state == "stalled" and message in heard.said for state, message in states)
    assert len(heard.results) >= 3 * 15, "frames came before each fault"


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_without_the_watch_a_blocked_source_is_never_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate above, red: a keeper that only hears what its process says."""
    monkeypatch.setattr(keepers.CaptureKeeper, "tick", lambda keeper, now: keeper.revive(now))
    shown, heard = live(), Heard()
    threading.Timer(6.0, shown.close).start()
    run(settings("fake://?fault=block@20"), heard, shown)
    assert not heard.said


@pytest.mark.slow
@pytest.mark.parametrize("which", [0, 1], ids=["capture", "inference"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.usefixtures("impatient")
def test_a_process_that_is_killed_or_stopped_is_started_anew(which: int, number: signal.Signals) -> None:
    shown = live()
    heard = Heard()
    with Camera(settings("fake://"), shown, heard.hands) as camera:

        def disturb() -> None:
            while len(heard.results) < 10:
                time.sleep(0.05)
            os.kill(camera.pids[which], number)
            while not heard.said:
                time.sleep(0.05)
            before = len(heard.results)
            while len(heard.results) < before + 20:
                time.sleep(0.05)
            shown.close()

        threading.Thread(target=disturb).start()
        camera.run()
    assert len(heard.said) == 1
    numbers = [result.frame for result in heard.results]
    assert numbers == sorted(set(numbers)), "no frame is answered twice"


@pytest.mark.slow
@pytest.mark.usefixtures("impatient")
def test_a_folder_goes_on_behind_the_picture_that_killed_the_engine(tmp_path: Path) -> None:
    made = folder_of(tmp_path / "photos", 400)
    heard = Heard()
    with Camera(settings(str(tmp_path / "photos")), live(), heard.hands) as camera:

        def disturb() -> None:
            while len(heard.results) < 50:
                time.sleep(0.001)
            os.kill(camera.pids[1], signal.SIGKILL)

        threading.Thread(target=disturb).start()
        camera.run()
    answered = [result.image for result in heard.results]
    assert len(set(answered)) == len(answered) >= 397
    assert answered[-1] == str(made[-1])


@pytest.mark.slow
def test_an_engine_that_dies_of_the_model_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revival, "PAUSES_S", (0.05,))
    monkeypatch.setattr(keepers.InferenceKeeper, "word", "no such word")
    with pytest.raises(DeviceError, match="5 times in a row"):
        run(settings("fake://"), Heard())


def test_nothing_is_left_open() -> None:
    descriptors = set()
    for _ in range(3):
        run(settings("fake://", frames=2), Heard())
        descriptors.add(len(os.listdir("/proc/self/fd")))
    assert len(descriptors) == 1


def test_processes_end_with_the_one_that_started_them() -> None:
    with Camera(settings("fake://", frames=3), live(), Heard().hands) as camera:
        camera.run()
        pids = camera.pids
        assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

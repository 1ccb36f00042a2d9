"""The window, on a display that is a list: keys, the X, what is drawn and what is saved."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecnn.edge.artifact import Prediction
from edgecnn.edge.camera.live import Health, Live, ModelCard, Result, Shown
from edgecnn.edge.camera.views.window import LEAST, OpenCVScreen, WindowView, render, status_line, unavailable
from edgecnn.edge.pixels import Image, Part
from edgecnn.errors import EdgecnnError

CARD = ModelCard("cifar10-ds", "0" * 64, "litert", 1, "int8", "32x32 crop", ("cat", "dog"))
RESULT = Result(7, "cat", 0.93, 18.0, {}, (Prediction("cat", 0.93), Prediction("dog", 0.07)))


def photo(seed: int = 0, height: int = 480, width: int = 640) -> Image:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@dataclass
class FakeScreen:
    """A display whose user presses `keys`, one at a turn, and does `then` when there are no more."""

    keys: list[int | None]
    then: Callable[[], None] | None = None
    closed_after: int | None = None
    said: list[str] = field(default_factory=list)
    pictures: list[Image] = field(default_factory=list)
    turns: int = 0

    def open(self, title: str) -> None:
        self.said.append(f"open {title}")

    def show(self, picture: Image) -> None:
        assert self.said[-1].startswith("open"), "a window that was closed is not opened again"
        self.pictures.append(picture)

    def key(self) -> int | None:
        self.turns += 1
        if self.keys:
            return self.keys.pop(0)
        if self.then is not None:
            self.then()
        return None

    def is_open(self) -> bool:
        return self.closed_after is None or self.turns < self.closed_after

    def close(self) -> None:
        self.said.append("close")


def view(live: Live, screen: FakeScreen, folder: Path | None = None) -> list[str]:
    """Run the window to its end; what it told the user."""
    told: list[str] = []
    WindowView(live, told.append, screen, folder).run()
    assert live.closed
    assert not live.watched
    assert screen.said == ["open edgecnn - cifar10-ds", "close"]
    return told


def live_with(shown: Shown | None = None) -> Live:
    live = Live(CARD)
    live.tell(Health("running", results_per_s=24.9))
    if shown is not None:
        live.put(shown)
    return live


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_q_and_escape_end_it(key: int) -> None:
    assert view(live_with(Shown(photo(), RESULT)), FakeScreen([None, ord("x"), key])) == []


def test_its_x_ends_it() -> None:
    screen = FakeScreen([], closed_after=3)
    view(live_with(Shown(photo(), RESULT)), screen)
    assert screen.turns == 3


def test_it_ends_when_the_camera_does() -> None:
    live = live_with()
    view(live, FakeScreen([None], then=live.close))


def test_an_error_leaves_no_window_behind() -> None:
    class Broken(FakeScreen):
        def show(self, picture: Image) -> None:
            raise EdgecnnError("no")

    live, screen = live_with(), Broken([])
    with pytest.raises(EdgecnnError):
        WindowView(live, pytest.fail, screen).run()
    assert screen.said[-1] == "close"
    assert not live.watched


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_only_what_is_new_is_drawn() -> None:
    live = live_with(Shown(photo(0), RESULT))
    healths = iter([live.health, replace(live.health, results_per_s=12.0)])
    screen = FakeScreen([None] * 5)

    def then() -> None:
        health = next(healths, None)
        if health is not None:
            live.tell(health)
        elif len(screen.pictures) == 2:
            live.put(Shown(photo(1), RESULT))
        else:
            live.close()

    screen.then = then
    view(live, screen)
    assert len(screen.pictures) == 3
    assert np.array_equal(screen.pictures[0][100:300, 400:], photo(0)[100:300, 400:])
    assert np.array_equal(screen.pictures[2][100:300, 400:], photo(1)[100:300, 400:])


def test_before_the_first_picture_it_says_what_happens() -> None:
    live, screen = Live(CARD), FakeScreen([ord("s"), ord("q")])
    live.tell(Health("opening", "opening /dev/video0"))
    assert view(live, screen) == [], "there is nothing to save"
    assert screen.pictures[0].shape == (LEAST, LEAST * 4 // 3, 3)
    assert screen.pictures[0][-30:].max() > 200
    assert screen.pictures[0][:-30].max() == 0


def test_a_small_picture_is_enlarged_so_that_text_has_room() -> None:
    drawn = render(Shown(photo(0, 32, 32), RESULT), "")
    assert drawn.shape == (384, 384, 3)
    assert render(Shown(photo(0, 720, 1280), RESULT), "").shape == (720, 1280, 3)


def test_the_class_map_is_laid_over() -> None:
    grey = np.full((480, 640, 3), 128, np.uint8)
    heatmap = np.full((3, 3), 255, np.uint8)
    drawn = render(Shown(grey, RESULT, heatmap, Part(0, 80, 480, 480)), "")
    assert drawn[200, 600].tolist() == [128, 128, 128]
    assert drawn[200, 500].tolist() != [128, 128, 128]


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (Health(), "opening"),
        (Health("stalled", "nothing for 6 s, opened anew"), "stalled: nothing for 6 s, opened anew"),
        (Health("running"), ""),
        (
            Health("running", results_per_s=24.94, age_p50_ms=18.2, dropped=0.031, temperature_c=61.7, throttled=True),
            "24.9 results/s   age 18 ms   dropped 3 %   62 C   throttled",
        ),
        (Health("running", results_per_s=0.0, throttled=False), "0.0 results/s"),
    ],
)
def test_the_status_says_what_is_known(health: Health, expected: str) -> None:
    assert status_line(health) == expected


# --- keys ------------------------------------------------------------------------------------------------------------


def test_space_pauses_and_goes_on() -> None:
    live = live_with(Shown(photo(), RESULT))
    paused: list[bool] = []

    class Looking(FakeScreen):
        def key(self) -> int | None:
            paused.append(live.paused)
            return super().key()

    screen = Looking([ord(" "), None, ord(" "), None, ord("q")])
    view(live, screen)
    assert paused == [False, True, True, False, False]
    assert len(screen.pictures) == 3, "the status says it"


def test_s_saves_the_picture_as_it_came_and_says_where(tmp_path: Path) -> None:
    picture = photo(0, 48, 64)
    heatmap = np.full((3, 3), 255, np.uint8)
    live = live_with(Shown(picture, RESULT, heatmap, Part(0, 8, 48, 48)))
    (told,) = view(live, FakeScreen([ord("s"), ord("q")]), tmp_path)
    (saved,) = tmp_path.iterdir()
    assert told == f"saved {saved}"
    assert re.fullmatch(r"edgecnn-\d{8}T\d{6}\.\d{3}Z\.png", saved.name)
    assert np.array_equal(cv2.imread(str(saved))[:, :, ::-1], picture)


def test_a_folder_that_refuses_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (told,) = view(live_with(Shown(photo(), RESULT)), FakeScreen([ord("s"), ord("q")]), tmp_path / "file")
    assert "can't be written" in told
    assert told.endswith("the camera goes on")


# --- OpenCV's side ---------------------------------------------------------------------------------------------------


class Properties:
    """cv2.getWindowProperty of a backend: what it says of a window that is open, and of one that was closed."""

    def __init__(self, **said: float) -> None:
        self.said, self.open = said, True

    def __call__(self, title: str, property: int) -> float:
        if not self.open and "gone" in self.said:
            return self.said["gone"]
        name = "visible" if property == cv2.WND_PROP_VISIBLE else "autosize"
        return self.said[name] if self.open or name != "visible" else 0.0


@pytest.mark.parametrize("backend", [{"visible": 1.0, "autosize": 0.0}, {"visible": -1.0, "autosize": 0.0, "gone": -1}])
def test_the_x_is_seen_with_qt_which_hides_and_with_gtk_which_destroys(
    backend: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = Properties(**backend)
    monkeypatch.setattr(cv2, "getWindowProperty", properties)
    screen = OpenCVScreen()
    assert screen.is_open()
    assert screen.is_open()
    properties.open = False
    assert not screen.is_open()


def test_opencv_gets_bgr_and_the_windows_size(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(cv2, "namedWindow", lambda *arguments: calls.append(("named", arguments[0])))
    monkeypatch.setattr(cv2, "resizeWindow", lambda *arguments: calls.append(("size", *arguments[1:])))
    monkeypatch.setattr(cv2, "imshow", lambda title, picture: calls.append(("show", *picture[0, 0].tolist())))
    monkeypatch.setattr(cv2, "waitKey", lambda wait: 0x100071)
    screen = OpenCVScreen()
    screen.open("title")
    for size in (4, 4, 6):
        screen.show(np.broadcast_to(np.array([1, 2, 3], np.uint8), (size, size, 3)).copy())
    assert calls == [("named", "title"), ("size", 4, 4), *[("show", 3, 2, 1)] * 2, ("size", 6, 6), ("show", 3, 2, 1)]
    assert screen.key() == ord("q")
    monkeypatch.setattr(cv2, "waitKey", lambda wait: -1)
    assert screen.key() is None


@pytest.mark.parametrize(
    ("environment", "system", "framework", "expected"),
    [
        ({}, "linux", "QT5", "there is no display"),
        ({"DISPLAY": ""}, "linux", "QT5", "there is no display"),
        ({"DISPLAY": ":0"}, "linux", "", "this OpenCV has no windows"),
        ({"DISPLAY": ":0"}, "linux", "GTK3", None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "QT5", None),
        ({}, "darwin", "COCOA", None),
    ],
)
def test_where_there_can_be_no_window_it_says_why(
    environment: dict[str, str], system: str, framework: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "currentUIFramework", lambda: framework)
    reason = unavailable(environment, system)
    assert (reason is None) == (expected is None)
    assert (expected or "") in (reason or "")

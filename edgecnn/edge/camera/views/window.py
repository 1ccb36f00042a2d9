"""A window with the picture and what it is taken for, on the machine's own display.

q, Esc, the window's own X   end          space   pause          s   save the picture as it came
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np

from edgecnn.edge.camera import overlay
from edgecnn.edge.camera.live import Health, Live, Shown
from edgecnn.edge.camera.record import time_stamp
from edgecnn.edge.pixels import Image
from edgecnn.errors import EdgecnnError
from edgecnn.storage import write_whole

TITLE = "edgecnn"
LEAST = 360
"""Pixels of the shorter side at least: smaller pictures are enlarged, so that there is room for text."""
WAIT_S = 0.02
"""How long keys can wait for a picture."""
_ESCAPE = 27


class Screen(Protocol):
    """A window of the display: what this view needs of OpenCV's GUI functions. All from one thread."""

    def open(self, title: str) -> None:
        """Make the window."""

    def show(self, picture: Image) -> None:
        """Put a uint8 [H, W, 3] RGB picture into it."""

    def key(self) -> int | None:
        """Let the display work, and give the key that was pressed, if any."""

    def is_open(self) -> bool:
        """Whether the user has left it open; asked after `key`."""

    def close(self) -> None:
        """Take it away; nothing where it is gone already."""


class OpenCVScreen:
    """OpenCV's window, of Qt or GTK."""

    def __init__(self) -> None:
        self._title, self._was_visible = TITLE, False
        self._size: tuple[int, ...] = ()

    def open(self, title: str) -> None:
        """Make the window; it can be resized and keeps the picture's aspect."""
        import cv2

        self._title = title
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)

    def show(self, picture: Image) -> None:
        """Show a picture; a window gets the size of the first one, and of one that is of another size."""
        import cv2

        if picture.shape != self._size:
            self._size = picture.shape
            cv2.resizeWindow(self._title, picture.shape[1], picture.shape[0])
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))

    def key(self) -> int | None:
        """The key's ASCII code."""
        import cv2

        pressed = cv2.waitKey(1)
        return None if pressed < 0 else pressed & 0xFF

    def is_open(self) -> bool:
        """Qt only hides a window that is closed; GTK destroys it, and never says whether one is visible (always -1).

        Source: opencv/opencv#25346.
        """
        import cv2

        with suppress(cv2.error):
            visible = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE)
            self._was_visible |= visible > 0
            if visible < 0 and not self._was_visible:
                return cv2.getWindowProperty(self._title, cv2.WND_PROP_AUTOSIZE) >= 0
            return visible > 0
        return False

    def close(self) -> None:
        """Destroy it."""
        import cv2

        with suppress(cv2.error):
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)


def unavailable(environment: Mapping[str, str] = os.environ, system: str = sys.platform) -> str | None:
    """Why there can't be a window, in a sentence; None where there can."""
    import cv2

    if system.startswith("linux") and not environment.get("DISPLAY") and not environment.get("WAYLAND_DISPLAY"):
        return "there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); use --view web or --view none"
    if not cv2.currentUIFramework():
        return (
            "this OpenCV has no windows: pip uninstall opencv-python-headless && pip install opencv-python; or use "
            "--view web"
        )
    return None


class WindowView:
    """Shows what `live` holds until it is closed, by whomever."""

    def __init__(
        self,
        live: Live,
        tell: Callable[[str], None],
        screen: Screen | None = None,
        folder: Path | None = None,
    ) -> None:
        """tell: takes a sentence for the user. folder: where pictures are saved, the working directory if None."""
        self._live, self._tell = live, tell
        self._screen: Screen = screen or OpenCVScreen()
        self._folder = folder or Path(".")
        self._shown: Shown | None = None
        self._drawn: tuple[int, str] | None = None

    def run(self) -> None:
        """Show pictures and obey keys until `live` is closed; in the main thread, which some displays insist on."""
        self._live.watch(1)
        try:
            self._screen.open(f"{TITLE} - {self._live.model.name}")
            number = 0
            while not self._live.closed:
                number, shown = self._live.newest(number, WAIT_S)
                self._shown = shown or self._shown
                self._draw(number)
                self._obey(self._screen.key())
                if not self._screen.is_open():
                    self._live.close()
        finally:
            self._screen.close()
            self._live.watch(-1)

    def _draw(self, number: int) -> None:
        """Draw where there is something new: another picture, or another status."""
        status = "paused: space goes on" if self._live.paused else status_line(self._live.health)
        if (number, status) != self._drawn:
            self._drawn = (number, status)
            self._screen.show(render(self._shown, status))

    def _obey(self, key: int | None) -> None:
        if key in (ord("q"), _ESCAPE):
            self._live.close()
        elif key == ord(" "):
            self._live.paused = not self._live.paused
        elif key == ord("s"):
            self._save()

    def _save(self) -> None:
        """Save the picture as it came, whole; where that can't be done, say so and go on."""
        import cv2

        if self._shown is None:
            return
        path = self._folder / f"edgecnn-{time_stamp(time.time_ns())}.png"
        _, content = cv2.imencode(".png", cv2.cvtColor(self._shown.picture, cv2.COLOR_RGB2BGR))
        try:
            write_whole(path, content.tobytes())
        except (EdgecnnError, OSError) as error:
            self._tell(f"{error}; the camera goes on")
        else:
            self._tell(f"saved {path}")


def render(shown: Shown | None, status: str) -> Image:
    """What the window shows: uint8 [H, W, 3] RGB, not smaller than `LEAST`; black before the first picture."""
    if shown is None:
        return overlay.draw(np.zeros((LEAST, LEAST * 4 // 3, 3), np.uint8), "", None, (), status)
    picture = shown.picture
    if shown.heatmap is not None and shown.part is not None:
        picture = overlay.blend(picture, shown.heatmap, shown.part)
    result = shown.result
    return overlay.draw(_enlarged(picture), result.label, result.probability, result.top, status)


def _enlarged(picture: Image) -> Image:
    """By a whole factor, where it is small."""
    import cv2

    factor = -(-LEAST // min(picture.shape[:2]))
    if factor <= 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR), np.uint8)


def status_line(health: Health) -> str:
    """How the camera is doing, in a line; what could not be measured is left out."""
    if health.state != "running":
        return ": ".join(part for part in (health.state, health.message) if part)
    said = [
        (health.results_per_s, "{:.1f} results/s"),
        (health.age_p50_ms, "age {:.0f} ms"),
        (None if health.dropped is None else 100 * health.dropped, "dropped {:.0f} %"),
        (health.temperature_c, "{:.0f} C"),
    ]
    parts = [form.format(value) for value, form in said if value is not None]
    return "   ".join([*parts, "throttled"] if health.throttled else parts)

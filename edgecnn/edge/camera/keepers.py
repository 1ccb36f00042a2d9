"""What keeps capture and inference going: each a process that is watched, killed when it hangs, and started anew.

Both are driven by the camera's one loop: `read` when their process has said something, `tick` a few times a second.
Times are seconds of time.monotonic(), given from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from edgecnn.edge.camera.addresses import shown
from edgecnn.edge.camera.capture import CaptureRequest
from edgecnn.edge.camera.inference import InferenceRequest
from edgecnn.edge.camera.live import Result
from edgecnn.edge.camera.process import Process
from edgecnn.edge.camera.revival import Revival
from edgecnn.edge.camera.slot import Ends, Slot
from edgecnn.edge.child import told_error
from edgecnn.errors import DeviceError
from edgecnn.records import from_json

SILENCE_S = 4.0
"""A live source of which nothing new comes for so long is lost: within 5 s it is noticed, and said."""
OPENING_S = 10.0
"""What opening a source may take: some network cameras need five seconds until the first key frame."""
ANSWER_S, READY_S = 10.0, 60.0
"""What an answer may take while frames come, and loading an engine and a model on a slow and busy device."""
DEATHS = 5
"""Of inference in a row, without an answer between them: then it is the model, and the camera ends."""


class Keeper:
    """A process that is kept going. `since_s` is when the present one was started or last showed progress."""

    word = ""

    def __init__(self, ends: Ends, slot: Slot, say: Callable[[str], None]) -> None:
        self._ends, self._slot, self._say = ends, slot, say
        self.process: Process | None = None
        self.revival = Revival()
        self.since_s = 0.0
        self.started_s = 0.0

    def request(self) -> Any:
        """What the process is asked for."""
        raise AssertionError("each keeper has its own")

    def start(self, now_s: float) -> None:
        """Start the process."""
        self.started_s = self.since_s = now_s
        self.process = Process(self.word, self.request(), self._ends)

    def descriptors(self) -> list[int]:
        """What to wait on."""
        return [] if self.process is None else [self.process.stdout, self.process.stderr]

    def read(self, now_s: float) -> None:
        """Take in what the process has said."""
        if self.process is None:
            return
        self.process.listen()
        lines, over = self.process.lines()
        for line in lines:
            self.heard(line, now_s)
        if over and self.process is not None:
            self.lost(f"its process died ({self.process.death()})", now_s)

    def heard(self, line: Mapping[str, Any], now_s: float) -> None:
        """One line of the process's."""

    def lost(self, why: str, now_s: float) -> None:
        """It is dead, hangs or gave up: kill it, and start anew after a pause."""
        self.end()
        pause = self.revival.failed(now_s)
        self.gone(why, pause)

    def gone(self, why: str, pause_s: float) -> None:
        """Say so."""

    def revive(self, now_s: float) -> None:
        """Start it anew, when it is time."""
        if self.process is None and self.revival.is_due(now_s):
            self.start(now_s)

    def end(self) -> None:
        """Kill the process."""
        if self.process is not None:
            self.process.end()
            self.process = None


class CaptureKeeper(Keeper):
    """Keeps frames coming."""

    word = "capture"

    def __init__(self, request: CaptureRequest, slot: Slot, say: Callable[[str], None]) -> None:
        super().__init__(request.ends, slot, say)
        self._request = request
        self._name = shown(request.source)
        self.state, self.message, self.description, self.live = "opening", "", self._name, True
        self._opened = self._ever_opened = False
        self._unique = self._repeated = 0
        self.passed_over = ""
        """Why the last frame that could not be used couldn't."""

    def request(self) -> CaptureRequest:
        """The same each time."""
        return self._request

    def start(self, now_s: float) -> None:
        """Open the source."""
        self._opened = False
        self._unique, self._repeated = self._slot.unique, self._slot.repeated
        super().start(now_s)

    def heard(self, line: Mapping[str, Any], now_s: float) -> None:
        """opened, skipped, failed or ended; raises an error that does not pass, or is of a source that never opened."""
        event, text = line["event"], str(line["text"])
        if event == "opened":
            self._opened = self._ever_opened = True
            self.description, self.live, self.since_s = text, bool(line["live"]), now_s
        elif event == "skipped":
            self.passed_over = text
            self._say(f"passed over: {text}")
        elif event == "failed" and not (self._ever_opened and line["error"] == DeviceError.__name__):
            raise told_error(str(line["error"]), text)
        elif event == "failed":
            self.lost(text, now_s)
        elif self.live:
            self.lost("its stream has ended", now_s)
        else:
            self.state, self.message = "ended", ""
            self.end()

    def gone(self, why: str, pause_s: float) -> None:
        """The page and the terminal say so; DeviceError where it has never opened: then no camera was lost."""
        if not self._ever_opened:
            raise DeviceError(f"{self._name}: {why}; look whether another program can open it")
        self.state = "stalled"
        self.message = f"{self.description}: {why}; opening it again in {pause_s:g} s"
        self._say(self.message)

    def tick(self, now_s: float) -> None:
        """Look whether frames come."""
        self.revive(now_s)
        if self.process is None:
            return
        if self._slot.unique > self._unique:
            self._unique, self._repeated, self.since_s = self._slot.unique, self._slot.repeated, now_s
            self.state, self.message = "running", ""
            self.revival.worked(self.started_s, now_s)
        elif not self._opened and now_s - self.since_s > OPENING_S:
            self.lost(f"did not open in {OPENING_S:g} s", now_s)
        elif self._opened and self.live and now_s - self.since_s > SILENCE_S:
            frozen = self._slot.repeated > self._repeated
            what = "has given the same frame again and again" if frozen else "has given no frame"
            self.lost(f"{what} for {SILENCE_S:g} s", now_s)
        elif not self._opened and now_s - self.since_s > SILENCE_S:
            self.message = f"{self._name}: is being opened, for {now_s - self.since_s:.0f} s now"


class InferenceKeeper(Keeper):
    """Keeps answers coming."""

    word = "infer"

    def __init__(
        self, request: InferenceRequest, slot: Slot, say: Callable[[str], None], answered: Callable[[Result], None]
    ) -> None:
        super().__init__(request.ends, slot, say)
        self._request, self._answered = request, answered
        self.number, self.ready = 0, False

    def request(self) -> InferenceRequest:
        """A frame that has been answered, or that killed an engine, is not given to the next one."""
        return replace(self._request, after=self.number)

    def start(self, now_s: float) -> None:
        """Load the model."""
        self.ready = False
        super().start(now_s)

    def heard(self, line: Mapping[str, Any], now_s: float) -> None:
        """ready, an answer, or the error of a model that can't be used, which is raised."""
        self.since_s = now_s
        if line.get("event") == "failed":
            raise told_error(str(line["error"]), str(line["text"]))
        if line.get("event") == "ready":
            self.ready = True
            return
        result = from_json(Result, line)
        self.number, self.revival.failures = result.frame, 0
        self._answered(result)

    def gone(self, why: str, pause_s: float) -> None:
        """Say so; DeviceError where it keeps dying."""
        if self.revival.failures >= DEATHS:
            raise DeviceError(f"{self._request.artifact}: inference {why}, {DEATHS} times in a row without an answer")
        self._say(f"inference: {why}; starting it again in {pause_s:g} s")
        self.number = self._slot.number
        self._slot.done(self.number)  # a source that waits for the lost frame goes on

    def tick(self, now_s: float) -> None:
        """Look whether answers come while frames do."""
        self.revive(now_s)
        if self.process is None:
            return
        if not self.ready:
            if now_s - self.since_s > READY_S:
                self.lost(f"was not ready in {READY_S:g} s", now_s)
        elif self._slot.number <= self.number:
            self.since_s = now_s  # nothing to answer
        elif now_s - self.since_s > ANSWER_S:
            self.lost(f"has given no answer for {ANSWER_S:g} s", now_s)

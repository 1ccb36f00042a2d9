"""`--on LABEL:0.8 COMMAND ARGS`: run a command when the camera comes to see something.

A command is its words, never a shell's line: whatever a label holds, it is one word of it or the value of a variable.
Each runs in a session of its own, watched by a thread, so that neither starting nor hanging slows the loop.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from edgecnn.edge.camera.smoothing import UNSURE
from edgecnn.errors import UsageError, nearest

ANY = "*"
COOLDOWN_S = 10.0
TIME_LIMIT_S = 60.0
_PLACEHOLDER = re.compile(r"\{(label|probability)\}")


@dataclass(frozen=True)
class Action:
    """What to run when the shown label becomes `label` with at least the probability `threshold`.

    label: a class, `*` for each, or `unsure`, whose threshold is 0. In the arguments, {label} and {probability} stand
    for what was seen; the program's name, argv[0], is taken as it is. cooldown_s: from one start to the next at least.
    """

    label: str
    threshold: float
    argv: tuple[str, ...]
    cooldown_s: float = COOLDOWN_S

    def match(self, label: str, probability: float) -> str | None:
        """The label that it is true for now, if any."""
        if self.label == label or (self.label == ANY and label != UNSURE):
            return label if probability >= self.threshold else None
        return None

    def words(self, label: str, probability: float) -> list[str]:
        """argv for what was seen: as many words as were given, whatever the label holds."""
        said = {"label": label, "probability": f"{probability:.4f}"}
        filled = (_PLACEHOLDER.sub(lambda found: said[found[1]], word) for word in self.argv[1:])
        return [self.argv[0], *filled]


def parse(condition: str, argv: Sequence[str], labels: Collection[str], cooldown_s: float = COOLDOWN_S) -> Action:
    """The action of `--on CONDITION ARGV`; UsageError where it can't ever run.

    condition: LABEL:PROBABILITY, divided at the last colon; *:PROBABILITY for any label; `unsure`, alone.
    """
    if not condition:
        raise UsageError("--on: when, and what shall be run? Write --on LABEL:0.8 COMMAND ARGS")
    if condition == UNSURE:
        label, threshold = UNSURE, 0.0
    else:
        label, colon, number = condition.rpartition(":")
        threshold = _threshold(condition, number) if colon else _no_number(condition)
        if label == UNSURE:
            raise UsageError(f"--on {condition}: being unsure has no probability; write --on {UNSURE} COMMAND")
    if label not in (UNSURE, ANY) and label not in labels:
        raise UsageError(f"--on {condition}: the model has no label '{label}'{nearest(label, [*labels, ANY, UNSURE])}")
    if not argv:
        raise UsageError(f"--on {condition}: what shall be run? Write --on {condition} COMMAND ARGS")
    if shutil.which(argv[0]) is None:
        raise UsageError(f"--on {condition}: there is no command '{argv[0]}' that can be run; check its path and mode")
    if not 0 <= cooldown_s < float("inf"):
        raise UsageError(f"--on {condition}: a cooldown of {cooldown_s} s makes no sense; give 0 or more")
    return Action(label, threshold, tuple(argv), cooldown_s)


def _no_number(condition: str) -> float:
    raise UsageError(f"--on {condition}: says no probability; write --on {condition}:0.8 COMMAND")


def _threshold(condition: str, number: str) -> float:
    with suppress(ValueError):
        if 0 <= float(number) <= 1:
            return float(number)
    raise UsageError(f"--on {condition}: '{number}' is no probability from 0 to 1, such as 0.8")


class Actions:
    """Runs actions as answers come in; a `with` block, at whose end what still runs gets a moment, and is killed then.

    An action is started where it has become true since its last start, its cooldown is over, and it is not running.
    For `*` another label makes it true anew. A command reads nothing, what it prints goes to stderr, and it finds
    EDGECNN_LABEL, EDGECNN_PROBABILITY and EDGECNN_FRAME in its environment.
    """

    def __init__(
        self, actions: Sequence[Action], tell: Callable[[str], None], time_limit_s: float = TIME_LIMIT_S
    ) -> None:
        """tell: takes a sentence about a command that failed; called from other threads."""
        self._running = [_Running(action, tell, time_limit_s) for action in actions]

    def update(self, label: str, probability: float, frame: int, now_ns: int) -> None:
        """One more answer, of the frame of that number, at the time `now_ns`; returns at once."""
        for running in self._running:
            running.update(label, probability, frame, now_ns)

    def close(self, grace_s: float = 2.0) -> None:
        """Wait for what runs, `grace_s` each at most, and kill it."""
        for running in self._running:
            running.close(grace_s)

    def __enter__(self) -> Actions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Running:
    """One action, and its command where it runs."""

    def __init__(self, action: Action, tell: Callable[[str], None], time_limit_s: float) -> None:
        self._action, self._tell, self._time_limit_s = action, tell, time_limit_s
        self._handled: str | None = None
        """The label that it was started for, while that remains true."""
        self._started_ns: int | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = False

    def update(self, label: str, probability: float, frame: int, now_ns: int) -> None:
        matched = self._action.match(label, probability)
        if matched is None:
            self._handled = None
        if matched == self._handled or self._is_early(now_ns):
            return
        self._handled, self._started_ns = matched, now_ns
        environment = {
            **os.environ,
            "EDGECNN_LABEL": label,
            "EDGECNN_PROBABILITY": f"{probability:.4f}",
            "EDGECNN_FRAME": str(frame),
        }
        words = self._action.words(label, probability)
        self._thread = threading.Thread(target=self._run, args=(words, environment), name="--on", daemon=True)
        self._thread.start()

    def _is_early(self, now_ns: int) -> bool:
        if self._started_ns is not None and now_ns - self._started_ns < self._action.cooldown_s * 1e9:
            return True
        return self._thread is not None and self._thread.is_alive()

    def close(self, grace_s: float) -> None:
        if self._thread is not None:
            self._thread.join(grace_s)
            with self._lock:
                self._closing = True
                self._kill()
            self._thread.join(grace_s)

    def _run(self, words: list[str], environment: dict[str, str]) -> None:
        """Start the command and see it end; in a thread of its own."""
        name = f"--on {self._action.label}: '{words[0]}'"
        try:
            with self._lock:
                if self._closing:
                    return
                self._process = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=2, env=environment, start_new_session=True
                )
        except (OSError, ValueError) as error:  # ValueError: a label that holds a NUL, which no argument can
            self._tell(f"{name} could not be started ({error})")
            return
        try:
            code = self._process.wait(self._time_limit_s)
        except subprocess.TimeoutExpired:
            with self._lock:
                self._kill()
            self._process.wait()
            self._tell(f"{name} was killed, it had not ended after {self._time_limit_s:g} s")
            return
        if code != 0 and not self._closing:
            self._tell(f"{name} ended with {_exit(code)}")

    def _kill(self) -> None:
        """Kill the command with all that it has started in its group, where it still runs."""
        if self._process is not None and self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _exit(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name

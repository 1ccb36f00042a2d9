"""Commands that the camera starts: when, with which words, and what becomes of them. Real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecnn.edge.camera.actions import Action, Actions, parse
from edgecnn.errors import UsageError

S = 1_000_000_000
LABELS = ("cat", "dog", "nine:lives", "*")
NASTY = [
    'it\'s "quoted"',
    "two words",
    "two\nlines",
    "../../etc/passwd",
    "$(touch planted); `touch planted` | touch planted & touch planted",
    "-rf",
    "{probability}",
    "Käse 猫",
    "%s \\ *",
]
WRITER = """
import json, os, sys
names = ("EDGECNN_LABEL", "EDGECNN_PROBABILITY", "EDGECNN_FRAME")
said = {"argv": sys.argv[2:], "environment": {name: os.environ[name] for name in names}, "stdin": sys.stdin.read()}
print(json.dumps(said), file=open(sys.argv[1] + ".part", "x"))
os.rename(sys.argv[1] + ".part", sys.argv[1])
"""


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.01)


def gone(process: int) -> bool:
    """Ended and reaped: a zombie could still be signalled."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


class Counting:
    """An action whose command adds a line to a file."""

    def __init__(self, folder: Path, label: str, threshold: float = 0.5, cooldown_s: float = 0.0) -> None:
        self._file, self.told = folder / "starts", list[str]()
        code = "import os, sys; print(os.environ['EDGECNN_FRAME'], file=open(sys.argv[1], 'a'))"
        action = Action(label, threshold, python(code, str(self._file)), cooldown_s)
        self.actions = Actions([action], self.told.append)

    def frames(self, *seen: tuple[str, float, float]) -> list[int]:
        """The numbers of the frames (label, probability, second) at which the command was started."""
        for number, (label, probability, second) in enumerate(seen):
            self.actions.update(label, probability, number, int(second * S))
            thread = self.actions._running[0]._thread
            if thread is not None:
                thread.join()
        return [int(line) for line in self._file.read_text().split()] if self._file.exists() else []


# --- when ------------------------------------------------------------------------------------------------------------


def test_it_is_started_when_a_label_becomes_true_and_not_while_it_stays(tmp_path: Path) -> None:
    seen = [("dog", 0.9), ("cat", 0.4), ("cat", 0.5), ("cat", 0.9), ("dog", 0.9), ("cat", 0.6), ("cat", 0.4)]
    counting = Counting(tmp_path, "cat")
    assert counting.frames(*((label, p, i) for i, (label, p) in enumerate(seen))) == [2, 5]
    assert counting.told == []


def test_the_cooldown_puts_off_and_does_not_lose(tmp_path: Path) -> None:
    seen = [("cat", 0), ("dog", 1), ("cat", 2), ("cat", 9.9), ("cat", 10), ("cat", 30), ("dog", 31), ("cat", 32)]
    counting = Counting(tmp_path, "cat", cooldown_s=10)
    assert counting.frames(*((label, 0.9, second) for label, second in seen)) == [0, 4, 7]


def test_any_label_is_each_but_unsure(tmp_path: Path) -> None:
    seen = ["cat", "cat", "unsure", "cat", "dog", "dog"]
    assert Counting(tmp_path, "*").frames(*((label, 0.9, i) for i, label in enumerate(seen))) == [0, 3, 4]


def test_unsure_has_no_threshold(tmp_path: Path) -> None:
    action = parse("unsure", python("pass"), LABELS)
    counting = Counting(tmp_path, action.label, action.threshold)
    assert counting.frames(("cat", 0.9, 0), ("unsure", 0.2, 1), ("unsure", 0.3, 2)) == [1]


def test_one_at_a_time(tmp_path: Path) -> None:
    code = (
        "import os, sys, time; print('x', file=open(sys.argv[1], 'a'))\nwhile not os.path.exists(sys.argv[2]): "
        "time.sleep(.01)"
    )
    starts, end = tmp_path / "starts", tmp_path / "end"
    told: list[str] = []
    with Actions([Action("cat", 0.5, python(code, str(starts), str(end)), 0)], told.append) as actions:
        actions.update("cat", 0.9, 0, 0)
        wait_for(starts.exists)
        for second in range(1, 20):
            actions.update("dog" if second % 2 else "cat", 0.9, second, second * S)
        end.touch()
        wait_for(lambda: not actions._running[0]._thread.is_alive())  # type: ignore[union-attr]
        assert starts.read_text().count("x") == 1
        actions.update("cat", 0.9, 21, 21 * S)
        wait_for(lambda: starts.read_text().count("x") == 2)
    assert told == []


# --- with which words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", NASTY)
def test_a_label_is_one_word_whatever_it_holds(tmp_path: Path, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'it\'s a "folder"\n..'
    folder.mkdir()
    written, told = folder / "written", list[str]()
    argv = python(WRITER, str(written), "{label}", "seen: {label} ({probability})", "$EDGECNN_LABEL {other}", "")
    with Actions([parse(f"{label}:0.25", argv, [label])], told.append) as actions:
        actions.update(label, 0.5, 7, 0)
        wait_for(written.exists)
    assert told == []
    assert json.loads(written.read_text()) == {
        "argv": [label, f"seen: {label} (0.5000)", "$EDGECNN_LABEL {other}", ""],
        "environment": {"EDGECNN_LABEL": label, "EDGECNN_PROBABILITY": "0.5000", "EDGECNN_FRAME": "7"},
        "stdin": "",
    }
    assert [path.name for path in tmp_path.rglob("*")] == [folder.name, "written"], "no shell has run"


def test_it_reads_nothing_of_what_the_camera_is_given(tmp_path: Path) -> None:
    written, told = tmp_path / "written", list[str]()
    (tmp_path / "typed").write_text("the user's words")
    kept = os.dup(0)
    with open(tmp_path / "typed", "rb") as typed:
        os.dup2(typed.fileno(), 0)
    try:
        with Actions([Action("cat", 0.5, python(WRITER, str(written)))], told.append) as actions:
            actions.update("cat", 0.9, 0, 0)
            wait_for(written.exists)
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    assert json.loads(written.read_text())["stdin"] == ""


def test_a_label_names_no_program() -> None:
    assert Action("*", 0, ("{label}", "{label}")).words("rm", 1.0) == ["{label}", "rm"]


@pytest.mark.parametrize("label", ["nul\0", "\ud800"])
def test_a_label_that_no_argument_can_hold_is_a_message(label: str) -> None:
    told: list[str] = []
    with Actions([Action("*", 0.5, python("pass"))], told.append) as actions:
        actions.update(label, 0.9, 0, 0)
    assert len(told) == 1
    assert "could not be started" in told[0]


def test_what_it_prints_is_no_result(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Actions([Action("cat", 0.5, python("print('hello')"))], lambda _: None) as actions:
        actions.update("cat", 0.9, 0, 0)
    assert capfd.readouterr() == ("", "hello\n")


# --- what becomes of it ----------------------------------------------------------------------------------------------


def test_its_failure_is_a_message() -> None:
    told: list[str] = []
    kill = f"import os; os.kill(os.getpid(), {int(signal.SIGTERM)})"
    made = [Action("cat", 0.5, python(code)) for code in ("raise SystemExit(3)", kill)]
    with Actions(made, told.append) as actions:
        actions.update("cat", 0.9, 0, 0)
    python_ = repr(sys.executable)
    assert sorted(told) == [f"--on cat: {python_} ended with SIGTERM", f"--on cat: {python_} ended with exit code 3"]


def test_a_command_that_is_gone_by_then_is_a_message(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    told: list[str] = []
    action = parse("cat:0.5", [str(program)], LABELS)
    program.unlink()
    with Actions([action], told.append) as actions:
        actions.update("cat", 0.9, 0, 0)
    assert len(told) == 1
    assert "could not be started" in told[0]


FAMILY = """
import os, sys, time
child = os.fork()
if child:
    print(os.getpid(), child, file=open(sys.argv[1] + ".part", "w"))
    os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""


def test_one_that_hangs_is_killed_with_all_it_started(tmp_path: Path) -> None:
    family, told = tmp_path / "family", list[str]()
    with Actions([Action("cat", 0.5, python(FAMILY, str(family)))], told.append, time_limit_s=1) as actions:
        actions.update("cat", 0.9, 0, 0)
        wait_for(lambda: told)
    assert told == [f"--on cat: '{sys.executable}' was killed, it had not ended after 1 s"]
    parent, child = map(int, family.read_text().split())
    assert gone(parent), "reaped too"
    wait_for(lambda: gone(child) or "\tZ" in Path(f"/proc/{child}/status").read_text())


def test_the_end_of_the_camera_ends_it_too(tmp_path: Path) -> None:
    family, told = tmp_path / "family", list[str]()
    actions = Actions([Action("cat", 0.5, python(FAMILY, str(family)))], told.append)
    actions.update("cat", 0.9, 0, 0)
    wait_for(family.exists)
    actions.close(grace_s=0.1)
    actions.close(grace_s=5)
    assert gone(int(family.read_text().split()[0]))
    assert told == []


# --- what is refused -------------------------------------------------------------------------------------------------


def test_the_last_colon_divides() -> None:
    assert parse("nine:lives:0.75", ["true"], LABELS) == Action("nine:lives", 0.75, ("true",), 10.0)
    assert parse("*:1", ["true", "x"], LABELS, 0) == Action("*", 1.0, ("true", "x"), 0)


@pytest.mark.parametrize(
    ("condition", "argv", "message"),
    [
        ("cats:0.8", ["true"], "the model has no label 'cats'; did you mean 'cat'?"),
        ("cat", ["true"], "says no probability; write --on cat:0.8 COMMAND"),
        ("cat:", ["true"], "'' is no probability from 0 to 1"),
        ("nine:lives", ["true"], "'lives' is no probability"),
        ("cat:1.5", ["true"], "'1.5' is no probability"),
        ("cat:nan", ["true"], "'nan' is no probability"),
        ("unsure:0.5", ["true"], "write --on unsure COMMAND"),
        ("cat:0.8", [], "Write --on cat:0.8 COMMAND ARGS"),
        ("cat:0.8", ["no-such-command"], "there is no command 'no-such-command'"),
        ("cat:0.8", [__file__], "that can be run"),
    ],
)
def test_what_can_never_run_is_refused_at_the_start(condition: str, argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse(condition, argv, LABELS)
    assert message in str(raised.value)
    assert str(raised.value).startswith(f"--on {condition}: ")


def test_a_cooldown_below_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="cooldown of -1 s"):
        parse("cat:0.8", ["true"], LABELS, -1)

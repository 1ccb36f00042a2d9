"""Time of an inference, our file and the others of its format in turns: python -m tools.exporters.latency < REQUEST

A process of its own for each format and model. All files are open at once, in one engine, with one thread, each with
one picture ready in the form that it takes. A round gives each file one window of so many inferences that ours takes
`WINDOW_S`, and the order goes round: whatever else the machine does falls on all of them. The ratio is taken round by
round.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tools.exporters.exporter import ROOT, Array
from tools.exporters.sessions import inputs_for, open_file

WARM_UP = 200
WINDOW_S = 0.03


@dataclass(frozen=True)
class Windows:
    """Microseconds an inference: [rounds] for each file, and how many inferences a window had."""

    us: Mapping[str, Array]
    inferences: int


def measure(ours: Path, others: Sequence[Path], pixels: Array, rounds: int) -> Windows:
    """Time files in turns, in a fresh process, on one picture: uint8 [1, H, W, 3]."""
    request = {"files": [str(path) for path in (ours, *others)], "pixels": pixels.tolist(), "rounds": rounds}
    done = subprocess.run(
        [sys.executable, "-m", "tools.exporters.latency"],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        check=True,
    )
    answer = json.loads(done.stdout.splitlines()[-1])
    return Windows({path: np.array(values) for path, values in answer["us"].items()}, answer["inferences"])


def ratio(us: Array, ours: Array) -> tuple[float, float, float]:
    """The median over rounds of us / ours, and its quartiles."""
    low, middle, high = np.percentile(us / ours, [25, 50, 75])
    return float(middle), float(low), float(high)


class Timed:
    """A file that is open, with its picture."""

    def __init__(self, path: Path, pixels: Array) -> None:
        self._session = open_file(path)
        self._input = inputs_for(self._session.inputs[0], pixels)
        self.window_us(WARM_UP)

    def window_us(self, inferences: int) -> float:
        """Microseconds an inference, over so many."""
        run, given = self._session.run, self._input
        began = time.perf_counter_ns()
        for _ in range(inferences):
            run(given)
        return (time.perf_counter_ns() - began) / inferences / 1e3


def in_turns(files: Sequence[Timed], rounds: int) -> tuple[list[list[float]], int]:
    """[files][rounds] microseconds an inference, and the inferences in a window."""
    inferences = max(10, round(WINDOW_S * 1e6 / min(files[0].window_us(50) for _ in range(5))))
    us: list[list[float]] = [[] for _ in files]
    for number in range(rounds):
        for place in range(len(files)):
            turn = (place + number) % len(files)
            us[turn].append(files[turn].window_us(inferences))
    return us, inferences


def main() -> None:
    """Time what stdin asks for."""
    request = json.load(sys.stdin)
    pixels = np.array(request["pixels"], np.uint8)
    us, inferences = in_turns([Timed(Path(path), pixels) for path in request["files"]], request["rounds"])
    answer = {"us": dict(zip(request["files"], us, strict=True)), "inferences": inferences}
    print("\n" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

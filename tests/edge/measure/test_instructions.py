"""Counting instructions: the arithmetic with a made-up counter; that counts repeat and follow the work, over there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgecnn.edge.measure import instructions
from edgecnn.edge.measure.instructions import Counter, Instructions, count_inferences
from edgecnn.errors import DeviceError
from edgecnn.formats import find_format
from edgecnn.graph.edit import Graph
from edgecnn.packaged import HERE
from edgecnn.quantize import quantize
from tests.edge.measure.test_timing import Session
from tests.graph.small_nets import Net, pictures
from tests.virtual_pi import COUNTED, VirtualPi, started, with_engines

COUNT = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from edgecnn.edge.measure.inputs import filled
from edgecnn.edge.measure.instructions import count_inferences
from edgecnn.edge.runtimes import find_runtime

path = Path(sys.argv[2])
session = find_runtime(sys.argv[1]).open(path, 1)
print(json.dumps(asdict(count_inferences(session, filled(session.inputs, None, path), n=5, warmup=3))))
"""
LOOP = """
import json, sys
from edgecnn.edge.measure.instructions import Counter
with Counter() as counter:
    counter.read()
    before = counter.read()
    sum(range(int(sys.argv[1])))
    print(json.dumps(counter.read() - before))
"""
RUNTIMES = {"litert": "tflite", "onnxruntime": "onnx"}
PACKAGED = "code/edgecnn/packaged/models/cifar10-ds"
REPEATS, FOLLOWS = 0.001, 0.10
"""What counts of fresh processes may differ by, and how far their ratio may lie from that of the MACs."""


class Steps:
    """A counter of which every reading is one of a list."""

    def __init__(self, readings: list[int]) -> None:
        self.readings = iter(readings)

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *raised: object) -> None:
        pass

    def read(self) -> int:
        return next(self.readings)


def test_it_is_the_median_between_readings_with_its_spread_and_nothing_subtracted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = list(range(0, 7 * (instructions.READINGS + 1), 7))
    monkeypatch.setattr(instructions, "Counter", lambda: Steps([*idle, 1000, 1100, 1190, 1310]))
    session = Session()
    assert count_inferences(session, [np.zeros(1)], 3, 2) == Instructions(3, 100, 90, 120, 7)
    assert (session.runs, session.collecting) == (5, False)


def test_a_process_that_nothing_counts_says_so() -> None:
    with pytest.raises(DeviceError, match=r"nothing counts this process's instructions; .* QEMU_PLUGIN="):
        Counter()


@pytest.fixture(scope="module")
def pi(virtual_pi: VirtualPi) -> VirtualPi:
    """A cortex-a72 with engines."""
    with_engines(virtual_pi)
    return virtual_pi


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPi]:
    """A cortex-a76 with engines."""
    with started(tmp_path_factory.mktemp("newer") / "pi", "cortex-a76") as pi:
        with_engines(pi)
        yield pi


def count(pi: VirtualPi, runtime: str, path: str) -> Instructions:
    """Of an inference, in a fresh process over there."""
    return Instructions(**pi.ask("python3", "-c", COUNT, runtime, path, **with_engines(pi), **COUNTED))


def spread(counts: list[int]) -> float:
    return (max(counts) - min(counts)) / min(counts)


def wide(filters: int) -> Graph:
    """Most of its work is in one convolution of so many filters, 3x3 on 32 channels and 16x16 places."""
    net = Net(np.random.default_rng(3), 16, 16)
    stem = net.relu6(net.conv("x", "stem", 32), "stem_act")
    inside = net.relu6(net.conv(stem, "wide", filters, (3, 3), (1, 1), (1, 1, 1, 1)), "act")
    net.dense(net.flatten(net.global_average_pool(inside, "mean")), "classifier", 4)
    return net.canonical()


def wide_macs(filters: int) -> int:
    """Worked out by hand: the stem, the convolution, the classifier."""
    return 16 * 16 * 3 * 32 + 16 * 16 * 9 * 32 * filters + 4 * filters


@pytest.mark.slow
def test_a_loop_of_twice_the_length_counts_twice(pi: VirtualPi) -> None:
    once, twice = (pi.ask("python3", "-c", LOOP, n, **with_engines(pi), **COUNTED) for n in (200_000, 400_000))
    assert twice / once == pytest.approx(2, rel=0.01)


@pytest.mark.slow
def test_over_there_too_a_process_that_nothing_counts_says_so(pi: VirtualPi) -> None:
    done = pi.run("python3", "-c", LOOP, 1000, **with_engines(pi))
    assert done.returncode == 1
    assert "DeviceError: nothing counts this process's instructions" in done.stderr


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_counts_of_fresh_processes_repeat_and_another_model_or_processor_moves_them(
    runtime: str, pi: VirtualPi, newer: VirtualPi
) -> None:
    form = RUNTIMES[runtime]
    model = HERE / f"models/cifar10-ds/{form}-int8/model.{form}"
    assert model.exists()
    medians = {}
    for machine, name in ((pi, "a72"), (newer, "a76")):
        found = [count(machine, runtime, f"{PACKAGED}/{form}-int8/model.{form}") for _ in range(5)]
        assert spread([each.median for each in found]) <= REPEATS
        assert all(each.reading < 0.01 * each.median for each in found)
        medians[name] = found[0].median
    fp32 = count(pi, runtime, f"{PACKAGED}/{form}-fp32/model.{form}").median
    assert spread([medians["a72"], fp32]) > REPEATS, "the gate would not see another model"
    assert medians["a76"] < 0.95 * medians["a72"], "with dot products, int8 takes fewer instructions"


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("precision", ["int8", "fp32"])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_twice_the_channels_of_a_layer_count_as_its_macs(
    runtime: str, precision: str, pi: VirtualPi, tmp_path: Path
) -> None:
    counts = []
    for filters in (128, 256):
        graph = wide(filters)
        graph = graph if precision == "fp32" else quantize(graph, pictures(np.random.default_rng(1), 32, 16, 16))
        folder = tmp_path / str(filters)
        folder.mkdir()
        form = find_format(RUNTIMES[runtime])
        form.write(graph, folder, {"labels": '["a", "b", "c", "d"]', "resize": "crop"})
        pi.put(folder, f"wide/{runtime}-{precision}-{filters}")
        counts.append(count(pi, runtime, f"wide/{runtime}-{precision}-{filters}/{form.model}").median)
    assert counts[1] / counts[0] == pytest.approx(wide_macs(256) / wide_macs(128), rel=FOLLOWS)

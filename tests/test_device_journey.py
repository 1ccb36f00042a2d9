"""From a workstation to a device nobody has touched: probe, setup, bench, verify, camera, on the virtual Pi."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecnn.data import DataSpec, open_dataset
from edgecnn.measuring.counting import CountRecord
from edgecnn.proof.device import DeviceCertificate
from edgecnn.records import read_json, write_json
from edgecnn.verbs.compare import compare
from edgecnn.verbs.verify_device import verify_on_device
from tests.verbs.small_runs import edgecnn
from tests.virtual_pi import VirtualPi, started
from tools.emulation.userland import alone

pytestmark = [pytest.mark.slow, pytest.mark.long]
MODELS = ("cifar10-ds", "cifar10-mobile", "photos-96")
RECORDED = Path(__file__).parent / "counted"
"""What the packaged models took when they were last looked at: a record for each processor."""
MOST_PERCENT = 2.0
PICTURES = 200
PROFILE = """
name: counted
title: for a test
cpu: emulated
cores: 4
architecture: aarch64
emulated: true
runtimes: [litert, onnxruntime]
camera: fake://
counter: {{QEMU_PLUGIN: /usr/local/lib/edgecnn/count.so}}
ssh: {{host: virtual-pi, config: {folder}/ssh_config}}
"""


@pytest.fixture(scope="module")
def pi(virtual_pi: VirtualPi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualPi]:
    """A cortex-a72 that `devices setup` has been to; the working folder has its profile."""
    with profiled(virtual_pi, tmp_path_factory.mktemp("work")):
        yield virtual_pi


class profiled:  # noqa: N801 - it is used as a function
    """A working folder with the profile of a virtual Pi, which is set up."""

    def __init__(self, pi: VirtualPi, folder: Path) -> None:
        self._pi, self._folder, self._before = pi, folder, Path.cwd()
        (folder / "devices").mkdir()
        (folder / "devices/counted.yaml").write_text(PROFILE.format(folder=pi.folder))

    def __enter__(self) -> None:
        os.chdir(self._folder)
        with alone(self._pi.folder / "setup"):  # workers share the Pi, and a second setup beside one is refused
            done = edgecnn("devices", "setup", "counted", "--runtime", "litert,onnxruntime", "--json")
        assert done.code == 0, done.err

    def __exit__(self, *raised: object) -> None:
        os.chdir(self._before)


def answer(*words: object) -> Any:
    """What a verb says with --json."""
    done = edgecnn(*words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_it_says_what_it_is_and_can_have(pi: VirtualPi) -> None:
    found = answer("devices", "probe", "counted")
    assert json.dumps(found).count("aarch64") >= 1
    assert "litert" in json.dumps(found)


def test_setup_again_changes_nothing_and_is_small(pi: VirtualPi) -> None:
    done = edgecnn("devices", "setup", "counted", "--runtime", "litert,onnxruntime")
    assert done.code == 0, done.err
    assert "nothing to do" in done.out
    taken = re.search(r"takes ([0-9]+) MB", done.out)
    assert taken is not None
    assert int(taken[1]) <= 130


def test_instructions_are_counted_and_int8_answers_are_the_same_to_the_bit(pi: VirtualPi) -> None:
    counted = answer("bench", "cifar10-ds", "--device", "counted", "--out", "ds.json")
    rows = {(row["runtime"], row["precision"]): row for row in counted["rows"]}
    assert set(rows) == {(runtime, kind) for runtime in ("litert", "onnxruntime") for kind in ("int8", "fp32")}
    assert all("p50_us" not in row and row["instructions"] > 1e6 for row in counted["rows"]), "no time, but work"
    images = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("test").images[:20]
    found = verify_on_device("cifar10-ds", "counted", images)
    assert found.emulated
    exact = {pair.a: (pair.exact, pair.max_steps) for pair in found.parity}
    assert exact["tflite-int8 in litert, here"] == (1.0, 0)
    assert found.passed


@pytest.mark.parametrize("model", MODELS)
def test_every_packaged_model_answers_the_same_to_the_bit(pi: VirtualPi, model: str) -> None:
    images, classes = pictures(model)
    found: DeviceCertificate = verify_on_device(model, "counted", images, classes, sample=PICTURES)
    assert found.n == PICTURES
    for pair in found.parity:
        print(f"{model} {pair.b}: {pair.max_steps} steps at most, {100 * pair.exact:.3f} % exact")
        if "litert" in pair.a:
            assert (pair.exact, pair.max_steps) == (1.0, 0)
    assert all(kept.exact == 1.0 for kept in found.golden if kept.name == "tflite-int8 in litert")
    assert found.passed


def pictures(model: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """200 pictures of the test split for CIFAR's models; for photos the same, enlarged: only parity counts."""
    import cv2

    test = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).load("test")
    places = np.linspace(0, len(test) - 1, PICTURES).astype(int)
    if model.startswith("cifar10"):
        return test.images[places], test.classes[places]
    return np.stack([cv2.resize(test.images[i], (96, 96), interpolation=cv2.INTER_CUBIC) for i in places]), None


def test_no_packaged_model_takes_two_percent_more_on_a_cortex_a72(pi: VirtualPi) -> None:
    check_counts("cortex-a72")


def test_nor_on_a_cortex_a76(tmp_path_factory: pytest.TempPathFactory) -> None:
    folders = tmp_path_factory.mktemp("newer"), tmp_path_factory.mktemp("work")
    with started(folders[0] / "pi", "cortex-a76") as newer, profiled(newer, folders[1]):
        check_counts("cortex-a76")


def check_counts(cpu: str) -> None:
    """Hold what the packaged models take now against what was recorded, and see that the gate would notice."""
    answer("bench", *MODELS, "--device", "counted", "--out", "now.json")
    recorded, now = RECORDED / f"{cpu}.json", Path("now.json")
    found = compare(recorded, now, tolerance_percent=MOST_PERCENT)
    assert len(found.rows) == 10
    assert not found.failures, found.failures
    grown = read_json(CountRecord, now)
    rows = [dataclasses.replace(row, least=row.least * 103 // 100, most=row.most * 103 // 100) for row in grown.rows]
    write_json(Path("grown.json"), dataclasses.replace(grown, rows=tuple(rows)))
    assert len(compare(recorded, "grown.json", tolerance_percent=MOST_PERCENT).failures) == 10, "the gate sees 3 %"

"""Whole networks in the words of `layers:`, drawn by hypothesis: each operation of each file on the reference's inputs.

A network counts where its logits use 32 levels and three classes win on real pictures; what is thrown away is printed,
and must stay below a fifth. In those that count every operation of every int8 file is within a step on 99.9 % of its
values, and nothing of a float file is off by more than 1e-4 of the largest value.

30 networks are the same in every run; EDGECNN_EXAMPLES=300 draws that many others.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from edgecnn.formats import all_formats
from edgecnn.graph.canonical import canonical
from edgecnn.graph.edit import Graph
from edgecnn.graph.trace import trace
from edgecnn.proof.parity import LayerReference, LayerReport, check_layers
from edgecnn.quantize import quantize
from edgecnn.recipe import layers as words
from tests.formats.drawn_layers import STATISTICS, Drawn, drawn, real_pictures

LEVELS, WINNERS = 32, 3
THROWN_AWAY = 0.2
WITHIN = 0.999
TESTED = 32
MORE = os.environ.get("EDGECNN_EXAMPLES")
PARTS = 6
EACH = -(-int(MORE) // PARTS) if MORE else 5


@dataclass
class Tally:
    """What became of the networks of one part."""

    drawn: int = 0
    counted: int = 0
    types: Counter[str] = field(default_factory=Counter)
    least: dict[str, float] = field(default_factory=dict)

    def add(self, target: str, report: LayerReport) -> None:
        """The least share within a step that an operation of one format has."""
        for check in report.layers:
            assert check.within_1 is not None, f"{check.layer} ({check.type}) in {target} {check.reason}"
            assert check.within_1 >= WITHIN, f"{check.layer} ({check.type}) in {target}: {check.reason}"
            self.least[target] = min(self.least.get(target, 1.0), check.within_1)
            self.types[check.type] += target == "tflite"

    def check_share(self) -> None:
        """That not too many were thrown away."""
        assert self.counted >= (1 - THROWN_AWAY) * self.drawn, str(self)

    def __str__(self) -> str:
        least = ", ".join(f"{name} {share:.5f}" for name, share in sorted(self.least.items()))
        thrown = self.drawn - self.counted
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.types.most_common())
        return (
            f"{self.counted} of {self.drawn} drawn networks count, {thrown / self.drawn:.0%} thrown away; least share "
            f"within a step: {least}; {kinds}"
        )


def quantized(net: Drawn) -> tuple[Graph, Graph]:
    """The canonical graph and the QDQ graph, after the pictures that int8 is decided on."""
    images = real_pictures(net.size, "train", STATISTICS)
    graph = canonical(trace(net.module(images), 3, *net.size))
    return graph, quantize(graph, images)


def uses_its_levels(reference: LayerReference) -> bool:
    logits = reference.values[reference.program.output.value]
    return len(np.unique(logits)) >= LEVELS and len(np.unique(logits.argmax(1))) >= WINNERS


def check(net: Drawn, tally: Tally) -> None:
    tally.drawn += 1
    _, graph = quantized(net)
    reference = LayerReference(graph, real_pictures(net.size, "val", TESTED))
    if not uses_its_levels(reference):
        return
    tally.counted += 1
    for name, form in all_formats().items():
        with tempfile.TemporaryDirectory() as folder:
            form.write(graph, Path(folder), {})
            tally.add(name, check_layers(f"{name}-int8", name, Path(folder) / form.model, reference))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_drawn_networks(part: int, capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()

    @seed(part)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(drawn())
    def run(net: Drawn) -> None:
        check(net, tally)

    run()
    with capsys.disabled():
        print(f"\n{tally}")
    tally.check_share()


EXAMPLE = Drawn(
    (13, 17),
    (
        words.Conv(filters=8, stride=(2, 2), batch_norm=True, activation="relu"),
        words.Concat(branches=((words.Conv(filters=4, kernel=(1, 1)),), ())),
        words.GlobalAveragePool(),
        words.Dense(units=10),
    ),
    seed=1,
)


def double_a_scale(graph: Graph) -> None:
    name = next(name for name in graph.constants if name.startswith("concat_2") and name.endswith("weight.scale"))
    graph.constants[name] = graph.constants[name] * np.float32(2)


@pytest.mark.parametrize("target", all_formats())
def test_a_fault_in_one_branch_is_seen(target: str, tmp_path: Path) -> None:
    graph, form = quantized(EXAMPLE)[1], all_formats()[target]
    reference = LayerReference(graph, real_pictures(EXAMPLE.size, "val", 8))
    double_a_scale(graph)
    form.write(graph, tmp_path, {})
    with pytest.raises(AssertionError, match=r"concat_2/branch1/conv_1 \(Conv\)"):
        Tally().add(target, check_layers(target, target, tmp_path / form.model, reference))


def test_networks_that_always_say_the_same_don_t_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.WINNERS", 11)
    tally = Tally()
    check(EXAMPLE, tally)
    assert (tally.drawn, tally.counted) == (1, 0)
    with pytest.raises(AssertionError, match="0 of 1 drawn networks count, 100% thrown away"):
        tally.check_share()

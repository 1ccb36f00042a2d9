"""What is looked for in a model file: one function a rule, each `(View) -> iterator of findings`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgecnn.inspection.rules import ends, islands, movement, scales, weights
from edgecnn.inspection.view import Finding, View

Rule = Callable[[View], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    weights.accumulator_overflows,
    weights.dead_channels,
    weights.saturated_weights,
    weights.one_scale_for_all,
    scales.bias_out_of_range,
    scales.wrong_bias_scale,
    scales.fixed_grids,
    scales.unequal_grids,
    islands.float_islands,
    islands.off_the_fast_path,
    movement.stray_transposes,
    movement.stray_pads,
    movement.stray_pairs,
    ends.open_sizes,
    ends.transpose_before_dequantize,
)


def findings(view: View) -> tuple[Finding, ...]:
    """All that the rules find, what costs accuracy first."""
    found = [finding for rule in RULES for finding in rule(view)]
    return tuple(sorted(found, key=lambda finding: finding.effect != "accuracy"))

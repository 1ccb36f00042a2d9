"""Canonical fp32 graph + calibration pictures -> the one QDQ graph that every int8 file is made from."""

from __future__ import annotations

from edgecnn.quantize.answers import ANSWERS, float_answers
from edgecnn.quantize.class_map import quantized_map
from edgecnn.quantize.qdq import quantize
from edgecnn.quantize.saturation import PairSums, pair_sums
from edgecnn.quantize.tensorrt import UNTESTED, broken_rules

__all__ = [
    "ANSWERS",
    "UNTESTED",
    "PairSums",
    "broken_rules",
    "float_answers",
    "pair_sums",
    "quantize",
    "quantized_map",
]

"""Canonical fp32 graph + calibration pictures -> the one QDQ graph that every int8 file is made from."""

from __future__ import annotations

from edgecnn.quantize.qdq import quantize

__all__ = ["quantize"]

"""Architectures whose widths are what they are."""

from __future__ import annotations

from edgecnn.errors import UsageError


def refuse_width(arch: str, width: float, instead: str = "leave model.width out") -> None:
    """UsageError unless `width` is 1: what was asked for is never left undone in silence."""
    if width != 1.0:
        raise UsageError(f"{arch} has no width (model.width: {width:g}): {instead}")

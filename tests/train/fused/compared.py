"""How the kernels' tests compare: made-up pictures, distances, and the same again on other numbers of threads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def pictures(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0, away: float = 1.0) -> Tensor:
    """Normal values about `away` with a spread of 2, channels-last."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 2 + away
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def off(ours: Tensor | None, true: Tensor | None) -> float:
    """The largest difference, as a share of the largest true value."""
    assert ours is not None
    assert true is not None
    ours, true = ours.detach().double(), true.detach().double()
    return float((ours - true).abs().max() / true.abs().max().clamp(min=1e-6))


def same_on_all_threads(work: Callable[[], tuple[Tensor | None, ...]]) -> bool:
    """Whether one, two and three threads give the same bits."""
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(work())
    finally:
        torch.set_num_threads(threads)
    pairs = [(mine, first) for one in found[1:] for mine, first in zip(one, found[0], strict=True)]
    return all(mine is not None and first is not None and torch.equal(mine, first) for mine, first in pairs)

"""A checkpoint through bytes, as it goes from the first process to the others."""

from __future__ import annotations

import torch

from edgecnn.train.checkpoint import State, Tensors
from edgecnn.train.packed import pack, unpack


def test_round_trip() -> None:
    state = State(3, 0.5, 0.6, 2, ("a", "b"), step=7, loss_sum=0.1 + 0.2, right=5)
    tensors = Tensors({"x.weight": torch.randn(3, 2)}, {"x.weight/momentum_buffer": torch.ones(3, 2)}, {})
    found = unpack(pack((tensors, state)))
    assert found is not None
    assert found[1] == state
    assert found[1].loss_sum == 0.30000000000000004
    for part in ("model", "optimizer", "average"):
        mine, theirs = getattr(tensors, part), getattr(found[0], part)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_nothing_is_nothing() -> None:
    assert unpack(pack(None)) is None

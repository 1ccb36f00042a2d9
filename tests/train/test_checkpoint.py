"""What is written comes back, bit for bit and in its place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.recipe.layers import Conv, Dense, GlobalAveragePool
from edgecnn.train import checkpoint
from edgecnn.train.checkpoint import State
from tests.train.nets import LABELS, net, trainer

STATE = State(2, 0.25, 0.5, 1, LABELS)


def test_round_trip(tmp_path: Path) -> None:
    first = trainer(tmp_path)
    next(first.run())
    checkpoint.save(tmp_path / "kept", first.model, first.optimizer, STATE)
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]

    second = trainer(tmp_path, net(seed=9))
    checkpoint.load_model(tmp_path / "kept", second.model)
    checkpoint.load_optimizer(tmp_path / "kept", second.model, second.optimizer)
    assert checkpoint.read_state(tmp_path / "kept") == STATE
    expected, found = first.model.state_dict(), second.model.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    named = zip(first.model.named_parameters(), second.model.named_parameters(), strict=True)
    for (name, before), (_, after) in named:
        momentum = second.optimizer.state[after]["momentum_buffer"]
        assert momentum.abs().sum() > 0, name
        assert torch.equal(momentum, first.optimizer.state[before]["momentum_buffer"]), name
        if after.dim() == 4:
            assert after.is_contiguous(memory_format=torch.channels_last), name
            assert momentum.is_contiguous(memory_format=torch.channels_last), name


def test_another_program_can_read_the_weights(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    checkpoint.save(tmp_path / "kept", made.model, made.optimizer, STATE)
    expected = made.model.state_dict()
    found = load_file(tmp_path / "kept/model.safetensors")
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


def test_saving_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    made = trainer(tmp_path / "checkpoints")
    for epoch in (1, 2, 3):
        checkpoint.save(tmp_path / "checkpoints/last", made.model, made.optimizer, State(epoch, 0, 0, 0, LABELS))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last"]
    assert checkpoint.read_state(tmp_path / "checkpoints/last").epoch == 3


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    checkpoint.save(tmp_path / "kept", made.model, made.optimizer, STATE)
    other = net((Conv(filters=4), GlobalAveragePool(), Dense(units=10)))
    with pytest.raises(UnusableFile, match=r"kept/model\.safetensors: does not fit the recipe's model"):
        checkpoint.load_model(tmp_path / "kept", other)


def test_state_knows_its_classes(tmp_path: Path) -> None:
    STATE.check_labels(LABELS, tmp_path)
    with pytest.raises(UsageError, match="was trained on the classes a, b"):
        STATE.check_labels((*LABELS[1:], "a"), tmp_path)

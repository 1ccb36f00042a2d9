"""The schedule: worked examples, and torch's own schedulers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from edgecnn.train.schedule import learning_rate
from tests.train.nets import SETTINGS


@pytest.mark.parametrize(
    ("epochs", "warmup", "position", "expected"),
    [
        (10, 2, 0, 0.0),
        (10, 2, 0.5, 0.1),
        (10, 2, 1, 0.2),
        (10, 2, 2, 0.4),
        (10, 2, 4, 0.4 * 0.8535533905932737),  # (1 + cos 45 deg) / 2
        (10, 2, 6, 0.2),
        (10, 2, 10, 0.0),
        (10, 0, 0, 0.4),
        (10, 0, 5, 0.2),
        (10, 0.5, 0.25, 0.2),
        (2, 2, 1.5, 0.3),
        (2, 5, 1, 0.08),  # a run shorter than its warm-up
        (1, 0, 0.5, 0.2),
    ],
)
def test_worked_examples(epochs: int, warmup: float, position: float, expected: float) -> None:
    settings = replace(SETTINGS, lr0=0.4, epochs=epochs, warmup_epochs=warmup)
    assert learning_rate(settings, position) == pytest.approx(expected, abs=1e-12)


def test_torch_says_the_same() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.3)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25)
    settings = replace(SETTINGS, lr0=0.3, epochs=25, warmup_epochs=0)
    for position in range(25):
        assert learning_rate(settings, position) == pytest.approx(cosine.get_last_lr()[0], rel=1e-6)
        optimizer.step()
        cosine.step()


def test_the_first_step_of_a_run_learns_nothing_and_the_last_nearly_nothing() -> None:
    settings = replace(SETTINGS, epochs=5, warmup_epochs=1)
    rates = [learning_rate(settings, step / 100) for step in range(500)]
    assert rates[0] == 0
    assert max(rates) == rates[100] == settings.lr0
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert 0 < rates[-1] < 1e-4 * settings.lr0


@pytest.mark.parametrize(("epochs", "rise"), [(20, 0.3), (7, 0.5)])
def test_one_cycle_is_torchs(epochs: int, rise: float) -> None:
    steps = 40 * epochs
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.3, total_steps=steps, pct_start=rise)
    settings = replace(SETTINGS, lr0=0.3, schedule="one_cycle", epochs=epochs, warmup_epochs=rise * epochs)
    for step in range(steps):
        # torch's cycle ends on the last step, ours where the last epoch ends
        ours = learning_rate(settings, step / 40)
        assert ours == pytest.approx(cycle.get_last_lr()[0], rel=0.03, abs=0.03 * 0.3)
        optimizer.step()
        if step < steps - 1:
            cycle.step()
    assert learning_rate(settings, 0) == pytest.approx(0.3 / 25)
    assert learning_rate(settings, rise * epochs) == pytest.approx(0.3)
    assert learning_rate(settings, epochs) == pytest.approx(0.3 / 25 / 1e4)

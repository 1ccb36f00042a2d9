"""Muon against torch's own, which has matrices alone and works in bfloat16, and against singular values."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from edgecnn.train.muon import LARGE, SHARE, Muon, orthogonal
from edgecnn.train.optimizer import optimizer_of
from tests.train.nets import SETTINGS


def _drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(48, 24), (24, 48), (32, 32), (16, 3, 3, 3), (96, 16, 1, 1)])
def test_singular_values_come_near_one_and_their_directions_stay(shape: tuple[int, ...]) -> None:
    given = _drawn(*shape)
    (made,) = orthogonal([given])
    left, _, right = torch.linalg.svd(given.reshape(len(given), -1), full_matrices=False)
    turned = left.T @ made.reshape(len(made), -1) @ right.T / max(1.0, shape[0] / given[0].numel()) ** 0.5
    values = turned.diagonal()
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    assert float((turned - torch.diag(values)).abs().max()) < 1e-3


def test_matrices_of_one_shape_do_not_touch_each_other_and_layout_is_no_matter() -> None:
    first, second = _drawn(8, 4, 3, 3), _drawn(8, 4, 3, 3, seed=1)
    together = orthogonal([first, second.contiguous(memory_format=torch.channels_last)])
    alone = [orthogonal([each])[0] for each in (first, second)]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_many_steps_are_torchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "bfloat16", Tensor.clone)  # torch's own in float32
    ours, theirs = (nn.Parameter(_drawn(24, 12)) for _ in range(2))
    lr, decay = 0.1, 0.02
    made = Muon([{"params": [ours], "weight_decay": decay, "orthogonal": True}], lr, 0.9)
    reference = torch.optim.Muon([theirs], lr=SHARE * lr, weight_decay=decay / SHARE, momentum=0.9, nesterov=True)
    for step in range(20):
        for parameter, optimizer in ((ours, made), (theirs, reference)):
            parameter.grad = _drawn(24, 12, seed=step)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_large_matrices_are_worked_on_in_the_trainings_type_as_torch_does() -> None:
    large, small = _drawn(LARGE, LARGE + 16), _drawn(LARGE - 1, LARGE + 16)
    exact, rough = orthogonal([large, small]), orthogonal([large, small], torch.bfloat16)
    assert torch.equal(rough[1], exact[1])
    ours = float((rough[0] - exact[0]).norm() / exact[0].norm())
    parameter = nn.Parameter(torch.zeros_like(large))
    parameter.grad = large
    torch.optim.Muon([parameter], lr=1.0, weight_decay=0.0, momentum=0.0, nesterov=False).step()
    theirs = float((parameter.detach() + exact[0]).norm() / exact[0].norm())
    assert rough[0].dtype == torch.float32
    assert 0.001 < ours < 1.5 * theirs < 0.03


@pytest.mark.parametrize(("dtype", "differs"), [("float32", False), ("bfloat16", True)])
def test_that_type_is_the_recipes(dtype: str, differs: bool) -> None:
    net = nn.Sequential(nn.Conv2d(LARGE, LARGE, 1, bias=False), nn.Flatten(), nn.Linear(4, 2))
    given = _drawn(LARGE, LARGE, 1, 1)
    before = net[0].weight.detach().clone()
    made = optimizer_of(net, replace(SETTINGS, optimizer="muon", dtype=dtype, lr0=1.0, momentum=0.0, weight_decay=0.0))
    net[0].weight.grad = given.clone()
    made.step()
    moved = (before - net[0].weight.detach()) / SHARE
    assert (float((moved - orthogonal([given])[0]).abs().max()) > 1e-5) == differs


def test_what_is_not_orthogonal_is_torchs_sgd() -> None:
    ours, theirs = (nn.Parameter(_drawn(7)) for _ in range(2))
    made = Muon([{"params": [ours], "weight_decay": 0.01}], 0.1, 0.9)
    reference = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)
    for step in range(20):
        for parameter, optimizer in ((ours, made), (theirs, reference)):
            parameter.grad = _drawn(7, seed=step)
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_gradient_of_nothing_leaves_the_weights_and_no_gradient_is_no_step() -> None:
    still, without = nn.Parameter(_drawn(6, 5)), nn.Parameter(_drawn(6, 5))
    before = still.detach().clone(), without.detach().clone()
    made = Muon([{"params": [still, without], "orthogonal": True}], 0.1, 0.9)
    still.grad = torch.zeros(6, 5)
    made.step()
    assert torch.equal(still, before[0])
    assert torch.equal(without, before[1])
    with pytest.raises(ValueError, match="closure"):
        made.step(lambda: 0.0)


def test_hidden_matrices_are_made_orthogonal_and_nothing_else() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 16, 1), nn.Linear(16, 10)
    )
    made = optimizer_of(net, replace(SETTINGS, optimizer="muon", weight_decay=0.01))
    matrices, others, rest = (list(group["params"]) for group in made.param_groups)
    assert [id(p) for p in matrices] == [id(net[0].weight), id(net[3].weight)]
    assert [id(p) for p in others] == [id(net[2].weight), id(net[4].weight)]
    assert len(rest) == 6
    assert [group["weight_decay"] for group in made.param_groups] == [0.01, 0.01, 0.0]
    assert [group["orthogonal"] for group in made.param_groups] == [True, False, False]


def test_where_only_the_classifier_learns_nothing_is_orthogonal() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(8, 10))
    net[0].requires_grad_(False)
    made = optimizer_of(net, replace(SETTINGS, optimizer="muon"))
    assert not any(group["orthogonal"] for group in made.param_groups)

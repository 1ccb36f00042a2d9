"""The loss of learning from a teacher, against the formula written out, and that a step learns from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from edgecnn.train.distill import Teacher, unlike
from edgecnn.train.step import Learner
from tests.train.nets import SETTINGS


def test_it_is_the_divergence_from_the_softened_answers() -> None:
    """By its definition, sum p log(p / q), in float64."""
    torch.manual_seed(0)
    logits, wanted = torch.randn(5, 4) * 3, torch.randn(5, 4) * 3
    p, q = ((x.double() / 2.5).exp() for x in (wanted, logits))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    assert float(unlike(logits, wanted, 2.5)) == pytest.approx(float(2.5**2 * (p * (p / q).log()).sum()), rel=1e-5)
    assert float(unlike(wanted, wanted, 2.5)) == pytest.approx(0.0, abs=1e-5)


def test_the_gradient_keeps_its_size_at_any_temperature() -> None:
    """At high ones it becomes that of half the squared distance of centred logits, over the classes (section 2.1)."""
    torch.manual_seed(0)
    logits, wanted = torch.randn(1, 4).requires_grad_(), torch.randn(1, 4)
    unlike(logits, wanted, 1000.0).backward()
    assert logits.grad is not None
    centred = (logits.detach() - logits.detach().mean()) - (wanted - wanted.mean())
    assert torch.allclose(logits.grad, centred / 4, atol=1e-2)


def test_alpha_is_the_share_of_the_answers() -> None:
    images, logits = torch.randn(3, 2), torch.randn(3, 2)
    of_classes = torch.tensor(7.0)
    answers = unlike(logits, images, 2.0)
    for alpha in (0.25, 1.0):
        loss = Teacher(nn.Identity(), 2.0, alpha).loss(images, logits, of_classes)
        assert float(loss) == pytest.approx(float(alpha * answers + (1 - alpha) * of_classes), rel=1e-6)


def test_threads_are_those_of_the_student_again() -> None:
    learner = Learner(net(0), SETTINGS)
    torch.set_num_threads(2)
    learner.learn_from(Teacher(net(1), 1.0, 1.0))
    assert torch.get_num_threads() == SETTINGS.threads == 1


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_step_moves_towards_the_teacher_and_leaves_it_alone(dtype: str) -> None:
    """Its answers are those that it gives in evaluation; what the pictures' true classes are does not matter."""
    images = torch.randn(16, 3, 8, 8)
    learner, teacher = Learner(net(0), replace(SETTINGS, batch=16, dtype=dtype, weight_decay=0.0)), net(1)
    with torch.no_grad():
        teacher[1].running_mean += 1.0  # type: ignore[operator,union-attr]
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    learner.learn_from(Teacher(teacher, 1.0, 1.0))
    learner.train()
    losses = [float(learner.step(images, torch.randint(0, 3, (16,)), 0.1)[0]) for _ in range(200)]
    assert losses[-1] < 0.05 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    with torch.no_grad():
        wanted = functional.softmax(teacher(images), 1)
        made = functional.softmax(learner.model(images), 1)
    assert float((wanted - made).abs().max()) < 0.15

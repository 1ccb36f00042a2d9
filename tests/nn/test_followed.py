"""What is seen of a module as it runs over shapes: against counts by hand and torch's own modules."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.nn.followed import followed


class Winding(nn.Module):
    """A convolution that is called twice, a branch chosen by a shape, a join in place and a pool by a function."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.same = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.last = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image) * self.scale
        y = self.same(functional.relu(self.same(x)))
        if y.shape == x.shape:
            y += x
        first, second = torch.cat([x, y], 1).chunk(2, dim=1)
        pooled = functional.adaptive_avg_pool2d(torch.cat([second, first], 1), 1)
        answer: Tensor = self.last(pooled.flatten(1))
        return answer


def test_a_module_that_decides_as_it_runs() -> None:
    with torch.device("meta"):
        answer, steps = followed(Winding().eval(), (3, 8, 10))
    assert answer == (5,)
    assert [(step.name, step.type, step.inputs, step.params, step.macs) for step in steps] == [
        ("stem", "conv", ("picture",), 112, 8 * 10 * 4 * 27),
        ("same", "conv", ("stem",), 144, 8 * 10 * 4 * 36),
        ("same_1", "conv", ("same",), 0, 8 * 10 * 4 * 36),
        ("add", "add", ("same_1", "stem"), 0, 0),
        ("cat", "concat", ("stem", "add"), 0, 0),
        ("cat_1", "concat", ("cat",), 0, 0),
        ("adaptive_avg_pool2d", "global_average_pool", ("cat_1",), 0, 0),
        ("last", "dense", ("adaptive_avg_pool2d",), 45, 40),
    ]
    assert [step.after.size for step in steps][:4] == [(3, 3), (5, 5), (7, 7), (7, 7)]
    assert steps[-2].after.size == (8, 10)


def test_nothing_of_it_stays_on_the_module() -> None:
    module = Winding().eval()
    followed(module, (3, 8, 8))
    assert all(not part._forward_hooks and not part._forward_pre_hooks for part in module.modules())
    assert tuple(module(torch.zeros(2, 3, 8, 8)).shape) == (2, 5)


def test_an_answer_that_is_no_tensor() -> None:
    class Two(Winding):
        def forward(self, image: Tensor) -> Tensor:
            return (super().forward(image),) * 2  # type: ignore[return-value]

    assert followed(Two().eval(), (3, 8, 8))[0] == ()

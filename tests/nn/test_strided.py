"""The detour's gradients against torch's own, in the same precision and in a higher one."""

from __future__ import annotations

import pytest
import torch

from edgecnn.geometry import Margins, margins_of
from edgecnn.nn import strided
from edgecnn.nn.blocks import Conv2d

CASES = [
    # channels, size, kernel, stride, padding
    (8, (32, 32), (3, 3), (2, 2), "same"),
    (8, (16, 16), (3, 3), (2, 2), (1, 1)),
    (8, (15, 17), (3, 3), (2, 2), "same"),
    (8, (16, 12), (5, 5), (2, 2), "same"),
    (16, (13, 13), (5, 3), (3, 2), "same"),
    (8, (9, 9), (3, 3), (2, 2), "valid"),
    (8, (16, 16), (3, 3), (2, 1), "same"),
]


def conv(channels: int, kernel: tuple[int, int], stride: tuple[int, int], margins: Margins) -> Conv2d:
    torch.manual_seed(1)
    return Conv2d(channels, channels, kernel, stride, margins, groups=channels, bias=False)


def gradients(layer: Conv2d, image: torch.Tensor, *, half: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Output, input gradient, weight gradient of a sum that weighs each output value differently."""
    image = image.clone().to(memory_format=torch.channels_last).requires_grad_()
    layer.weight.grad = None
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        output = layer(image)
    weights = torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    (output.float() * weights).sum().backward()
    assert image.grad is not None
    assert layer.weight.grad is not None
    return output.detach().float(), image.grad, layer.weight.grad


@pytest.mark.parametrize(("channels", "size", "kernel", "stride", "padding"), CASES)
def test_gradients(
    channels: int, size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], padding: object
) -> None:
    margins = margins_of(padding, size, kernel, stride)  # type: ignore[arg-type]
    layer = conv(channels, kernel, stride, margins)
    image = torch.randn(4, channels, *size, generator=torch.Generator().manual_seed(2))
    taken = []
    real = strided.depthwise

    def watched(*arguments: object) -> torch.Tensor:
        taken.append(True)
        return real(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strided, "depthwise", watched)
        found = gradients(layer, image, half=True)
        exact = gradients(layer, image, half=False)
        patch.setattr(strided, "pays", lambda *_: False)
        usual = gradients(layer, image, half=True)
    assert taken == [True], "once: in bfloat16"
    for ours, torchs, expected in zip(found, usual, exact, strict=True):
        scale = expected.abs().max()
        assert (ours - expected).abs().max() <= 0.02 * scale
        assert (ours - expected).abs().mean() <= 1.05 * (torchs - expected).abs().mean() + 1e-6 * scale


def test_where_it_does_not_pay_torch_does_it() -> None:
    same = margins_of("same", (16, 16), (3, 3), (2, 2))
    image = torch.randn(2, 8, 16, 16, requires_grad=True)
    weight = torch.randn(8, 1, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert strided.pays(image, weight, (2, 2), same)
        assert not strided.pays(image, weight, (1, 1), same)
        assert not strided.pays(image.detach(), weight, (2, 2), same)
        assert not strided.pays(image, torch.randn(8, 8, 3, 3), (2, 2), same)
        assert not strided.pays(image, torch.randn(8, 1, 2, 2), (2, 2), same)
        assert not strided.pays(torch.randn(2, 1, 16, 16, requires_grad=True), weight, (2, 2), same), "one channel to 8"
        assert not strided.pays(image, weight, (2, 2), Margins(2, 2, 2, 2))
    assert not strided.pays(image, weight, (2, 2), same)

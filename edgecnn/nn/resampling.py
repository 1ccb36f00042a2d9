"""What makes pictures larger: transposed convolutions with TensorFlow's margins, and resizing by whole factors."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from edgecnn.geometry import Margins, Pair
from edgecnn.nn.blocks import completed
from edgecnn.nn.initializers import initialize


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution whose margins are cut off its output, as TensorFlow's `conv2d_transpose` has them.

    `longer` rows and columns at the end, which nothing reaches, hold the bias.
    """

    def __init__(
        self, channels: int, filters: int, kernel: Pair, stride: Pair, margins: Margins, longer: Pair, bias: bool
    ) -> None:
        super().__init__(channels, filters, kernel, stride, output_padding=longer, bias=bias)
        self.margins = margins

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Float [N, C, H, W] -> [N, filters, H', W']."""
        made = super().forward(input, output_size)
        cut, (rows, columns) = self.margins, made.shape[2:]
        return made[:, :, cut.top : rows - cut.bottom, cut.left : columns - cut.right]


def transposed_convolution(
    channels: int,
    filters: int,
    kernel: Pair,
    stride: Pair,
    margins: Margins,
    longer: Pair,
    *,
    bias: bool,
    batch_norm: bool,
    activation: str,
    initializer: str | None = None,
) -> nn.Sequential:
    """Transposed convolution, batch norm if asked for, activation; He's initialisation unless one is named.

    Its weights are [channels, filters, K, K]: as in Keras it takes in `filters` values a pixel of the kernel.
    """
    conv = ConvTranspose2d(channels, filters, kernel, stride, margins, longer, bias)
    if initializer is None:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    else:
        initialize(conv.weight, initializer)
    return completed("conv", conv, nn.BatchNorm2d(filters) if batch_norm else None, activation)


class Upsample(nn.Module):
    """Repeats pixels (nearest), or lies on the lines between their centres (bilinear)."""

    def __init__(self, size: Pair, interpolation: str) -> None:
        super().__init__()
        self.size, self.interpolation = size, interpolation

    def forward(self, image: Tensor) -> Tensor:
        """Float [N, C, H, W] -> [N, C, H * rows, W * columns]."""
        size = (image.shape[2] * self.size[0], image.shape[3] * self.size[1])
        if self.interpolation == "nearest":
            return functional.interpolate(image, size=size, mode="nearest")
        return functional.interpolate(image, size=size, mode="bilinear", align_corners=False)

"""From picture numbers to what the net takes: one pass over the bytes, no worker processes.

Pictures lie in memory (on the device, where it has memory of its own) or in a memory-mapped file as uint8 NHWC. Crops
and flips only change which pixel is read, so that picking a batch and moving it is one indexed read: 0.6 ms for 256
pictures of 32x32, under half a percent of a small net's step.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgecnn.data import Pictures
from edgecnn.geometry import Pair
from edgecnn.train.augment import Augment, Window
from edgecnn.train.batches import Batch, Places


@dataclass(frozen=True)
class Split:
    """Training and validation pictures, and the classes' names; to be cut from, training pictures may be larger."""

    train: Pictures
    val: Pictures
    labels: tuple[str, ...]

    @property
    def size(self) -> Pair:
        """The net's rows and columns."""
        height, width = self.val.images.shape[1:3]
        return height, width


def normalise(images: Tensor) -> Tensor:
    """uint8 [N, H, W, C] -> float32 [N, C, H, W] in channels-last order, (pixel - 128) / 128."""
    return images.permute(0, 3, 1, 2).to(torch.float32).sub_(128.0).mul_(1.0 / 128.0)


def on_device(pictures: Pictures, device: torch.device) -> tuple[Tensor, Tensor]:
    """uint8 [N, H, W, C] and int64 [N]; a memory-mapped file stays where it is."""
    mapped = isinstance(pictures.images, np.memmap)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not writable.*")  # and nothing here writes
        images = torch.from_numpy(pictures.images)
    return images if mapped else images.to(device), torch.from_numpy(pictures.classes).to(device)


class Loader:
    """The training pictures of a run, brought to `size`, rows and columns, where they are cut from larger ones."""

    def __init__(
        self,
        pictures: Pictures,
        classes: int,
        augment: tuple[str, ...],
        device: torch.device,
        size: Pair | None = None,
    ) -> None:
        self.device = device
        self._augment = Augment(augment, classes, size)
        self.images, self.classes = on_device(pictures, device)
        self.names = pictures.names

    @property
    def identity(self) -> str:
        """How many pictures there are, and the CRC-32 of their names in their order."""
        names = "\0".join(self.names).encode(errors="surrogateescape")
        return f"{len(self.names)} pictures, {zlib.crc32(names):08x}"

    def __len__(self) -> int:
        return len(self.images)

    def load(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """This process's part: float32 [n, C, H, W] in channels-last order, and int64 [n] or float [n, K] classes."""
        augment = self._augment
        numbers = batch.pictures[augment.share(batch)]
        window = augment.window(batch, *self.images.shape[1:3])
        images = augment.pictures(self._read(numbers, window), batch)
        classes = self.classes[torch.from_numpy(numbers).to(self.device)]
        return augment.mix(normalise(images), classes, batch)

    def _read(self, numbers: Places, window: Window) -> Tensor:
        """uint8 [n, H, W, C], pixel by pixel from where the window says."""
        height, width, channels = self.images.shape[1:]
        where = (numbers[:, None] * height + window.rows)[:, :, None] * width + window.columns[:, None, :]
        pixels = torch.from_numpy(where.reshape(-1)).to(self.images.device)
        read = self.images.view(-1, channels).index_select(0, pixels)
        return read.view(len(numbers), height, width, channels).to(self.device, non_blocking=True)

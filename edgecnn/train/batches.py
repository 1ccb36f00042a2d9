"""Which pictures a step sees, and how they are changed: all of it drawn from (seed, epoch, step) and nothing else.

A step's batch is the same whatever ran before it, and on however many processes: each of them draws for the whole batch
and takes its share.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def order(seed: int, epoch: int, pictures: int) -> Places:
    """int64 [N]: the numbers of all pictures, in the order of this epoch."""
    return np.random.default_rng([seed, epoch]).permutation(pictures)


@dataclass(frozen=True)
class Batch:
    """One step's pictures.

    pictures: int64 [B], their numbers, over all processes. share: int64 [n], this process's places in `pictures`, with
    one more in front: mixing blends each picture with the one before it.
    """

    seed: int
    epoch: int
    step: int
    pictures: Places
    share: Places

    def draw(self, what: int) -> np.random.Generator:
        """A generator for one use, the same on every process."""
        return np.random.default_rng([self.seed, self.epoch, self.step, what])

    def torch_seed(self, rank: int = 0) -> int:
        """A seed for torch's own generator."""
        return int(np.random.SeedSequence([self.seed, self.epoch, self.step, rank]).generate_state(1)[0])

    @property
    def digest(self) -> str:
        """CRC-32 of the numbers: the same only for the same pictures in the same order."""
        return f"{zlib.crc32(self.pictures.astype('<i8').tobytes()):08x}"


def batch_of(places: Places, batch: int, seed: int, epoch: int, step: int, rank: int = 0, world: int = 1) -> Batch:
    """Step `step` of an epoch whose order is `places`; process `rank` of `world` takes every picture of its stretch.

    Stretches differ by one picture at most, and together are the batch.
    """
    pictures = places[step * batch : (step + 1) * batch]
    first, end = rank * len(pictures) // world, (rank + 1) * len(pictures) // world
    share = np.arange(first - 1, end) % len(pictures)
    return Batch(seed, epoch, step, pictures, share)

"""The processes that train together, started by `torchrun`; one alone is the usual case.

Each takes its stretch of every batch, gradients and batch-norm statistics are summed over all, and only the first
writes. They talk through gloo on CPUs, NCCL on GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """How many there are over all machines, which one this is, and how many share this machine."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    local_world: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place; the same on each, run after run."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether it is so on any of them."""
        if self.world == 1:
            return flag
        return bool(self.sum(torch.tensor(float(flag), device=device)))

    def from_first(self, content: bytes) -> bytes:
        """What the first process has, on all of them."""
        if self.world == 1:
            return content
        device = torch.device("cuda", self.local_rank) if dist.get_backend() == "nccl" else torch.device("cpu")
        length = torch.tensor(len(content), device=device)
        dist.broadcast(length, 0)
        if not self.first:
            content = bytes(int(length))
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8).to(device) if int(length) else None
        if values is not None:
            dist.broadcast(values, 0)
            content = values.cpu().numpy().tobytes()
        return content


ALONE = Processes()
TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


def started() -> Processes:
    """Which process this is of those that torchrun started, by the environment it gives them."""
    return Processes(*(int(os.environ[name]) for name in TORCHRUN)) if "TORCHELASTIC_RUN_ID" in os.environ else ALONE


@contextmanager
def joined() -> Iterator[Processes]:
    """The processes that torchrun started, as long as the block runs; where it started none, this one alone."""
    found = started()
    if found.world == 1:
        yield ALONE
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(found.local_rank)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield found
    finally:
        dist.destroy_process_group()

"""The processes that train together, started by `torchrun`; one alone is the usual case.

Each takes its stretch of every batch, gradients and batch-norm statistics are summed over all, and only the first
writes. They talk through gloo on CPUs, NCCL on GPUs.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from edgecnn.errors import DeviceError


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

    def sum_gradients(self, model: nn.Module) -> None:
        """Sum every gradient over all processes, as one run of numbers in the order of the parameters.

        DistributedDataParallel would send while the backward pass still runs, but lays its buckets out anew after the
        first step: with three processes or more a resumed run would then add in another order.
        """
        if self.world == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        together = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(together)
        for gradient, summed in zip(gradients, torch.split(together, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))

    def spread(self, model: nn.Module) -> None:
        """Give all processes the first one's weights and statistics."""
        for value in model.state_dict().values():
            dist.broadcast(value, 0)

    def wait(self) -> None:
        """Until all are here."""
        if self.world > 1:
            dist.barrier()

    def from_first(self, content: bytes) -> bytes:
        """What the first process has, on all of them."""
        if self.world == 1:
            return content
        length = torch.tensor(len(content))
        dist.broadcast(length, 0)
        if not self.first:
            content = bytes(int(length))
        values = torch.frombuffer(bytearray(content), dtype=torch.uint8) if int(length) else None
        if values is not None:
            dist.broadcast(values, 0)
            content = values.numpy().tobytes()
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
    cuda = found.local_rank < torch.cuda.device_count()
    if cuda:
        torch.cuda.set_device(found.local_rank)
    _import_what_keeps_the_group()
    dist.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield found
        found.wait()  # torchrun ends the others as soon as one of them fails, even at its very end
    except (dist.DistBackendError, RuntimeError) as error:
        if isinstance(error, dist.DistBackendError) or "Connection closed" in str(error) or "gloo" in str(error):
            raise DeviceError("another of the processes stopped; its message says why") from error
        raise
    finally:
        dist.destroy_process_group()


def _import_what_keeps_the_group() -> None:
    """Import, before there is a group, the module whose default arguments would keep it until Python ends.

    torch.compile imports it at the first step. Its functions are written `group=group.WORLD`; with the group destroyed
    only as the interpreter stops, gloo's threads outlive that, and one of them asking for it aborts the process.
    """
    importlib.import_module("torch.distributed.nn.functional")

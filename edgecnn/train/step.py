"""One training step, the part that takes the time: forward, loss, back, and the weights' move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.errors import OutOfResources
from edgecnn.train import allocator, norm
from edgecnn.train.distill import Teacher
from edgecnn.train.freeze import freeze
from edgecnn.train.fused.places import fuse
from edgecnn.train.optimizer import optimizer_of
from edgecnn.train.processes import ALONE, Processes
from edgecnn.train.settings import Settings

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}


class Learner:
    """A model and its optimizer as the settings say: device, precision, memory layout, kernels, compiled, one or many.

    `model` holds the weights, the same in all processes: gradients and batch-norm statistics are summed over them.
    """

    def __init__(self, model: nn.Module, settings: Settings, processes: Processes = ALONE) -> None:
        self.settings, self.processes = settings, processes
        self.device = _device(settings)
        self.layout = LAYOUTS[settings.layout]
        self.model = model.to(self.device, memory_format=self.layout)  # type: ignore[call-overload]
        self._still = freeze(self.model, settings.freeze)
        self.optimizer = optimizer_of(self.model, settings)
        self._run: nn.Module = self.model
        self._teacher: Teacher | None = None
        if processes.world > 1:
            norm.share_statistics(self.model)
            processes.spread(self.model)
        if settings.fused and self.device.type == "cpu":
            fuse(self.model, getattr(torch, settings.dtype))
        if settings.compile:
            self._run = torch.compile(self.model, dynamic=False)  # type: ignore[assignment]

    def learn_from(self, teacher: Teacher) -> None:
        """From now on steps learn from a teacher's answers; threads are set anew, which its own training may change."""
        model = teacher.model.to(_device(self.settings), memory_format=self.layout)  # type: ignore[call-overload]
        self._teacher = replace(teacher, model=model.eval().requires_grad_(False))

    def train(self) -> None:
        """Before steps: everything in training mode, but for the batch norms of frozen layers."""
        self.model.train()
        for module in self._still:
            module.eval()

    def step(self, images: Tensor, classes: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """Learn from this process's part of a batch: float32 [n, C, H, W] with int64 [n] or float [n, K] classes.

        Returns its part of the batch's mean loss, and how many were right; summed over processes, those of the batch.
        """
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with memory_errors(settings.batch):
            with self.precision():
                images = images.contiguous(memory_format=self.layout)
                logits = self._run(images)
            loss = self._loss(images, logits.float(), classes) / settings.batch
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.processes.sum_gradients(self.model)
            if settings.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
            self.optimizer.step()
        wanted = classes if classes.dim() == 1 else classes.argmax(1)
        return loss.detach(), (logits.detach().argmax(1) == wanted).sum()

    def _loss(self, images: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
        """Summed over this process's part of the batch."""
        total = functional.cross_entropy(
            logits, classes, label_smoothing=self.settings.label_smoothing, reduction="sum"
        )
        if self._teacher is None:
            return total
        with self.precision():
            return self._teacher.loss(images, logits, total)

    def precision(self) -> AbstractContextManager[object]:
        """What forward passes run in."""
        if self.settings.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()


def _device(settings: Settings) -> torch.device:
    if settings.device == "cuda":
        return torch.device("cuda", torch.cuda.current_device())
    torch.set_num_threads(settings.threads)
    allocator.keep_freed_memory()
    return torch.device(settings.device)


@contextmanager
def memory_errors(batch: int) -> Iterator[None]:
    """Map what torch says when memory runs out: an exception of its own on CUDA, a plain RuntimeError on the CPU."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise OutOfResources(f"out of memory at a batch of {batch}; try train.batch={batch // 2}") from error
        raise

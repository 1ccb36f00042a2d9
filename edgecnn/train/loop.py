"""The training loop: uint8 pictures in memory, augmented by batch, SGD on a cosine with warm-up.

Pictures lie on the device as uint8 NHWC; a batch becomes float NCHW in channels-last order without a copy. Order and
augmentation are drawn from (seed, epoch, step), so that nothing depends on what ran before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edgecnn.data import Pictures
from edgecnn.errors import Diverged, OutOfResources, UsageError
from edgecnn.train import checkpoint
from edgecnn.train.augment import augment


@dataclass(frozen=True)
class Settings:
    """Everything the loop obeys; device, dtype and threads are choices already made."""

    epochs: int
    batch: int
    lr0: float
    momentum: float
    weight_decay: float
    warmup_epochs: float
    label_smoothing: float
    augment: tuple[str, ...]
    seed: int
    device: str
    dtype: str
    threads: int


@dataclass(frozen=True)
class Progress:
    """Where training stands, a few times a second."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_s: float
    seconds_left: float


@dataclass(frozen=True)
class Epoch:
    """One line of metrics.jsonl. Accuracies in 0..1; `lr` is the last step's; seconds include validation."""

    epoch: int
    train_loss: float
    train_top1: float
    val_loss: float
    val_top1: float
    lr: float
    images_per_s: float
    seconds: float


def learning_rate(settings: Settings, position: float) -> float:
    """The rate at `position` epochs: linear warm-up, then half a cosine to zero (arXiv:1608.03983, without restarts).

    A run that is no longer than its warm-up is all warm-up.
    """
    if position < settings.warmup_epochs:
        return settings.lr0 * position / settings.warmup_epochs
    share = (position - settings.warmup_epochs) / (settings.epochs - settings.warmup_epochs)
    return settings.lr0 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))


def normalise(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in channels-last order, (pixel - 128) / 128."""
    return images.permute(0, 3, 1, 2).to(torch.float32).sub_(128.0).mul_(1.0 / 128.0)


class Trainer:
    """A model, its optimizer and its pictures; `run()` yields an Epoch as each one ends."""

    def __init__(
        self,
        model: nn.Module,
        train: Pictures,
        val: Pictures,
        settings: Settings,
        labels: tuple[str, ...],
        checkpoints: Path,
        report: Callable[[Progress], None],
    ) -> None:
        self.settings, self.labels, self.checkpoints, self.report = settings, labels, checkpoints, report
        if settings.device == "cpu":
            torch.set_num_threads(settings.threads)
        self.device = torch.device(settings.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = _optimizer(self.model, settings)
        self.train_images, self.train_classes = _on(self.device, train)
        self.val_images, self.val_classes = _on(self.device, val)
        self.steps = len(train.images) // settings.batch
        self.state = checkpoint.State(0, 0.0, -1.0, 0, labels)

    def resume(self) -> bool:
        """Take up the last checkpoint, if there is one."""
        last = self.checkpoints / "last"
        if not last.exists():
            return False
        self.state = checkpoint.read_state(last)
        self.state.check_labels(self.labels, last)
        checkpoint.load_model(last, self.model)
        checkpoint.load_optimizer(last, self.model, self.optimizer)
        return True

    def run(self, note: Callable[[Epoch], None] = lambda epoch: None) -> Iterator[Epoch]:
        """Train the epochs that are left; after each, validate and write `last` and, where it is better, `best`.

        `note` writes an epoch down before its checkpoint is: what it wrote for an epoch that didn't get that far can be
        cut away, but what it missed would be missing for good.
        """
        for epoch in range(self.state.epoch, self.settings.epochs):
            started = time.perf_counter()
            train_loss, train_top1, lr = self._epoch(epoch)
            trained = time.perf_counter() - started
            logits = self._logits(self.val_images)
            val_loss = float(functional.cross_entropy(logits, self.val_classes))
            self._check(val_loss, epoch, self.steps - 1, lr)
            val_top1 = float((logits.argmax(1) == self.val_classes).double().mean())
            seconds = time.perf_counter() - started
            speed = self.steps * self.settings.batch / trained
            done = Epoch(epoch + 1, train_loss, train_top1, val_loss, val_top1, lr, speed, seconds)
            note(done)
            self._save(epoch + 1, val_top1)
            yield done

    def val_predictions(self) -> tuple[np.ndarray, np.ndarray]:
        """int64 [N] predicted and right classes of the validation split, by the weights as they are."""
        return self._logits(self.val_images).argmax(1).cpu().numpy(), self.val_classes.cpu().numpy()

    def _save(self, epoch: int, val_top1: float) -> None:
        before = self.state
        better = val_top1 > before.best_val_top1
        best, best_epoch = (val_top1, epoch) if better else (before.best_val_top1, before.best_epoch)
        self.state = checkpoint.State(epoch, val_top1, best, best_epoch, self.labels)
        if better:
            # Before `last`: where that can't be written any more, the epoch is done again and both come out right.
            checkpoint.save(self.checkpoints / "best", self.model, self.optimizer, self.state)
        checkpoint.save(self.checkpoints / "last", self.model, self.optimizer, self.state)

    def _epoch(self, epoch: int) -> tuple[float, float, float]:
        self.model.train()
        torch.manual_seed(int(np.random.SeedSequence([self.settings.seed, epoch]).generate_state(1)[0]))  # for dropout
        order = torch.from_numpy(np.random.default_rng([self.settings.seed, epoch]).permutation(len(self.train_images)))
        losses, right = torch.zeros((), device=self.device), torch.zeros((), device=self.device)
        started, said = time.perf_counter(), 0.0
        for step in range(self.steps):
            lr = learning_rate(self.settings, epoch + step / self.steps)
            chosen = order[step * self.settings.batch : (step + 1) * self.settings.batch].to(self.device)
            loss, hits = self._step(chosen, epoch, step, lr)
            losses, right = losses + loss, right + hits
            now = time.perf_counter()
            if now - said > 0.25:
                said = now
                self._check(float(loss), epoch, step, lr)
                self._report(epoch, step, float(loss), now - started)
        mean = float(losses) / self.steps
        self._check(mean, epoch, self.steps - 1, lr)
        return mean, float(right) / (self.steps * self.settings.batch), lr

    def _step(self, chosen: Tensor, epoch: int, step: int, lr: float) -> tuple[Tensor, Tensor]:
        """One batch forward, back and applied: its loss and how many were right."""
        settings = self.settings
        images = augment(self.train_images[chosen], settings.augment, settings.seed, epoch, step)
        classes = self.train_classes[chosen]
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with _memory_errors(settings.batch):
            with self._precision():
                logits = self.model(normalise(images))
            loss = functional.cross_entropy(logits.float(), classes, label_smoothing=settings.label_smoothing)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == classes).sum()

    def _precision(self) -> AbstractContextManager[object]:
        if self.settings.dtype == "bfloat16":
            return torch.autocast(self.device.type, dtype=torch.bfloat16)
        return nullcontext()

    def _logits(self, images: Tensor) -> Tensor:
        """float32 [N, K], in batches, without augmentation."""
        self.model.eval()
        with torch.inference_mode(), self._precision():
            parts = [self.model(normalise(part)).float() for part in torch.split(images, 512)]
        return torch.cat(parts)

    def _check(self, loss: float, epoch: int, step: int, lr: float) -> None:
        if not math.isfinite(loss):
            kept = f"the checkpoint of epoch {self.state.epoch} is kept: " if self.state.epoch else ""
            raise Diverged(
                f"the loss became {loss} by epoch {epoch + 1}, step {step + 1} (learning rate {lr:.3g}); "
                f"{kept}start again with a smaller train.lr0 than {self.settings.lr0:g}"
            )

    def _report(self, epoch: int, step: int, loss: float, seconds: float) -> None:
        done = step + 1
        left = seconds / done * ((self.settings.epochs - epoch) * self.steps - done)
        speed = done * self.settings.batch / seconds
        self.report(Progress(epoch + 1, self.settings.epochs, done, self.steps, loss, speed, left))


@contextmanager
def _memory_errors(batch: int) -> Iterator[None]:
    """Map what torch says when memory runs out: an exception of its own on CUDA, a plain RuntimeError on the CPU."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise OutOfResources(f"out of memory at a batch of {batch}; try train.batch={batch // 2}") from error
        raise


def check_batch(pictures: int, batch: int) -> None:
    """UsageError where the pictures don't fill one batch."""
    if pictures < batch:
        raise UsageError(
            f"{pictures} training pictures are fewer than one batch of {batch}; "
            f"set train.batch={max(2, pictures // 4)} or add pictures"
        )


def _on(device: torch.device, pictures: Pictures) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(pictures.images).to(device), torch.from_numpy(pictures.classes).to(device)


def _optimizer(model: nn.Module, settings: Settings) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay on weights of convolutions and dense layers only."""
    parameters = list(model.parameters())
    decayed = [p for p in parameters if p.dim() > 1]
    free = [p for p in parameters if p.dim() <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=settings.lr0, momentum=settings.momentum, nesterov=settings.momentum > 0)

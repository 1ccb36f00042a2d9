"""Checkpoints: safetensors for the numbers, JSON for the rest, each folder written whole.

<folder>/model.safetensors       weights and batch-norm statistics, by module name
<folder>/optimizer.safetensors   momentum, by parameter name
<folder>/state.json              State
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.records import read_json, whole_folder, write_json

MODEL, OPTIMIZER, STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class State:
    """Where training stood when a checkpoint was written."""

    epoch: int
    """Finished epochs."""
    val_top1: float
    best_val_top1: float
    best_epoch: int
    labels: tuple[str, ...]
    schema: str = "edgecnn.checkpoint/1"

    def check_labels(self, labels: tuple[str, ...], folder: Path) -> None:
        """UsageError where the pictures have other classes now than when the checkpoint in `folder` was trained."""
        if labels != self.labels:
            raise UsageError(
                f"{folder}: was trained on the classes {', '.join(self.labels)}, but the pictures have "
                f"{', '.join(labels)} now; bring the old ones back or train anew"
            )


def save(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> None:
    """Write a checkpoint whole, in place of the one there."""
    with whole_folder(folder) as made:
        (made / MODEL).write_bytes(save_tensors(_plain(model.state_dict())))
        (made / OPTIMIZER).write_bytes(save_tensors(_plain(_momentum(model, optimizer))))
        write_json(made / STATE, state)


def read_state(folder: Path) -> State:
    """What state.json says; UnusableFile where it is missing or damaged."""
    return read_json(State, folder / STATE)


def load_model(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into `model`; UnusableFile where they don't fit."""
    tensors = _read(folder / MODEL)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UnusableFile(f"{folder / MODEL}: does not fit the recipe's model ({first})") from error


def load_optimizer(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's momentum into `optimizer`."""
    tensors = _read(folder / OPTIMIZER)
    for name, parameter in model.named_parameters():
        if name in tensors:
            momentum = tensors[name].to(parameter.device).contiguous(memory_format=_layout(parameter))
            optimizer.state[parameter]["momentum_buffer"] = momentum


def _layout(tensor: Tensor) -> torch.memory_format:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last else torch.contiguous_format


def _momentum(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    held = ((name, optimizer.state.get(parameter, {})) for name, parameter in model.named_parameters())
    return {name: state["momentum_buffer"] for name, state in held if state.get("momentum_buffer") is not None}


def _plain(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_tensors(path.read_bytes())
    except FileNotFoundError as error:
        raise UnusableFile(f"{path}: there is no such file") from error
    except (SafetensorError, OSError) as error:
        raise UnusableFile(f"{path}: damaged ({error}); remove the folder to go without it") from error

"""First weights from a file: what another training learned, in a network that may have other classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from edgecnn.errors import UnusableFile
from edgecnn.storage import sha256

SAID = 3
"""How many tensors that don't fit an error names; it counts the rest."""


@dataclass(frozen=True)
class Taken:
    """What came of weights: how many tensors were taken, and the names of the classifier's where they were left."""

    tensors: int
    left: tuple[str, ...]
    sha256: str
    """Of the file."""


def take_weights(path: Path, model: nn.Module) -> Taken:
    """Put the tensors of a .safetensors file into `model`, by name and shape.

    The classifier stays as it is where the file's has another shape (other classes) or is missing; all else must fit.
    UnusableFile where it doesn't, naming what, or where the file is missing or damaged.
    """
    content, given = _read(path)
    return Taken(*put_in(given, model, str(path)), sha256(content))


def take_trained(trained: nn.Module, model: nn.Module, where: str) -> Taken:
    """Put the weights of another network into `model` likewise; the SHA-256 is of them as a .safetensors file."""
    given = {name: value.contiguous() for name, value in trained.state_dict().items()}
    tensors, left = put_in(given, model, where)
    return Taken(tensors, left, sha256(save_tensors(given)))


def put_in(given: Mapping[str, Tensor], model: nn.Module, where: str) -> tuple[int, tuple[str, ...]]:
    """How many tensors are taken, and which of the classifier's are left; UnusableFile, naming `where`, for misfits."""
    wanted: dict[str, Tensor] = model.state_dict()
    classifier = classifier_of(wanted)
    whole = all(name in given and given[name].shape == wanted[name].shape for name in classifier)
    left = () if whole else classifier
    taken = [name for name in wanted if name not in left and name in given]
    misfits = _misfits(given, wanted, left)
    if misfits:
        more = f" and {len(misfits) - SAID} more" if len(misfits) > SAID else ""
        raise UnusableFile(
            f"{where}: {len(misfits)} tensors do not fit the recipe's model: {'; '.join(misfits[:SAID])}{more}; set "
            "'model' to what the weights were trained in"
        )
    with torch.no_grad():
        for name in taken:
            wanted[name].copy_(given[name])
    return len(taken), left


def classifier_of(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names of the classifier's tensors, among a network's in their order: the last layer with weights and on."""
    names = list(tensors)
    last = max(i for i, name in enumerate(names) if tensors[name].dim() > 1)
    layer = names[last].rpartition(".")[0]
    first = next(i for i, name in enumerate(names) if name.rpartition(".")[0] == layer)
    return tuple(names[first:])


def _misfits(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], left: tuple[str, ...]) -> list[str]:
    """What is of another shape or type, missing or too much, a few words each; batch norm may leave out its count."""
    found = []
    for name in [name for name in wanted if name not in left]:
        if name not in given:
            if not name.endswith("num_batches_tracked"):  # torch before 0.4.1 had none
                found.append(f"{name} is missing")
        elif given[name].shape != wanted[name].shape:
            found.append(f"{name} is {list(given[name].shape)} instead of {list(wanted[name].shape)}")
        elif given[name].is_floating_point() != wanted[name].is_floating_point():
            found.append(f"{name} is {given[name].dtype} instead of {wanted[name].dtype}")
    return found + [f"{name} has no place" for name in given if name not in wanted]


def _read(path: Path) -> tuple[bytes, dict[str, Tensor]]:
    """A file's bytes, and its tensors."""
    if path.suffix != ".safetensors":
        raise UnusableFile(
            f"{path}: is no .safetensors file; other kinds of weights may run code when they are opened, so convert it "
            "with safetensors.torch.save_file"
        )
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UnusableFile(f"{path}: there is no such file") from error
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    try:
        return content, load_tensors(content)
    except (SafetensorError, ValueError) as error:
        raise UnusableFile(f"{path}: is damaged or no safetensors file ({error})") from error

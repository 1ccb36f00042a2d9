"""What a recipe's `model.weights` names -> a .safetensors file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edgecnn import packaged
from edgecnn import run as runs
from edgecnn.errors import UnusableFile, nearest
from edgecnn.run import Run

if TYPE_CHECKING:
    from torch import nn

KEPT = Path("checkpoint") / "model.safetensors"
"""Where a packaged model keeps its weights (tools/package_model)."""


def find_weights(given: str) -> Path:
    """A run's best checkpoint, a file, or the weights of a packaged model; what lies there goes before packaged names.

    UnusableFile, with the names there are, where it is none of these.
    """
    path = Path(given).expanduser()
    if runs.is_run(path):
        return Run(path).best() / "model.safetensors"
    if path.is_file():
        return path
    found = packaged.find_model(given)
    if found is not None and (found / KEPT).is_file():
        return found / KEPT
    if path.is_dir():
        raise UnusableFile(f"{given}: is a folder, but no run; name a run, a .safetensors file or a packaged model")
    known = [name for name in packaged.model_names() if (packaged.folder("models") / name / KEPT).is_file()]
    raise UnusableFile(f"{given}: there are no such weights{nearest(given, known)}")


def take_first_weights(given: str, model: nn.Module, say: Callable[[str], None]) -> str:
    """Put them into `model`, and say how many; the SHA-256 of their file. UnusableFile where they don't fit."""
    from edgecnn.train.weights import take_weights

    path = find_weights(given)
    taken = take_weights(path, model)
    left = f"; the classifier ({', '.join(taken.left)}) starts anew" if taken.left else ""
    say(f"{taken.tensors} tensors taken from {path}{left}")
    return taken.sha256


def absolute_weights(given: str) -> str:
    """The same weights by a path that goes on meaning them in another folder; a packaged model by its name."""
    path = Path(given).expanduser()
    return str(path.resolve()) if runs.is_run(path) or path.is_file() else given

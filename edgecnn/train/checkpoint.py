"""Checkpoints: safetensors for the numbers, JSON for the rest, each folder written whole and read with its hashes.

<run>/checkpoints/last, previous, best
    model.safetensors       weights and batch-norm statistics, by module name
    optimizer.safetensors   momentum, by parameter name
    average.safetensors     moving average of the weights, where there is one
    state.json              State; written last, with the SHA-256 of the others and of itself
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from edgecnn.errors import UnusableFile, UsageError
from edgecnn.records import read_json, to_json, write_json
from edgecnn.storage import need_space, sha256, sweep, whole_folder

MODEL, OPTIMIZER, AVERAGE = "model.safetensors", "optimizer.safetensors", "average.safetensors"
STATE = "state.json"
LAST, PREVIOUS, BEST = "last", "previous", "best"


@dataclass(frozen=True)
class State:
    """Where training stood when a checkpoint was written."""

    epoch: int
    """Finished epochs."""
    val_top1: float
    best_val_top1: float
    best_epoch: int
    labels: tuple[str, ...]
    step: int = 0
    """Steps done of the epoch under way; 0 at the end of an epoch."""
    loss_sum: float = 0.0
    """Over those steps."""
    right: int = 0
    """Over those steps."""
    stopped_early: bool = False
    rose_epoch: int | None = None
    """When `best_val_top1` was reached first, from which `patience` counts; None in old checkpoints: `best_epoch`."""
    pictures: str = ""
    """How many training pictures there were, and the CRC-32 of their names; empty in old checkpoints."""
    weights: str | None = None
    """SHA-256 of the file that the first weights came from; None where they were drawn."""
    teacher: str | None = None
    """SHA-256 of the file of its teacher's weights; None where it had none."""
    sha256: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Of each file of the folder, by its name; of state.json as it is without its own. Saving fills it in."""
    schema: str = "edgecnn.checkpoint/1"

    def check_pictures(self, pictures: str, folder: Path) -> None:
        """UsageError where training has other pictures now than when the checkpoint in `folder` was made."""
        if self.pictures and pictures != self.pictures:
            raise UsageError(
                f"{folder}: was trained on other pictures ({self.pictures}; now {pictures}); bring them back as they "
                "were or train anew"
            )

    def check_labels(self, labels: tuple[str, ...], folder: Path) -> None:
        """UsageError where the pictures have other classes now than when the checkpoint in `folder` was trained."""
        if labels != self.labels:
            raise UsageError(
                f"{folder}: was trained on the classes {', '.join(self.labels)}, but the pictures have "
                f"{', '.join(labels)} now; bring the old ones back or train anew"
            )


@dataclass(frozen=True)
class Tensors:
    """The numbers of a checkpoint, by name, on any device and in any memory order."""

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    average: Mapping[str, Tensor] = field(default_factory=dict)
    """Empty where no average is kept; then there is no file either."""


class Checkpoints:
    """The checkpoints of a run. Whatever ends a process in the middle of saving, `last` and `best` stay whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._last_is_whole = True  # as far as we know

    def save_last(self, tensors: Tensors, state: State) -> None:
        """Write `last`; the one that was there becomes `previous`. OutOfResources, before it begins, on a full disk."""
        previous = self.folder / PREVIOUS if self._last_is_whole else None  # a damaged one must not replace a whole one
        _save(self.folder / LAST, tensors, state, previous)
        self._last_is_whole = True

    def save_best(self, tensors: Tensors, state: State) -> None:
        """Write `best`, without an average: `tensors.model` are the weights that validation chose."""
        _save(self.folder / BEST, replace(tensors, average={}), state)

    def newest(self, say: Callable[[str], None]) -> tuple[Tensors, State] | None:
        """The last checkpoint, or None where none is there.

        Where it is missing or damaged: the one before, and a sentence to `say`. Raises UnusableFile where there are
        some, but none can be used.
        """
        problems = []
        for folder in (self.folder / LAST, self.folder / PREVIOUS):
            try:
                found = read(folder)
            except UnusableFile as error:
                problems.append(str(error))
                continue
            if problems:
                self._last_is_whole = False
                say(f"{problems[0]}; taking the checkpoint before it, {folder}, of epoch {found[1].epoch}")
            return found
        if not any((self.folder / name).exists() for name in (LAST, PREVIOUS)):
            return None
        raise UnusableFile(f"{'; '.join(problems)}; bring one of them back, or train the recipe anew")

    def sweep(self) -> None:
        """Remove what a killed process left unfinished; only for who alone writes this run."""
        sweep(self.folder, (LAST, PREVIOUS, BEST))


def read_state(folder: Path) -> State:
    """What state.json says; UnusableFile where it is missing or damaged."""
    path = folder / STATE
    state = read_json(State, path)
    record = json.loads(path.read_bytes())
    # What was written before there were hashes has neither; a damaged byte takes one of the two words at most.
    if ("step" in record or state.sha256) and state.sha256.get(STATE) != _seal(record):
        raise UnusableFile(f"{path}: damaged (its SHA-256 is not the one it was written with)")
    return state


def load_model(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into `model`; UnusableFile where they are damaged or don't fit."""
    tensors = _read(folder, MODEL, read_state(folder))
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()
        raise UnusableFile(f"{folder / MODEL}: does not fit the recipe's model ({first})") from error


# --- a folder ---------------------------------------------------------------------------------------------------------


def _save(folder: Path, tensors: Tensors, state: State, previous: Path | None = None) -> None:
    files = {MODEL: tensors.model, OPTIMIZER: tensors.optimizer, AVERAGE: tensors.average}
    if not tensors.average:
        del files[AVERAGE]
    need_space(folder, sum(tensor.nbytes for content in files.values() for tensor in content.values()))
    with whole_folder(folder, previous) as made:
        hashes = {name: _write(made / name, content) for name, content in files.items()}
        state = replace(state, sha256=hashes)
        write_json(made / STATE, replace(state, sha256={**hashes, STATE: _seal(to_json(state))}))


def read(folder: Path) -> tuple[Tensors, State]:
    """All of a checkpoint; UnusableFile, naming the file, where one is missing or damaged."""
    if not folder.exists():
        raise UnusableFile(f"{folder} is missing")
    state = read_state(folder)
    averaged = AVERAGE in state.sha256
    average = _read(folder, AVERAGE, state) if averaged else {}
    return Tensors(_read(folder, MODEL, state), _read(folder, OPTIMIZER, state), average), state


def _seal(record: Mapping[str, Any]) -> str:
    """The SHA-256 of what state.json says, without its own."""
    others = {name: value for name, value in record.get("sha256", {}).items() if name != STATE}
    return sha256(json.dumps({**record, "sha256": others}, sort_keys=True).encode())


# --- a file -----------------------------------------------------------------------------------------------------------

DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""safetensors' words, in the order in which it lays tensors down: wide ones first, so that each is aligned."""


def _write(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file (github.com/huggingface/safetensors, "Format"); the SHA-256 of what should be in it.

    The library would copy everything first, and tell of a full disk in words only. Here one tensor is copied at a time.
    """
    kinds = list(DTYPES)
    ordered = sorted(tensors.items(), key=lambda item: (kinds.index(item[1].dtype), item[0]))
    header, end = {}, 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        parts: Iterator[bytes | memoryview] = (_plain(tensor) for _, tensor in ordered)
        for part in chain([len(text).to_bytes(8, "little"), text], parts):
            file.write(part)
            digest.update(part)
    return digest.hexdigest()


def _plain(tensor: Tensor) -> memoryview:
    """A tensor's bytes in the order of its indices (NCHW), however it lies in memory."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def _read(folder: Path, name: str, state: State) -> dict[str, Tensor]:
    """The tensors of a file; UnusableFile where it is missing or not what was written."""
    path = folder / name
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise UnusableFile(f"{path}: there is no such file") from error
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    if state.sha256 and state.sha256.get(name) != sha256(content):
        raise UnusableFile(f"{path}: damaged (its SHA-256 is not the one in {STATE})")
    try:
        return load_tensors(content)
    except SafetensorError as error:
        raise UnusableFile(f"{path}: damaged ({error})") from error

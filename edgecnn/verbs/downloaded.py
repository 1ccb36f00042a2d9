"""A library's trained weights, by the library's own download and cache."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edgecnn.errors import EdgecnnError, MissingExtra, OutOfResources, Unreachable, UnusableFile, reason
from edgecnn.nn.library import Shape, library

if TYPE_CHECKING:
    from torch import nn

WEIGHTS_ONLY = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
"""What keeps torch.load from running code that a file brings, also where a library doesn't ask for it."""


def downloaded(origin: str, name: str, shape: Shape) -> nn.Module:
    """The library's classifier with its trained weights and the classes that they know.

    Unreachable where they are not kept yet and can't be fetched; UnusableFile for a damaged file.
    """
    what = f"{origin}'s trained weights of {name}"
    instead = "set model.weights to a .safetensors file of them, or to null"
    try:
        with _no_code(), _same_chance():
            return library(origin).trained(name, shape)
    except (EdgecnnError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise OutOfResources(f"the disk has no room for {what}") from error
        if "huggingface_hub" in str(error) and "not installed" in str(error):
            raise MissingExtra(what, "huggingface_hub", origin) from error
        if _is_of_the_network(error):
            raise Unreachable(f"{what} could not be fetched ({reason(error)}); {instead}") from error
        raise UnusableFile(f"{what} can't be used ({reason(error)}); {instead}") from error


def _is_of_the_network(error: BaseException | None) -> bool:
    """Whether an error, or what led to it, is a connection's: urllib's and the sockets' are OSErrors, others derive.

    A file that can't be read is an OSError too, with its name.
    """
    while error is not None:
        words = {kind.__name__ for kind in type(error).__mro__}
        if words & NETWORK or (isinstance(error, OSError) and error.filename is None):
            return True
        error = error.__cause__ or error.__context__
    return False


NETWORK = {"URLError", "ConnectionError", "TimeoutError", "HTTPError", "TransportError", "LocalEntryNotFoundError"}
"""Names of urllib, the sockets, requests, httpx and huggingface_hub, none of which must be there."""


@contextmanager
def _no_code() -> Iterator[None]:
    before = os.environ.get(WEIGHTS_ONLY)
    os.environ[WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[WEIGHTS_ONLY]
        else:
            os.environ[WEIGHTS_ONLY] = before


@contextmanager
def _same_chance() -> Iterator[None]:
    """What is drawn for weights that are replaced at once leaves torch's generator as it was."""
    import torch

    before = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(before)

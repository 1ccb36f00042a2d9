"""What is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Subject:
    """A model file that is to be measured; `top1` is the certificate's, where one is about this very file."""

    name: str
    target: str
    precision: str | None
    path: Path
    sha256: Mapping[str, str]
    """Of the model file and of those that belong to it, by name."""
    bytes: int
    top1: float | None = None

"""A device that is this machine, and wheels that take no network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecnn.remote.ssh import Connection
from tests.loopback import Loopback, loopback
from tests.remote.small_wheels import only_index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder where pip finds wheels."""
    return only_index(tmp_path, monkeypatch)


@pytest.fixture
def empty_device(tmp_path: Path) -> Iterator[Loopback]:
    """One with nothing in its home."""
    with loopback(tmp_path / "device") as found:
        yield found


@pytest.fixture
def link(empty_device: Loopback) -> Iterator[Connection]:
    """A connection to it."""
    with Connection(empty_device.address) as found:
        yield found

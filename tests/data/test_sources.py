"""The registry, and what every source in it has to keep."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.data import DataSpec, open_dataset
from edgecnn.data.sources import find_source, sources
from edgecnn.errors import EdgecnnError, UsageError
from edgecnn.registry import by_name


def test_the_folder_is_the_registry() -> None:
    folder = Path(__file__).parents[2] / "edgecnn/data/sources"
    assert set(sources()) == {path.stem for path in folder.glob("*.py")} - {"__init__"}


@pytest.mark.parametrize("name", sorted(sources()))
def test_a_source_describes_itself(name: str) -> None:
    source = find_source(name)
    assert source.name == name
    assert source.summary
    assert len(set(source.labels)) == len(source.labels) >= 2
    if source.archive is not None:
        assert source.archive.checksum.startswith("sha256:")
        assert source.archive.url.startswith("https://")


def test_a_name_that_is_taken() -> None:
    with pytest.raises(EdgecnnError, match="'cifar10' is registered twice"):
        by_name([*sources().values(), find_source("cifar10")])


def test_an_unknown_source_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown data source 'cifar_10'; did you mean 'cifar10'"):
        open_dataset(DataSpec("cifar_10", None, 0.1, 32, 32, "crop"))

"""Pictures with their classes, as uint8 arrays, in train, val and test splits: registered sources, class folders,
folders with a list, and folders that are only measured.
"""

from __future__ import annotations

from pathlib import Path

from edgecnn.data.files import find
from edgecnn.data.folders import ClassFolders
from edgecnn.data.listed import ListedPictures
from edgecnn.data.measured import MeasuredFolders
from edgecnn.data.pictures import SPLITS, Dataset, DataSpec, Pictures, fingerprint
from edgecnn.data.registered import Registered
from edgecnn.data.unsplit import is_split

__all__ = ["SPLITS", "DataSpec", "Dataset", "Pictures", "fingerprint", "open_dataset", "open_measured"]


def open_dataset(spec: DataSpec, data_dir: Path | None = None) -> Dataset:
    """Open the data set that `spec` names; `data_dir` is looked in before EDGECNN_DATA and the user's cache.

    Raises UsageError for a source that is not registered, UnusableFile when the files are missing or damaged.
    """
    if spec.folder is None:
        return Registered(spec, data_dir)
    return ClassFolders(spec, data_dir) if spec.splits is None else ListedPictures(spec, data_dir)


def open_measured(
    spec: DataSpec, data_dir: Path | None = None, named: str = "--data-source", least: int = 1
) -> Dataset:
    """As `open_dataset`, for pictures that nothing is learned from: class folders need no train/ beside them, and where
    nobody split them all of them are the test split. `named` is where a person named the folder, `least` how many
    classes train/ needs where there is one.
    """
    if spec.folder is None:
        return Registered(spec, data_dir)
    if spec.splits is not None:
        return ListedPictures(spec, data_dir)
    root = find(spec.folder, named, data_dir)
    return ClassFolders(spec, data_dir, least) if is_split(root) else MeasuredFolders(spec, root)

"""Pictures with their classes, as uint8 arrays, in train, val and test splits: registered sources, class folders, and
folders with a list.
"""

from __future__ import annotations

from pathlib import Path

from edgecnn.data.folders import ClassFolders
from edgecnn.data.listed import ListedPictures
from edgecnn.data.pictures import SPLITS, Dataset, DataSpec, Pictures, fingerprint
from edgecnn.data.registered import Registered

__all__ = ["SPLITS", "DataSpec", "Dataset", "Pictures", "fingerprint", "open_dataset"]


def open_dataset(spec: DataSpec, data_dir: Path | None = None) -> Dataset:
    """Open the data set that `spec` names; `data_dir` is looked in before EDGECNN_DATA and the user's cache.

    Raises UsageError for a source that is not registered, UnusableFile when the files are missing or damaged.
    """
    if spec.folder is None:
        return Registered(spec, data_dir)
    return ClassFolders(spec, data_dir) if spec.splits is None else ListedPictures(spec, data_dir)

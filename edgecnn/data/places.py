"""Where data sets lie: the folder that is given, EDGECNN_DATA, the user's cache."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder for data sets; it need not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("edgecnn"))


def decoded_dir() -> Path:
    """Where decoded pictures are kept that don't fit into memory (cache.py); it need not exist."""
    return cache_dir() / "decoded"


def search_dirs(data_dir: Path | None) -> tuple[Path, ...]:
    """Where to look, in this order: `data_dir`, EDGECNN_DATA, the user's cache."""
    given = [data_dir] if data_dir is not None else []
    named = [Path(os.environ["EDGECNN_DATA"])] if os.environ.get("EDGECNN_DATA") else []
    return (*given, *named, cache_dir())


def download_dir(data_dir: Path | None) -> Path:
    """Where a download goes: the first of the folders that are searched."""
    return search_dirs(data_dir)[0]

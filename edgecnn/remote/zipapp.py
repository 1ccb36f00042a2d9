"""What runs on a device, in one file: floor 0 and edge/, whole, as a Python zip application."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from pathlib import Path

import edgecnn

FLOOR_0 = ("errors.py", "geometry.py", "metrics.py", "records.py", "registry.py", "storage.py")
ROOM = "edge"
NAME = "edgecnn.pyz"
MAIN = b"import sys\n\nfrom edgecnn.edge.__main__ import main\n\nmain(sys.argv[1:])\n"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can say: the same sources are the same bytes, whenever they are packed."""


@cache
def application() -> bytes:
    """The zip application's content; `python3 edgecnn.pyz WORDS` is `python3 -m edgecnn.edge WORDS`.

    It needs the standard library, numpy and, for what runs a model, one runtime. The same sources give the same bytes.
    """
    package = Path(edgecnn.__file__).parent
    files = [package / "__init__.py", *(package / name for name in FLOOR_0), *_room(package / ROOM)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "__main__.py", MAIN)
        for path in files:
            _add(archive, f"{package.name}/{path.relative_to(package).as_posix()}", path.read_bytes())
    return packed.getvalue()


def _room(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)

"""Wheels that take no network: small ones made here, and the pip of this environment as one."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest


def wheel(folder: Path, name: str, version: str, files: Mapping[str, str | bytes], tag: str = "py3-none-any") -> Path:
    """A wheel with these files, as PEP 427 has it."""
    stem = f"{name.replace('-', '_')}-{version}"
    about = {
        f"{stem}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nGenerator: here\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    path = folder / f"{stem}-{tag}.whl"
    everything = {**files, **about}
    record = "".join(f"{entry},,\n" for entry in everything) + f"{stem}.dist-info/RECORD,,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in {**everything, f"{stem}.dist-info/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(entry), content)  # the same bytes each time
    return path


def pip_wheel(folder: Path, version: str) -> Path:
    """This environment's pip."""
    # Importing pip would switch setuptools' hook for distutils off, which torch.compile needs later in this process.
    place = Path(str(metadata.distribution("pip").locate_file("pip")))
    files = [path for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return wheel(folder, "pip", version, {f"pip/{path.relative_to(place)}": path.read_bytes() for path in files})


def only_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new folder, the only one where pip finds wheels; what is fetched is cached in another of the test's."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def engines(index: Path, *, loads: bool = True) -> None:
    """A litert that has nothing but its name, with a numpy and the pip that installs them."""
    interpreter = "" if loads else "raise OSError('wrong processor')\n"
    litert = {
        "ai_edge_litert/__init__.py": "",
        "ai_edge_litert/interpreter.py": interpreter,
        "ai_edge_litert/libLiteRtWebGpuAccelerator.so": b"x" * 10_000,
    }
    wheel(index, "ai-edge-litert", "2.3.0", litert)
    for version in ("2.4.6", "2.2.6"):
        wheel(index, "numpy", version, {"numpy/__init__.py": f"__version__ = '{version}'\n"})
    pip_wheel(index, "26.3")

"""Which wheels a device gets: the tested versions, those that fit, from wherever pip finds them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.tags import compatible_tags, cpython_tags

from edgecnn.errors import UsageError
from edgecnn.remote.wheels import ENGINES, UNUSED, Pin, Target, fetch, pin, wanted
from tests.remote.small_wheels import wheel

REPO = Path(__file__).parents[2]
TRIXIE, BOOKWORM = Target((3, 13), "aarch64", (2, 41)), Target((3, 11), "aarch64", (2, 36))
JETPACK_6 = Target((3, 10), "aarch64", (2, 35))


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_versions_are_those_that_are_tested(minor: int) -> None:
    lines = [Requirement(line) for line in (REPO / "constraints.txt").read_text().splitlines() if "==" in line]
    python = {"python_version": f"3.{minor}"}
    tested = {line.name: str(line.specifier) for line in lines if line.marker is None or line.marker.evaluate(python)}
    pins = wanted(ENGINES, (3, minor), camera=True)
    assert {entry.package: f"=={entry.version}" for entry in pins}.items() <= tested.items()


def test_platforms_are_those_that_pip_s_own_tags_name() -> None:
    """Against packaging, which knows PEP 600: for each platform the tag of numpy's wheel is among the compatible."""
    assert set(BOOKWORM.platforms()) == {
        "manylinux2014_aarch64",
        *(f"manylinux_2_{minor}_aarch64" for minor in range(17, 37)),
    }
    tags = set(cpython_tags((3, 11), platforms=BOOKWORM.platforms())) | set(
        compatible_tags((3, 11), platforms=BOOKWORM.platforms())
    )
    named = {f"{tag.interpreter}-{tag.abi}-{tag.platform}" for tag in tags}
    assert {"cp311-cp311-manylinux_2_27_aarch64", "cp37-abi3-manylinux2014_aarch64"} <= named


@pytest.mark.parametrize("runtime", ENGINES)
def test_an_engine_brings_numpy(runtime: str) -> None:
    assert [entry.package for entry in wanted([runtime], (3, 11))] == sorted(ENGINES[runtime])
    assert [entry.package for entry in wanted([runtime], (3, 11), given=["numpy"])] == [ENGINES[runtime][0]]


def test_the_camera_s_page() -> None:
    names = {entry.package for entry in wanted(["litert"], (3, 11), camera=True)}
    assert {"opencv-python-headless", "starlette", "uvicorn"} <= names
    older = {entry.package for entry in wanted(["litert"], (3, 10), camera=True)}
    assert older - names == {"exceptiongroup"}
    assert pin("onnxruntime", (3, 10)).version == "1.23.2"


def test_a_runtime_that_is_none() -> None:
    with pytest.raises(UsageError, match="did you mean 'litert'"):
        wanted(["litrt"], (3, 11))


def test_the_wheel_that_fits_is_fetched_once(index: Path, tmp_path: Path) -> None:
    for tag in (
        "cp311-cp311-manylinux_2_27_aarch64",
        "cp313-cp313-manylinux_2_27_aarch64",
        "cp311-cp311-manylinux_2_40_aarch64",
        "cp311-cp311-manylinux_2_27_x86_64",
    ):
        wheel(index, "numpy", "2.4.6", {"numpy/__init__.py": tag}, tag)
    wheel(index, "pip", "26.3", {"pip/__init__.py": ""})
    pins = [Pin("numpy", "2.4.6"), Pin("pip", "26.3")]
    said: list[str] = []
    found = fetch(pins, BOOKWORM, message=said.append, cache=tmp_path / "wheels")
    assert found[pins[0]].name == "numpy-2.4.6-cp311-cp311-manylinux_2_27_aarch64.whl"
    for path in index.iterdir():
        path.unlink()
    assert fetch(pins, BOOKWORM, message=said.append, cache=tmp_path / "wheels") == found
    assert len(said) == 1


def test_a_wheel_that_is_not_to_be_had(index: Path, tmp_path: Path) -> None:
    wheel(index, "numpy", "2.4.6", {}, "cp311-cp311-manylinux_2_40_aarch64")  # for a newer system
    with pytest.raises(UsageError, match=r"numpy==2\.4\.6.*the device does not"):
        fetch([Pin("numpy", "2.4.6")], BOOKWORM, cache=tmp_path / "wheels")
    assert not list((tmp_path / "wheels").rglob("*.whl"))


@pytest.mark.slow
def test_two_engines_take_no_more_than_130_mb_on_a_pi(tmp_path: Path) -> None:
    wheels = fetch(wanted(["litert", "onnxruntime"], (3, 11)), BOOKWORM, cache=tmp_path).values()
    entries = [entry for path in wheels for entry in zipfile.ZipFile(path).infolist()]
    patterns = [pattern for unused in UNUSED for pattern in (unused, f"{unused}/*")]
    used = [entry for entry in entries if not any(fnmatch(entry.filename, pattern) for pattern in patterns)]
    assert len(used) < len(entries)
    assert sum(entry.file_size for entry in used) < 115e6  # the rest is for what Python compiles


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("target", [JETPACK_6, BOOKWORM, Target((3, 12), "aarch64", (2, 39)), TRIXIE], ids=str)
def test_every_wheel_exists(target: Target, tmp_path: Path) -> None:
    """For JetPack 6, bookworm, JetPack 7 and trixie; pip looks them up (and takes a few of the small ones)."""
    pins = [*wanted(ENGINES, target.python, camera=True), pin("pip", target.python)]
    platforms = [word for platform in target.platforms() for word in ("--platform", platform)]
    version = f"3.{target.python[1]}"
    abis = ["--abi", f"cp3{target.python[1]}", "--abi", "abi3", "--abi", "none"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet"]
    command += ["--only-binary=:all:", "--target", str(tmp_path), "--implementation", "cp", "--python-version", version]
    done = subprocess.run([*command, *abis, *platforms, *map(str, pins)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

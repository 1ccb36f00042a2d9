"""tools/figures: tables of models that are packaged, and of those of which only the certificate is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest

from edgecnn.packaged import find_model
from tests.scripts import script


@pytest.fixture
def figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module, which keeps nothing in the repository."""
    made: ModuleType = script("figures")
    monkeypatch.setattr(made, "MEASURED", tmp_path / "measured")
    return made


@pytest.fixture
def export(tmp_path: Path) -> Path:
    found = find_model("cifar10-ds")
    assert found is not None
    return Path(shutil.copytree(found, tmp_path / "export"))


def change(path: Path, *keys: str, value: object) -> None:
    content = json.loads(path.read_text())
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content))


def test_what_is_kept_gives_the_table_of_the_whole_export(figures: ModuleType, export: Path, tmp_path: Path) -> None:
    figures.keep(export, "export")
    kept = tmp_path / "measured/export"
    assert figures.table(kept) == figures.table(export)
    assert sum(path.stat().st_size for path in kept.rglob("*")) < 100_000
    assert not list(kept.rglob("model.*"))


def test_a_table_says_which_pictures(figures: ModuleType, export: Path) -> None:
    assert "on all 10,000 test pictures of CIFAR-10:" in figures.table(export)
    change(export / "export.json", "data", "source", value="fashion_mnist")
    assert "on all 10,000 test pictures of Fashion-MNIST:" in figures.table(export)
    change(export / "export.json", "data", "source", value="unheard_of")
    with pytest.raises(KeyError):
        figures.table(export)


def test_what_did_not_pass_is_not_kept(figures: ModuleType, export: Path, tmp_path: Path) -> None:
    change(export / "certificate.json", "passed", value=False)
    with pytest.raises(SystemExit, match="did not pass"):
        figures.keep(export, "export")
    assert not (tmp_path / "measured").exists()

"""What comes with edgecnn: recipes, devices, bundled pictures, models, weights. The folder, and its door.

In a wheel everything lies in this folder; in a checkout recipes/ and devices/ lie at the top.
"""

from __future__ import annotations

from pathlib import Path

from edgecnn.errors import UnusableFile, nearest

HERE = Path(__file__).parent


def folder(kind: str) -> Path:
    """Where the packaged `recipes`, `devices`, `models` or `weights` lie."""
    inside = HERE / kind
    return inside if inside.is_dir() else HERE.parents[1] / kind


def find_recipe(given: Path) -> tuple[Path, bool]:
    """The recipe at `given`, or the packaged one of the same name; True says that it is the packaged one.

    UnusableFile, with the names there are, when neither exists.
    """
    if given.is_file():
        return given, False
    known = {path.stem: path for path in folder("recipes").glob("*.yaml")}
    if given.stem in known and given.suffix in ("", ".yaml"):
        return known[given.stem], True
    if given.is_dir():
        raise UnusableFile(
            f"{given}: is a folder, neither a recipe nor a run; `edgecnn new {given}` writes a recipe for the pictures "
            "in it"
        )
    raise UnusableFile(f"{given}: there is no such recipe{nearest(given.stem, known)}")


def find_model(name: str) -> Path | None:
    """The folder of a packaged model (its artifacts, one folder each), or None."""
    found = folder("models") / name
    return found if found.is_dir() and "/" not in name else None


def model_names() -> list[str]:
    """The packaged models."""
    return sorted(path.name for path in folder("models").glob("*") if path.is_dir())


def find_weights(name: str) -> Path | None:
    """The file of packaged weights that are no model of their own, or None."""
    found = folder("weights") / f"{name}.safetensors"
    return found if found.is_file() and "/" not in name else None


def weights_names() -> list[str]:
    """Those packaged weights."""
    return sorted(path.stem for path in folder("weights").glob("*.safetensors"))

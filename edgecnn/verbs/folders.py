"""What a person names on the command line -> a run, an export or an artifact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn import packaged
from edgecnn import run as runs
from edgecnn.data import DataSpec
from edgecnn.edge.artifact import MANIFEST
from edgecnn.errors import UnusableFile, UsageError, nearest
from edgecnn.records import read_json
from edgecnn.run import Run

EXPORT = "export.json"
PREFERRED = (
    "tflite-int8",
    "onnx-int8",
    "openvino-int8",
    "tflite-fp32",
    "onnx-fp32",
    "openvino-fp32",
    "tflite-fp16",
    "onnx-fp16",
    "openvino-fp16",
)


@dataclass(frozen=True)
class Limits:
    """What verify holds artifacts to: the loss against fp32 in percentage points, and agreement in 0..1."""

    drop_pp: float
    agreement: float


@dataclass(frozen=True)
class Export:
    """export.json: all that verify and eval need to know, so that neither reads a recipe or a checkpoint."""

    name: str
    data: DataSpec | None
    """The pictures that it was trained on; None for a network from elsewhere."""
    labels: tuple[str, ...]
    limits: Limits
    artifacts: tuple[str, ...]
    """The artifact folders, `<target>-<precision>`."""
    fp32: str
    """sha256 of fp32.onnx."""
    int8: str | None
    """sha256 of int8.onnx, the one QDQ graph; None where nothing was quantized."""
    reference: str
    """sha256 of reference.npz."""
    train_data: str | None
    """Fingerprint of the training pictures."""
    heat_maps: tuple[str, ...] = ()
    """The folders of artifacts' map forms, `<target>-<precision>-map`."""
    fp16: str | None = None
    """sha256 of fp16.onnx; None where it was not asked for."""
    schema: str = "edgecnn.export-folder/1"


def read_export(folder: Path) -> Export:
    """The export in a folder; UnusableFile where it is none or damaged."""
    if not (folder / EXPORT).is_file():
        raise UnusableFile(f"{folder}: is no export (it has no {EXPORT}); `edgecnn export RUN` makes one")
    return read_json(Export, folder / EXPORT)


def find_run(given: str | Path | None) -> Run:
    """The run of a path, or the newest one."""
    return runs.newest_run() if given is None else runs.open_run(Path(given))


def find_export(given: str | Path | None) -> Path:
    """The export folder of a path: itself, a run's newest, a packaged model's; without one, the newest run's newest."""
    if given is None:
        return runs.newest_run().newest_export()
    path = Path(given)
    if runs.is_run(path):
        return Run(path).newest_export()
    found = packaged.find_model(str(given))
    if found is not None and not path.exists():
        return found
    if not path.exists():
        raise UsageError(f"{given}: there is no such run or export{nearest(str(given), packaged.model_names())}")
    return path


def find_artifact(given: str | Path) -> Path:
    """An artifact folder, by its path, its model file, its run or export, or a packaged model's name."""
    path = Path(given)
    if path.is_file():
        path = path.parent
    if (path / MANIFEST).is_file():
        return path
    if not path.exists() and packaged.find_model(str(given)) is None:
        raise UsageError(
            f"{given}: there is no such artifact or packaged model{nearest(str(given), packaged.model_names())}"
        )
    if path.is_dir() and not runs.is_run(path) and not (path / EXPORT).is_file():
        raise UnusableFile(f"{given}: is no artifact (it has no {MANIFEST}); `edgecnn export` makes one")
    folder = find_export(given)
    made = [folder / name for name in PREFERRED if (folder / name / MANIFEST).is_file()]
    if not made:
        raise UnusableFile(f"{folder}: holds no artifact; `edgecnn export` makes one")
    return made[0]

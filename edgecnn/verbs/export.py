"""`edgecnn export`: a run -> the fp32 graph, the one QDQ graph, and a file for each target and precision."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecnn import __version__, formats
from edgecnn.data import Dataset, Pictures, fingerprint, open_dataset
from edgecnn.edge import artifact
from edgecnn.edge.artifact import Artifact, Calibration, ClassOutput, ImageInput, Manifest
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import EdgecnnError, MissingExtra, UsageError
from edgecnn.graph.canonical import IMAGE, canonical
from edgecnn.graph.edit import Array, Graph, to_onnx
from edgecnn.graph.program import Grid, read_program
from edgecnn.graph.reference import Reference
from edgecnn.graph.trace import trace
from edgecnn.nn.network import plan_network
from edgecnn.quantize import quantize
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.records import sha256, sha256_file, whole_folder, write_json, write_whole
from edgecnn.run import Run
from edgecnn.verbs.folders import EXPORT, Export, Limits, find_run
from edgecnn.verbs.train import TrainRecord, data_spec

if TYPE_CHECKING:
    from torch import nn

SCHEMES = {"fp32": "fp32", "int8": "static_wi8_ai8"}
GOLDEN = 8
"""Pictures whose answers an artifact carries along."""
EVALUATED = 64
"""Validation pictures on which torch's own logits are kept, for verify to hold fp32.onnx against."""
FLOAT_TOLERANCE = 1e-4
"""Of the largest logit: what two float engines may differ by."""


@dataclass(frozen=True)
class Exported:
    """One artifact that was written; `path` is its folder."""

    target: str
    precision: str
    path: Path
    model: Path
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ExportRecord:
    """What an export made."""

    run: Path
    seconds: float
    artifacts: tuple[Exported, ...]
    schema: str = "edgecnn.export/1"

    def __getitem__(self, place: int) -> Exported:
        return self.artifacts[place]

    def __len__(self) -> int:
        return len(self.artifacts)

    def __iter__(self) -> Iterator[Exported]:
        return iter(self.artifacts)


@dataclass(frozen=True)
class Graphs:
    """What all files are written from, with the values that they are checked against."""

    fp32: Graph
    int8: Graph | None
    evaluated: Array
    """uint8 [N, H, W, 3]: the first validation pictures."""
    logits: Array
    """float32 [N, K]: torch's answers to them."""
    calibration: Calibration | None


def export(
    run: TrainRecord | Path | str | None = None,
    *,
    targets: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    out: Path | None = None,
    data_dir: Path | None = None,
    message: Callable[[str], None] = lambda text: None,
) -> ExportRecord:
    """Export a run's best checkpoint; targets and precisions replace the recipe's.

    Only train and val pictures are opened. The folder appears whole or not at all. Raises UnusableFile, UsageError,
    MissingExtra, OutOfResources.
    """
    started = time.perf_counter()
    chosen = find_run(run.run if isinstance(run, TrainRecord) else run)
    recipe = load_recipe(chosen.resolved)
    targets = tuple(targets or recipe.export.targets)
    precisions = tuple(precisions or recipe.export.precisions)
    for target in targets:
        runtime_for(formats.find_format(target).name).version()
    dataset = open_dataset(data_spec(recipe), data_dir)
    message(f"tracing {chosen.path}")
    train_pictures = dataset.load("train")
    graphs = _graphs(recipe, chosen, dataset, train_pictures, "int8" in precisions)
    folder = out or chosen.exports / datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    if folder.exists() and not (folder / EXPORT).is_file():
        raise UsageError(f"{folder}: exists and is no export; choose another --out")
    with whole_folder(folder) as made:
        about = _write_graphs(made, graphs, recipe, dataset, train_pictures, chosen)
        names = []
        for target in targets:
            for precision in precisions:
                message(f"writing {target} {precision}")
                names.append(f"{target}-{precision}")
                _write_artifact(made / names[-1], target, precision, graphs, about, recipe)
        write_json(made / EXPORT, _export(recipe, dataset, names, about, train_pictures))
    return ExportRecord(chosen.path, time.perf_counter() - started, tuple(_exported(folder / name) for name in names))


def _graphs(recipe: Recipe, run: Run, dataset: Dataset, train_pictures: Pictures, int8: bool) -> Graphs:
    module = load_module(recipe, run, tuple(dataset.labels))
    height, width = recipe.input.size
    evaluated = dataset.load("val").images[:EVALUATED]
    fp32 = canonical(trace(module, recipe.input.channels, height, width), recipe.export.output == "probabilities")
    logits = torch_outputs(module, evaluated, recipe.export.output == "probabilities")
    _check_float(Reference(fp32).output(evaluated), logits, "the traced graph")
    if not int8:
        return Graphs(fp32, None, evaluated, logits, None)
    pictures = calibration_pictures(train_pictures, recipe.quantize.calibration.images)
    method = recipe.quantize.calibration.method
    calibration = Calibration(len(pictures), method, fingerprint(pictures))
    return Graphs(fp32, quantize(fp32, pictures.images), evaluated, logits, calibration)


def load_module(recipe: Recipe, run: Run, labels: tuple[str, ...]) -> nn.Module:
    """The run's best checkpoint as a torch module in eval mode; `labels` are the classes that it must have."""
    checkpoint = run.best()
    try:
        from edgecnn.train.checkpoint import load_model, read_state
    except ImportError as error:
        raise MissingExtra("exporting", error.name or "torch", "export") from error
    read_state(checkpoint).check_labels(labels, checkpoint)
    module = plan_network(recipe.model, (recipe.input.channels, *recipe.input.size), len(labels)).build()
    load_model(checkpoint, module)
    return module.eval()


def torch_outputs(module: nn.Module, images: Array, probabilities: bool = False) -> Array:
    """uint8 [N, H, W, 3] -> float32 [N, K], as the training loop evaluates."""
    import torch

    from edgecnn.train.loader import normalise

    with torch.inference_mode():
        parts = (torch.from_numpy(np.array(images[i : i + 256])) for i in range(0, len(images), 256))
        logits = torch.cat([module(normalise(part)) for part in parts])
        return (logits.softmax(1) if probabilities else logits).numpy()


def calibration_pictures(pictures: Pictures, count: int) -> Pictures:
    """`count` training pictures (all, where there are fewer), drawn without regard to anything but their number."""
    order = np.random.default_rng(0).permutation(len(pictures.images))[:count]
    return pictures.take(np.sort(order))


@dataclass(frozen=True)
class About:
    """What every manifest of an export says alike."""

    labels: tuple[str, ...]
    parents: dict[str, str]


def _write_graphs(
    folder: Path, graphs: Graphs, recipe: Recipe, dataset: Dataset, train_pictures: Pictures, run: Run
) -> About:
    fp32 = to_onnx(graphs.fp32).SerializeToString(deterministic=True)
    write_whole(folder / "fp32.onnx", fp32)
    parents = {"checkpoint": sha256_file(run.best() / "model.safetensors"), "fp32.onnx": sha256(fp32)}
    if graphs.int8 is not None:
        int8 = to_onnx(graphs.int8).SerializeToString(deterministic=True)
        write_whole(folder / "int8.onnx", int8)
        parents["int8.onnx"] = sha256(int8)
    np.savez(folder / "reference.npz", images=graphs.evaluated, logits=graphs.logits)
    parents["reference.npz"] = sha256_file(folder / "reference.npz")
    return About(tuple(dataset.labels), parents)


def _export(recipe: Recipe, dataset: Dataset, names: list[str], about: About, train_pictures: Pictures) -> Export:
    return Export(
        name=recipe.name,
        data=data_spec(recipe),
        labels=tuple(dataset.labels),
        limits=Limits(recipe.limits.drop_pp, recipe.limits.agreement),
        artifacts=tuple(names),
        fp32=about.parents["fp32.onnx"],
        int8=about.parents.get("int8.onnx"),
        reference=about.parents["reference.npz"],
        train_data=fingerprint(train_pictures),
    )


def _write_artifact(folder: Path, target: str, precision: str, graphs: Graphs, about: About, recipe: Recipe) -> None:
    """Write one file with its manifest, open it in its runtime and hold it against the reference."""
    graph = graphs.int8 if precision == "int8" else graphs.fp32
    assert graph is not None, "int8 was asked for"
    form = formats.find_format(target)
    grid = read_program(graph).output.grid
    folder.mkdir(parents=True)
    form.write(graph, folder, _details(about.labels, recipe, grid))
    height, width = recipe.input.size
    parents = {name: about.parents[name] for name in ("checkpoint", f"{precision}.onnx")}
    manifest = Manifest(
        name=recipe.name,
        target=target,
        precision=precision,
        scheme=SCHEMES[precision],
        model=form.model,
        bytes=sum((folder / name).stat().st_size for name in (form.model, *form.companions)),
        sha256=sha256_file(folder / form.model),
        companions={name: sha256_file(folder / name) for name in form.companions},
        input=ImageInput(IMAGE, height, width, recipe.input.channels, recipe.input.resize),
        output=_class_output(graph, recipe, grid),
        labels=about.labels,
        parents=parents,
        versions={
            "edgecnn": __version__,
            "python": platform.python_version(),
            "runtime": runtime_for(target).version(),
        },
        calibration=graphs.calibration if precision == "int8" else None,
    )
    write_whole(folder / "labels.txt", "".join(f"{label}\n" for label in about.labels).encode())
    write_json(folder / artifact.MANIFEST, manifest)
    images = graphs.evaluated[:GOLDEN]
    raw = check_claims(artifact.load(folder), images, Reference(graph).output(images))
    np.savez(folder / "golden.npz", images=images, outputs=raw)


def _class_output(graph: Graph, recipe: Recipe, grid: Grid | None) -> ClassOutput:
    name, kind = graph.outputs[0].name, recipe.export.output
    if grid is None:
        return ClassOutput(name, kind, "float32", None, None)
    return ClassOutput(name, kind, "uint8", grid.scale, grid.zero_point)


def _details(labels: tuple[str, ...], recipe: Recipe, grid: Grid | None) -> dict[str, str]:
    details = {"labels": json.dumps(labels), "resize": recipe.input.resize, "output": recipe.export.output}
    if grid is not None:
        details |= {"output_scale": repr(grid.scale), "output_zero_point": str(grid.zero_point)}
    return details


def check_claims(opened: Artifact, images: Array, expected: Array) -> Array:
    """The artifact's answers, after making sure of their type, shape and values; EdgecnnError where it is not so.

    expected: the reference's answers to `images`, in the same type.
    """
    raw = opened.raw(images)
    what = f"{opened.manifest.target} {opened.manifest.precision}"
    if raw.dtype != expected.dtype or raw.shape != expected.shape:
        raise EdgecnnError(
            f"the {what} file gives {raw.dtype} {list(raw.shape)} instead of {expected.dtype} {list(expected.shape)}"
        )
    if opened.manifest.output.scale is None:
        _check_float(raw, expected, f"the {what} file")
    elif np.median(np.abs(raw.astype(int) - expected.astype(int))) > 1:
        raise EdgecnnError(f"the {what} file's answers lie more than a step from the reference's in most places")
    return raw


def _check_float(values: Array, expected: Array, what: str) -> None:
    difference, largest = float(np.abs(values - expected).max()), float(np.abs(expected).max())
    if not difference <= FLOAT_TOLERANCE * largest:
        raise EdgecnnError(f"{what} differs from torch by {difference:.3g} where the largest value is {largest:.3g}")


def _exported(folder: Path) -> Exported:
    manifest = artifact.read_manifest(folder)
    model = folder / manifest.model
    return Exported(manifest.target, manifest.precision, folder, model, manifest.bytes, manifest.sha256)

"""Writing an export: the graphs, and for each target and precision a file with its manifest, opened and checked."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgecnn import __version__, formats
from edgecnn.data import fingerprint
from edgecnn.edge import artifact
from edgecnn.edge.artifact import OFF_GRID, Artifact, Calibration, ClassOutput, Manifest
from edgecnn.edge.camera import heatmap
from edgecnn.edge.machine import instruction_sets
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import EdgecnnError
from edgecnn.geometry import Pair
from edgecnn.graph.edit import Array, Graph, to_onnx
from edgecnn.graph.fits import check_values_fit
from edgecnn.graph.half import halved
from edgecnn.graph.program import Grid, read_program
from edgecnn.graph.reference import Reference
from edgecnn.quantize import broken_rules, float_answers, quantize
from edgecnn.records import write_json
from edgecnn.storage import sha256, sha256_file, write_whole
from edgecnn.verbs.class_maps import FAR, class_map_record, map_graphs
from edgecnn.verbs.folders import EXPORT, Export
from edgecnn.verbs.network import TOLERANCES, Network, check_float

SCHEMES = {"fp32": "fp32", "fp16": "fp16", "int8": "static_wi{weights_bits}_ai8{suffix}"}
SUFFIXES = {"asymmetric": "", "symmetric": "_symmetric"}
METHOD = "minmax"
GOLDEN = 8
"""Pictures whose answers an artifact carries along."""


@dataclass(frozen=True)
class Exported:
    """One artifact that was written; `path` is its folder."""

    target: str
    precision: str
    path: Path
    model: Path
    bytes: int
    sha256: str


def exported(folder: Path) -> Exported:
    """The artifact in a folder."""
    manifest = artifact.read_manifest(folder)
    model = folder / manifest.model
    return Exported(manifest.target, manifest.precision, folder, model, manifest.bytes, manifest.sha256)


class Writer:
    """An export under construction in a folder: what all its files are written from, and what they are held against."""

    def __init__(
        self,
        folder: Path,
        network: Network,
        int8: bool,
        weights_bits: int,
        maps: Sequence[Pair | None] = (),
        activations: str = "asymmetric",
        half: bool = False,
        answers: str = "uint8",
    ) -> None:
        """Decide int8, where it is asked for, and write the graphs and the reference. maps: the sizes of pictures to
        make map forms for, None being the classifier's own; answers: what int8 files give, the graphs always giving
        uint8. UsageError for a network without a map form,
        EdgecnnError for symmetric activations that break TensorRT's rules, UnusableFile for weights or values
        that float16 can't hold where `half` is.
        """
        self.folder, self.network = folder, network
        self.weights_bits, self.activations, self.answers = weights_bits, activations, answers
        network.check_graph()
        self.graphs: dict[str, Graph] = {"fp32": network.fp32}
        if int8:
            self.graphs["int8"] = quantize(network.fp32, network.calibration.images, weights_bits, activations)
        if half:
            for images in (network.calibration.images, network.evaluated):
                check_values_fit(network.fp32, images)
            self.graphs["fp16"] = halved(network.fp32)
        self.maps = map_graphs(network, self.graphs, maps)
        if activations == "symmetric":
            for graphs in (self.graphs, *self.maps.values()):
                if "int8" in graphs:
                    check_rules(graphs["int8"])
        self.hashes: dict[str, str] = {}
        for precision, graph in self.graphs.items():
            content = to_onnx(graph).SerializeToString(deterministic=True)
            write_whole(folder / f"{precision}.onnx", content)
            self.hashes[f"{precision}.onnx"] = sha256(content)
        np.savez(folder / "reference.npz", images=network.evaluated, logits=network.logits)
        self.hashes["reference.npz"] = sha256_file(folder / "reference.npz")
        self.names: list[str] = []
        self.heat_maps: list[str] = []

    def artifact(self, target: str, precision: str) -> None:
        """Write one file with its manifest, open it in its runtime and hold it against the reference."""
        network, graph = self.network, self.graphs[precision]
        folder = self.folder / f"{target}-{precision}"
        manifest = self._model_file(folder, graph, target, precision, network.output)
        write_whole(folder / "labels.txt", "".join(f"{label}\n" for label in network.labels).encode())
        write_json(folder / artifact.MANIFEST, manifest)
        images = network.evaluated[:GOLDEN]
        raw = check_claims(artifact.load(folder), images, Reference(graph).output(images))
        np.savez(folder / "golden.npz", images=images, outputs=raw)
        self.names.append(folder.name)

    def heat_map(self, target: str, precision: str, size: Pair | None) -> None:
        """Write the map form for pictures of a size beside an artifact that is there; the same look is taken at it."""
        beside = self.folder / f"{target}-{precision}"
        folder, graph = heatmap.map_folder(beside, size), self.maps[size][precision]
        manifest = self._model_file(folder, graph, target, precision, heatmap.KIND)
        record = class_map_record(self.network, graph, artifact.open_unchecked(folder, manifest), artifact.load(beside))
        write_json(folder / heatmap.RECORD, record)
        self.heat_maps.append(folder.name)

    def _model_file(self, folder: Path, graph: Graph, target: str, precision: str, kind: str) -> Manifest:
        """Write a graph as a model file; what is to be known of it. `kind`: what its output is."""
        network = self.network
        form, grid = formats.find_format(target), read_program(graph).output.grid
        folder.mkdir(parents=True)
        dequantized = self.answers == "float32" and grid is not None
        details = _details(network, None if dequantized else grid, kind)
        form.write(float_answers(graph) if dequantized else graph, folder, details)
        return Manifest(
            name=network.name,
            target=target,
            precision=precision,
            scheme=SCHEMES[precision].format(weights_bits=self.weights_bits, suffix=SUFFIXES[self.activations]),
            model=form.model,
            bytes=sum((folder / name).stat().st_size for name in (form.model, *form.companions)),
            sha256=sha256_file(folder / form.model),
            companions={name: sha256_file(folder / name) for name in form.companions},
            input=replace(network.input, height=graph.inputs[0].shape[1], width=graph.inputs[0].shape[2]),
            output=_class_output(graph, kind, grid, dequantized),
            labels=network.labels,
            parents={**network.parents, f"{precision}.onnx": self.hashes[f"{precision}.onnx"]},
            versions={
                "edgecnn": __version__,
                "python": platform.python_version(),
                "runtime": runtime_for(target).version(),
            },
            calibration=self._calibration() if precision == "int8" else None,
            instruction_sets=instruction_sets(),
            temperature=network.temperature,
            unsure_below=network.unsure_below,
        )

    def _calibration(self) -> Calibration:
        pictures = self.network.calibration
        return Calibration(len(pictures), METHOD, fingerprint(pictures))

    def finish(self) -> None:
        """Say in export.json what has been written."""
        network = self.network
        record = Export(
            name=network.name,
            data=network.data,
            labels=network.labels,
            limits=network.limits,
            artifacts=tuple(self.names),
            fp32=self.hashes["fp32.onnx"],
            int8=self.hashes.get("int8.onnx"),
            fp16=self.hashes.get("fp16.onnx"),
            reference=self.hashes["reference.npz"],
            train_data=network.train_data,
            heat_maps=tuple(self.heat_maps),
        )
        write_json(self.folder / EXPORT, record)


def _class_output(graph: Graph, kind: str, grid: Grid | None, dequantized: bool) -> ClassOutput:
    name = graph.outputs[0].name
    if grid is None:
        return ClassOutput(name, kind, "float32", None, None)
    return ClassOutput(name, kind, "float32" if dequantized else "uint8", grid.scale, grid.zero_point)


def _details(network: Network, grid: Grid | None, kind: str) -> dict[str, str]:
    details = {
        "name": network.name,
        "labels": formats.labels_text(network.labels),
        "resize": network.input.resize,
        "output": kind,
    }
    if grid is not None:
        details |= {"output_scale": repr(grid.scale), "output_zero_point": str(grid.zero_point)}
    return details


def check_rules(graph: Graph) -> None:
    """EdgecnnError where a graph with symmetric activations breaks TensorRT's rules."""
    broken = broken_rules(graph)
    if broken:
        raise EdgecnnError(f"the symmetric graph breaks {len(broken)} of TensorRT's rules; the first: {broken[0]}")


def check_claims(opened: Artifact, images: Array, expected: Array) -> Array:
    """The artifact's answers, after making sure of their type, shape and values; EdgecnnError where it is not so.

    expected: the reference's answers to `images`; of an int8 graph uint8, also where the file answers in floats.
    """
    raw = opened.raw(images)
    what, claimed = f"{opened.manifest.target} {opened.manifest.precision}", opened.manifest.output.dtype
    if raw.dtype != claimed or raw.shape != expected.shape:
        raise EdgecnnError(
            f"the {what} file gives {raw.dtype} {list(raw.shape)} instead of {claimed} {list(expected.shape)}"
        )
    if opened.manifest.output.scale is None:
        check_float(raw, expected, f"the {what} file", TOLERANCES[opened.manifest.precision])
    elif np.median(np.abs(opened.points(raw).astype(int) - expected.astype(int))) > max(1.0, FAR * np.ptp(expected)):
        raise EdgecnnError(f"the {what} file's answers lie far from the reference's in most places")
    elif opened.off_grid(raw) > OFF_GRID:
        raise EdgecnnError(f"the {what} file's answers lie beside their grid")
    return raw

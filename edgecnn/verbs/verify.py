"""`edgecnn verify`: what was exported, measured on the whole test split, and the certificate that says so."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx

from edgecnn import __version__, packaged
from edgecnn.data import fingerprint
from edgecnn.edge import artifact
from edgecnn.edge.artifact import Manifest
from edgecnn.edge.machine import instruction_sets, saturates_pairs
from edgecnn.edge.runtimes import runtime_for, usual_runtimes
from edgecnn.errors import MissingExtra, UnusableFile, plural
from edgecnn.graph.edit import Array, Graph, from_onnx
from edgecnn.graph.program import read_program
from edgecnn.graph.reference import Reference
from edgecnn.metrics import agreement, drop_interval, mcnemar, ties, top1
from edgecnn.proof.certificate import Accuracy, Certificate, LogitGrid, Picture
from edgecnn.proof.parity import LayerReference, LayerReport, Parity, check_layers, compare
from edgecnn.quantize import UNTESTED, PairSums, pair_sums
from edgecnn.records import write_json
from edgecnn.storage import sha256_file
from edgecnn.verbs.export import ExportRecord
from edgecnn.verbs.folders import Export, find_export, read_export
from edgecnn.verbs.foreign import Images
from edgecnn.verbs.measured import Chosen, pictures_for
from edgecnn.verbs.network import FLOAT_TOLERANCE, TOLERANCES

CERTIFICATE = "certificate.json"
GIVEN = "certificate-given.json"
"""Of other pictures than the test split that there is: that one's certificate stays."""
REFERENCE = "reference"
LAYER_PICTURES = 8
"""Pictures on which every layer is run by itself."""
WORST = 5
SATURATES = (
    "this x86 machine has no VNNI: sums of products can saturate in ONNX Runtime and OpenVINO, whose int8 answers then "
    "differ from the reference's; `edgecnn export --weights-bits 7` makes files whose sums can't"
)


def verify(
    export: ExportRecord | Path | str | None = None,
    images: Images | None = None,
    labels: Array | None = None,
    *,
    data_dir: Path | None = None,
    threads: int = 1,
    message: Callable[[str], None] = lambda text: None,
) -> Certificate:
    """Measure an export and write its certificate beside it: certificate.json, or where `images` are given in place of
    a test split, certificate-given.json.

    The pictures are the test split's, or `images`: uint8 [N, H, W, C] with classes `labels` [N], or a folder of them in
    folders called as the classes. A network from elsewhere has none but those kept at export. Where classes are
    unknown, the certificate says "parity only". A limit that is passed is a failure in the certificate, not an
    exception. Raises UnusableFile where a file can't be opened at all, MissingExtra without an engine.
    """
    folder = export[0].path.parent if isinstance(export, ExportRecord) else find_export(export)
    about = read_export(folder)
    chosen = pictures_for(folder, about, images, labels, data_dir)
    message(f"verifying {folder} on {plural(len(chosen.pictures), f'{chosen.split} picture')}")
    for note in chosen.notes:
        message(f"note: {note}")
    checked = _Verification(folder, about, chosen, threads, message)
    certificate = checked.run()
    own = about.data is None or chosen.split == "test"
    path = certificate_path(folder, CERTIFICATE if own else GIVEN)
    write_json(path, certificate)
    message(f"certificate: {path}")
    return certificate


def certificate_path(folder: Path, name: str = CERTIFICATE) -> Path:
    """Beside what was verified; a packaged model keeps its own, and the new one goes into the working directory."""
    if folder.is_relative_to(packaged.HERE):
        return Path(f"{folder.name}-{name}")
    return folder / name


class _Verification:
    """One verification: every figure is kept here, every limit that is passed in `failures`."""

    def __init__(
        self, folder: Path, about: Export, chosen: Chosen, threads: int, message: Callable[[str], None]
    ) -> None:
        self.folder, self.about, self.threads, self.message = folder, about, threads, message
        self.chosen, self.pictures = chosen, chosen.pictures
        self.failures: list[str] = []
        self.logits: dict[str, Array] = {}
        self.raw: dict[str, Array] = {}
        self.layers: list[LayerReport] = []
        self.hashes: dict[str, str] = {}
        self.float_apart: dict[str, float] = {}
        self.float_agreement: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self.saturation: tuple[PairSums, ...] = ()
        self.notes = chosen.notes

    def run(self) -> Certificate:
        """Check, run, compare."""
        fp32, int8 = self._graphs()
        sample = self._check_fp32_graph(fp32)
        self.logits["fp32"] = self._session_logits("fp32.onnx")
        if int8 is not None:
            self.message("running the reference (ONNX Runtime without optimizations)")
            self.raw[REFERENCE] = Reference(int8).output(self.pictures.images)
            self._note_saturation(int8)
            if any(op.output.signed for op in read_program(int8).ops):
                self._note(UNTESTED)
        layers = {"fp32": LayerReference(fp32, sample)}
        if int8 is not None:
            layers["int8"] = LayerReference(int8, sample)
        if self.about.fp16 is not None:
            half = from_onnx(onnx.load(self.folder / "fp16.onnx"))
            layers["fp16"] = LayerReference(half, sample)
        for name in self.about.artifacts:
            self._artifact(name, layers)
        parity = tuple(self._parity()) if int8 is not None else ()
        details = {name: self._accuracy(name) for name in self.logits} if self.chosen.labelled else {}
        grid = self._logit_grid(int8)
        return self._certificate(details, parity, grid)

    # --- the graphs --------------------------------------------------------------------------------------------------

    def _graphs(self) -> tuple[Graph, Graph | None]:
        expected = {"fp32.onnx": self.about.fp32, "reference.npz": self.about.reference}
        if self.about.int8 is not None:
            expected["int8.onnx"] = self.about.int8
        if self.about.fp16 is not None:
            expected["fp16.onnx"] = self.about.fp16
        for name, known in expected.items():
            path = self.folder / name
            if not path.is_file():
                raise UnusableFile(f"{path}: is missing; export again")
            self.hashes[name] = sha256_file(path)
            if self.hashes[name] != known:
                raise UnusableFile(f"{path}: is not the file that was exported (SHA-256 differs); export again")
        fp32 = from_onnx(onnx.load(self.folder / "fp32.onnx"))
        return fp32, from_onnx(onnx.load(self.folder / "int8.onnx")) if self.about.int8 is not None else None

    def _check_fp32_graph(self, fp32: Graph) -> Array:
        """Hold the fp32 graph against the logits that torch gave at export; returns the pictures for layer checks."""
        with np.load(self.folder / "reference.npz") as kept:
            images, logits = kept["images"], kept["logits"]
        apart = np.abs(Reference(fp32).output(images) - logits).max() / np.abs(logits).max()
        self.float_apart["fp32"] = float(apart)
        if not apart <= FLOAT_TOLERANCE:
            self.failures.append(f"fp32.onnx differs from its source by {apart:.2g} of the largest logit")
        return np.ascontiguousarray(images[:LAYER_PICTURES])

    def _note_saturation(self, int8: Graph) -> None:
        """Keep what sums can come to, and say so where this machine can't hold them."""
        self.saturation = pair_sums(int8)
        if any(sums.saturates for sums in self.saturation) and saturates_pairs(instruction_sets()):
            self._note(SATURATES)

    def _note(self, note: str) -> None:
        self.notes = (*self.notes, note)
        self.message(f"note: {note}")

    def _session_logits(self, model: str) -> Array:
        session = runtime_for("onnx").open(self.folder / model, self.threads)
        return np.concatenate([session.run(self.pictures.images[i : i + 1]) for i in range(len(self.pictures))])

    # --- one artifact ------------------------------------------------------------------------------------------------

    def _artifact(self, name: str, layers: Mapping[str, LayerReference]) -> None:
        folder = self.folder / name
        manifest = artifact.read_manifest(folder)
        self.bytes[name] = manifest.bytes
        self._hash(name, folder, manifest)
        report = check_layers(name, manifest.target, folder / manifest.model, layers[manifest.precision])
        self.layers.append(report)
        if report.first_wrong is not None:
            wrong = report.first_wrong
            self.failures.append(f"{name}: layer '{wrong.layer}' ({wrong.type}) {wrong.reason}")
        self.message(f"running {name}")
        try:
            opened = artifact.open_unchecked(folder, manifest, threads=self.threads)
            raw = opened.raw(self.pictures.images)
        except (UnusableFile, RuntimeError, ValueError) as error:
            if report.first_wrong is None or len(report.layers) == sum(c.reason is not None for c in report.layers):
                raise UnusableFile(f"{folder / manifest.model}: can't be run ({str(error).splitlines()[0]})") from error
            self.failures.append(f"{name}: can't be run as a whole ({str(error).splitlines()[0]})")
            return
        self.logits[name] = opened.values(raw)
        if manifest.precision == "int8":
            self.raw[name] = opened.points(raw)
            if opened.off_grid(raw) > artifact.OFF_GRID:
                self.failures.append(f"{name}: answers lie {opened.off_grid(raw):.2g} of a step beside their grid")
        else:
            self._float_artifact(name, TOLERANCES[manifest.precision])

    def _hash(self, name: str, folder: Path, manifest: Manifest) -> None:
        try:
            artifact.check_files(folder, manifest)
        except UnusableFile as error:
            if not (folder / manifest.model).is_file():
                raise
            self.failures.append(f"{name}: {error}")
        self.hashes[f"{name}/{manifest.model}"] = sha256_file(folder / manifest.model)
        parent = f"{manifest.precision}.onnx"
        if manifest.parents.get(parent) != self.hashes[parent]:
            self.failures.append(f"{name}: was not made from this export's {parent}")

    def _float_artifact(self, name: str, tolerance: float) -> None:
        reference = self.logits["fp32"]
        apart = float(np.abs(self.logits[name] - reference).max() / np.abs(reference).max())
        self.float_apart[name] = apart
        self.float_agreement[name] = agreement(reference, self.logits[name])
        if not apart <= tolerance:
            self.failures.append(f"{name}: differs from fp32.onnx by {apart:.2g} of the largest logit")

    # --- all together ------------------------------------------------------------------------------------------------

    def _accuracy(self, name: str) -> Accuracy:
        classes = self.pictures.classes
        right = {key: self.logits[key].argmax(axis=1) == classes for key in ("fp32", name)}
        low, high = drop_interval(right["fp32"], right[name])
        found = top1(self.logits[name], classes)
        drop = 100.0 * (top1(self.logits["fp32"], classes) - found)
        if drop > self.about.limits.drop_pp:
            self.failures.append(f"{name}: loses {drop:.2f} points, more than {self.about.limits.drop_pp:g}")
        return Accuracy(found, drop, 100.0 * low, 100.0 * high, mcnemar(right["fp32"], right[name]))

    def _parity(self) -> list[Parity]:
        pairs = [compare(a, b, self.raw[a], self.raw[b]) for a, b in combinations(self.raw, 2)]
        for pair in pairs:
            if pair.top1_agreement < self.about.limits.agreement:
                self.failures.append(
                    f"{pair.a} and {pair.b} agree on {100 * pair.top1_agreement:.2f} % of pictures, "
                    f"less than {100 * self.about.limits.agreement:g} %"
                )
            if pair.unexplained:
                self.failures.append(
                    f"{pair.a} and {pair.b} disagree on {pair.unexplained} pictures that rounding does not explain"
                )
        return pairs

    def _logit_grid(self, int8: Graph | None) -> LogitGrid | None:
        if int8 is None:
            return None
        raw = self.raw[REFERENCE]
        return LogitGrid(len(np.unique(raw)), float(((raw == 0) | (raw == 255)).mean()))

    def _worst(self) -> tuple[Picture, ...]:
        """The pictures with different answers first, then those with the most steps between two models' logits."""
        if len(self.raw) < 2:
            return ()
        stacked = np.stack([raw.astype(int) for raw in self.raw.values()])
        spread = (stacked.max(axis=0) - stacked.min(axis=0)).max(axis=1)
        answers = stacked.argmax(axis=2)
        differing = (answers != answers[0]).any(axis=0)
        places = np.lexsort((np.arange(len(spread)), -spread, ~differing))[:WORST]
        label = self.about.labels
        return tuple(
            Picture(
                self.pictures.names[i],
                label[self.pictures.classes[i]] if self.chosen.labelled else "",
                int(spread[i]),
                {name: label[raw[i].argmax()] for name, raw in self.raw.items()},
            )
            for i in places
        )

    def _certificate(
        self, details: Mapping[str, Accuracy], parity: tuple[Parity, ...], grid: LogitGrid | None
    ) -> Certificate:
        return Certificate(
            passed=not self.failures,
            n=len(self.pictures),
            accuracy={name: found.top1 for name, found in details.items()},
            drop_pp={name: found.drop_pp for name, found in details.items() if name != "fp32"},
            details=details,
            ties=ties(self.raw[REFERENCE]) if REFERENCE in self.raw else ties(self.logits["fp32"]),
            parity=parity,
            logit_grid=grid,
            layers=tuple(self.layers),
            float_apart=self.float_apart,
            worst=self._worst(),
            failures=tuple(self.failures),
            limits={"drop_pp": self.about.limits.drop_pp, "agreement": self.about.limits.agreement},
            bytes=self.bytes,
            hashes=self.hashes,
            test_data=fingerprint(self.pictures),
            versions=_versions(),
            machine={
                "architecture": platform.machine(),
                "instruction_sets": " ".join(instruction_sets()),
                "cores": str(len(os.sched_getaffinity(0))),
                "threads": str(self.threads),
                "system": platform.platform(),
            },
            notes=self.notes,
            saturation=self.saturation,
            float_agreement=self.float_agreement,
            split=self.chosen.split,
            scope="accuracy and parity" if self.chosen.labelled else "parity only",
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )


def _versions() -> dict[str, str]:
    found = {"edgecnn": __version__, "python": platform.python_version(), "numpy": np.__version__}
    for name, runtime in usual_runtimes().items():
        try:
            found[name] = runtime.version()
        except MissingExtra:
            continue
    return found

"""`edgecnn eval`: a run's checkpoint or an artifact on a split of its pictures, or of others, and any model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn import run as runs
from edgecnn.data import Dataset, DataSpec, Pictures, open_dataset, open_measured
from edgecnn.data.pictures import blank
from edgecnn.data.sources import sources
from edgecnn.edge import artifact
from edgecnn.errors import UnusableFile, UsageError, first_few
from edgecnn.metrics import Array, confusion, ece, nll, softmax, top1, topk
from edgecnn.run import Run
from edgecnn.verbs.folders import find_artifact, find_run, read_export
from edgecnn.verbs.model_files import FileOptions, ModelFile, is_model_file, match_classes
from edgecnn.verbs.pictures import data_spec
from edgecnn.verbs.recipes import recipe_of

VAL_FRACTION = 0.1
"""What counts as val in pictures that come without a recipe and without a val folder."""


@dataclass(frozen=True)
class EvalRecord:
    """Accuracies in 0..1; `confusion[i][j]` counts pictures of class i that were called j."""

    model: Path
    split: str
    n: int
    top1: float
    top5: float
    per_class: dict[str, float]
    confusion: tuple[tuple[int, ...], ...]
    nll: float | None = None
    """Negative log-likelihood in nats, with the model's temperature; None where logits are not what it gives."""
    ece: float | None = None
    """Expected calibration error in 0..1, with the model's temperature; None for model files from elsewhere."""
    notes: tuple[str, ...] = ()
    """Of the pictures: what was passed over or left out. Of a model file from elsewhere: what was taken for granted,
    and which engine ran it."""
    schema: str = "edgecnn.eval/1"


@dataclass(frozen=True)
class _Which:
    """The pictures to measure: a split of the model's own, or of `source`, and at most `limit` of them."""

    split: str
    source: str | None
    limit: int | None
    data_dir: Path | None

    def others(
        self, height: int, width: int, resize: str, channels: int, val_fraction: float = VAL_FRACTION
    ) -> Dataset:
        """A registered source, or class folders, of which broken pictures are left out with a note; brought to what the
        model takes.
        """
        known = self.source in sources()
        source, folder = (self.source, None) if known else (None, self.source)
        spec = DataSpec(source, folder, val_fraction, height, width, resize, broken="skip", channels=channels)
        return open_measured(spec, self.data_dir)

    def limited(self, dataset: Dataset) -> Pictures:
        """The split, or so many of it, evenly: class folders are listed class by class."""
        pictures = dataset.load(self.split)
        if self.limit is None or self.limit >= len(pictures):
            return pictures
        return pictures.take(np.arange(self.limit) * len(pictures) // self.limit)

    def pictures(self, dataset: Dataset, labels: tuple[str, ...]) -> Pictures:
        """Likewise, with the classes' places in the model's `labels`; UsageError where one is not there.

        Of the model's own pictures, no class may be missing.
        """
        gone = [] if self.source else [label for label in labels if label not in dataset.labels]
        unknown = [label for label in dataset.labels if label not in labels]
        if gone:
            instead = f" but {first_few(unknown)}" if unknown else ""
            raise UsageError(
                f"the model's own pictures have no {first_few(gone)} any more{instead}: bring back the folders as they "
                "were named, or name other pictures with --data-source"
            )
        if unknown:
            raise UsageError(
                f"the pictures are of {first_few(unknown)}, and the model's are {first_few(labels)}: leave out or "
                "rename the pictures' folders that are none of these"
            )
        pictures = self.limited(dataset)
        places = np.array([labels.index(label) for label in dataset.labels], np.int64)
        return dataclasses.replace(pictures, classes=places[pictures.classes])


def evaluate(
    model: Path | str | None = None,
    *,
    split: str = "test",
    data_source: str | None = None,
    limit: int | None = None,
    data_dir: Path | None = None,
    threads: int = 1,
    options: FileOptions | None = None,
) -> EvalRecord:
    """Evaluate a run's best checkpoint in torch, an artifact in its runtime, or a model file in one that reads it.

    `data_source` is a registered source or a folder of class folders, in the place of the model's own pictures; its
    classes must be the model's, or some of them. Where nobody split the folder, all of it is measured. `options` are
    for model files. Raises UnusableFile, UsageError.
    """
    if data_source == "":
        raise UsageError("--data-source: an empty name is no folder; for the working folder write .")
    options = options or FileOptions()
    which = _Which(split, data_source, limit, data_dir)
    if model is not None and is_model_file(Path(model)):
        return _evaluate_file(Path(model), options, which, threads)
    options.refuse("a run or an artifact")
    if model is None or runs.is_run(Path(model)):
        return _evaluate_run(find_run(model), which)
    return _evaluate_artifact(find_artifact(model), which, threads)


def _evaluate_artifact(folder: Path, which: _Which, threads: int) -> EvalRecord:
    opened = artifact.load(folder, threads=threads)
    given, labels = opened.manifest.input, opened.manifest.labels
    if which.source:
        dataset = which.others(given.height, given.width, given.resize, given.channels)
    else:
        dataset = open_dataset(_own_spec(folder), which.data_dir)
    pictures = which.pictures(dataset, labels)
    values = opened.values(opened.raw(pictures.images))
    record = _record(folder, which.split, values, pictures, labels, dataset.notes)
    if opened.manifest.output.kind != "logits":
        return dataclasses.replace(record, ece=ece(values, pictures.classes))
    return _calibrated(record, values / opened.manifest.temperature, pictures)


def _evaluate_run(run: Run, which: _Which) -> EvalRecord:
    from edgecnn.train.checkpoint import read_state
    from edgecnn.verbs.checkpoint import load_module, percentages_of, torch_outputs

    recipe = recipe_of(run)
    labels = read_state(run.best()).labels
    spec = data_spec(recipe)
    if which.source:
        dataset = which.others(spec.height, spec.width, spec.resize, spec.channels, spec.val_fraction)
    else:
        dataset = open_dataset(spec, which.data_dir)
    pictures = which.pictures(dataset, labels)
    logits = torch_outputs(load_module(recipe, run, labels), pictures.images)
    fitted = percentages_of(run)
    record = _record(run.path, which.split, logits, pictures, labels, dataset.notes)
    return _calibrated(record, logits / (1.0 if fitted is None else fitted.temperature), pictures)


def _evaluate_file(path: Path, options: FileOptions, which: _Which, threads: int) -> EvalRecord:
    file = ModelFile(path, options.runtime, threads)
    if not which.source:
        raise UsageError(f"{path}: does not say which pictures it was made for; name some with --data-source")
    about = file.about()
    given = options.input(path, about)
    notes = [about.problem] if about.problem else []
    rule = options.resize or about.resize() or "crop"
    dataset = which.others(given.height, given.width, rule, given.channels)
    count = about.classes() or file.answers(given, blank(1, given.height, given.width, given.channels)).shape[1]
    classes = match_classes(count, options.names(about), options.label_offset, tuple(dataset.labels), notes.append)
    pictures = which.limited(dataset)
    notes += dataset.notes
    values = file.answers(given, pictures.images)
    unknown = int(np.isnan(values).any(axis=1).sum())
    if unknown:
        notes.append(f"{unknown:,} of {len(values):,} pictures are answered with something that is no number")
    notes.append(f"run by {file.runtime}")
    pictures = dataclasses.replace(pictures, classes=classes.places[pictures.classes])
    return _record(path, which.split, values, pictures, classes.labels, notes)


def _own_spec(folder: Path) -> DataSpec:
    try:
        data, cause = read_export(folder.parent).data, None
    except UnusableFile as error:
        data, cause = None, error
    if data is None:
        raise UsageError(
            f"{folder}: does not say which pictures it was made for; name some with --data-source"
        ) from cause
    return data


def _calibrated(record: EvalRecord, logits: Array, pictures: Pictures) -> EvalRecord:
    """With what its percentages are worth; logits by the temperature."""
    classes = pictures.classes
    return dataclasses.replace(record, nll=nll(logits, classes), ece=ece(softmax(logits), classes))


def _record(
    model: Path, split: str, values: Array, pictures: Pictures, labels: tuple[str, ...], notes: Sequence[str]
) -> EvalRecord:
    table = confusion(values.argmax(axis=1), pictures.classes, len(labels))
    totals = table.sum(axis=1)
    per_class = {name: float(table[i, i] / totals[i]) for i, name in enumerate(labels) if totals[i]}
    return EvalRecord(
        model,
        split,
        len(pictures),
        top1(values, pictures.classes),
        topk(values, pictures.classes, 5),
        per_class,
        tuple(tuple(int(count) for count in row) for row in table),
        notes=tuple(notes),
    )

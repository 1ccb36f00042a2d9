"""What a finished training says about its best checkpoint: plots, the accuracy of each class, and its percentages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgecnn.metrics import Array, confusion
from edgecnn.records import write_json
from edgecnn.run import Run
from edgecnn.storage import sha256_file

if TYPE_CHECKING:
    from edgecnn.train.loop import Trainer
    from edgecnn.train.percentages import Percentages


@dataclass(frozen=True)
class Answers:
    """The accuracy, in 0..1, of each class that has validation pictures; and what makes percentages mean something."""

    per_class: Mapping[str, float]
    percentages: Percentages | None


def look_at(run: Run, trainer: Trainer, output: str) -> Answers:
    """Draw the plots and write percentages.json. `output`: logits or probabilities, what the run's files will give."""
    from edgecnn.train import checkpoint
    from edgecnn.train.percentages import fit_percentages

    checkpoint.load_model(run.best(), trainer.measured)
    logits, right = trainer.val_answers()
    labels = trainer.labels
    table = confusion(logits.argmax(axis=1), right, len(labels))
    draw_plots(run, table, labels)
    fitted = fit_percentages(logits, right, sha256_file(run.best() / checkpoint.MODEL), output)
    write_json(run.percentages, fitted)
    per_class = {label: float(table[i, i] / table[i].sum()) for i, label in enumerate(labels) if table[i].any()}
    return Answers(per_class, fitted)


def draw_plots(run: Run, table: Array, labels: Sequence[str]) -> None:
    """curves.png from metrics.jsonl; confusion.png from the best checkpoint's table, int64 [K, K]."""
    from edgecnn import plots

    plots.curves(run.metrics.read(), run.path / "curves.png")
    plots.confusion(table, labels, run.path / "confusion.png")

"""Percentages that mean something: one temperature for all logits, and the probability below which an answer is unsure.

Both are fitted on the validation pictures, to the best checkpoint, and kept in the run as percentages.json.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.errors import UnusableFile
from edgecnn.metrics import Array, ece, nll, softmax
from edgecnn.records import read_json

COLDEST, HOTTEST = 0.05, 20.0
"""The temperatures that are looked at."""
HALVINGS = 60
"""Of the interval between their logarithms: down to what a float64 can tell apart."""
TRUSTED = 0.95
"""How often answers that are not called unsure are to be right."""
SUREST, LEAST_SURE = 0.9, 0.3
"""Where the threshold may lie, whatever a few pictures say."""
FEW = 100
"""Validation pictures: with fewer, the figures are rough. They have chosen the checkpoint, which makes it look better
than it is; so many of them right that a temperature far below 1 comes out is such a choice's luck."""


@dataclass(frozen=True)
class Percentages:
    """What was fitted, on `n` validation pictures.

    nll and ece are the negative log-likelihood, in nats, and the expected calibration error with the temperature;
    nll_plain and ece_plain those without. `checkpoint` is the SHA-256 of the weights that it is for.
    """

    temperature: float
    unsure_below: float
    n: int
    nll: float
    nll_plain: float
    ece: float
    ece_plain: float
    checkpoint: str
    note: str = ""
    """Why there is no temperature but 1, or how far to trust it."""
    schema: str = "edgecnn.percentages/1"


def fit_percentages(logits: Array, classes: Array, checkpoint: str, output: str = "logits") -> Percentages:
    """From float [N, K] logits of the validation pictures and their int [N] classes.

    output: what the exported files give; in those that give probabilities the softmax of plain logits is built in.
    """
    note, temperature = "", 1.0
    if output != "logits":
        note = "the files give probabilities, in which there is no temperature"
    elif (logits.argmax(axis=1) == classes).all():
        note = "every validation picture is right, so that the lowest temperature would look the best"
    else:
        temperature = fit_temperature(logits, classes)
        if len(classes) < FEW:
            note = f"rough: {len(classes)} validation pictures are few; they make answers less sure, never surer"
            temperature = max(1.0, temperature)
    plain, fitted = softmax(logits.astype(np.float64)), softmax(logits / np.float64(temperature))
    return Percentages(
        temperature=temperature,
        unsure_below=unsure_below(fitted, classes),
        n=len(classes),
        nll=nll(logits / temperature, classes),
        nll_plain=nll(logits, classes),
        ece=ece(fitted, classes),
        ece_plain=ece(plain, classes),
        checkpoint=checkpoint,
        note=note,
    )


def fit_temperature(logits: Array, classes: Array) -> float:
    """The T in 0.05..20 that makes the negative log-likelihood of softmax(logits / T) the smallest.

    In 1 / T that likelihood is convex, so its slope, the mean of E[logit] - logit of the right class, has one root,
    which halving the interval finds. Source: Guo et al., arXiv:1706.04599, section 4.2.
    """
    given = logits.astype(np.float64)
    right = given[np.arange(len(classes)), classes].mean()
    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        expected = (softmax(given / np.exp(middle)) * given).sum(axis=1).mean()
        low, high = (low, middle) if expected < right else (middle, high)
    return float(np.exp((low + high) / 2))


def unsure_below(probabilities: Array, classes: Array) -> float:
    """The lowest threshold over which answers are right 95 % of the time, or as often as they can be; in 0.3..0.9."""
    likeliest = probabilities.max(axis=1)
    surest_first = np.argsort(-likeliest, kind="stable")
    right = (probabilities.argmax(axis=1) == classes)[surest_first]
    thresholds = likeliest[surest_first]
    last = np.append(thresholds[1:] < thresholds[:-1], True)  # equal ones are taken together or not at all
    share = (np.cumsum(right) / np.arange(1, len(right) + 1))[last]
    found = float(thresholds[last][np.flatnonzero(share >= min(TRUSTED, share.max()))[-1]])
    return min(SUREST, max(LEAST_SURE, found))


def read_percentages(path: Path, checkpoint: str) -> Percentages | None:
    """What was fitted to this checkpoint; None where nothing was, or only to another one."""
    if not path.is_file():
        return None
    try:
        found = read_json(Percentages, path)
    except UnusableFile:
        return None  # it is fitted anew
    return found if found.checkpoint == checkpoint else None

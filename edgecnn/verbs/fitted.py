"""What fits some pictures: the input's size, the network and how to train it; and the recipe that says so, with why.

The numbers that are chosen by hand stand first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecnn import packaged
from edgecnn.errors import UnusableFile, plural

BIG_PIXELS = 48
"""The median short side from which on pictures are photos: 96 pixels are worth it, though a few are enlarged."""
FAR_FROM_SQUARE, MANY = 1.9, 0.25
"""The sides' ratio (16:9 is 1.78), and the share of such pictures from which on the middle alone is too little."""
BATCHES = (64, 32, 16, 8)
"""The biggest that a quarter of the training pictures fills."""
EPOCHS = (10, 300)
"""At least and at most."""
FEW = 200
"""Validation pictures, from which on the best epoch is kept: by fewer, it is the luckiest (measured: 30 say 97 % of a
net that is right in 62 %)."""
CHANGED = 2
"""Test pictures that int8 may answer otherwise, where a percentage of them is less than that."""
ONE_WAY_WORDS = {"left", "right", "arrow", "arrows", "text", "letter", "letters", "digit", "digits", "number"}
"""In a class's name: its mirror image is something else. So are letters and digits themselves."""
YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}


@dataclass(frozen=True)
class Teacher:
    """The network, and how long it is trained: a share of the epochs."""

    arch: str
    width: float
    weights: str
    share: float
    lr0: float
    temperature: float


@dataclass(frozen=True)
class Way:
    """How pictures of a kind are trained. batch: at most; steps: about how many; epochs: at least.

    teacher: the larger network that is fine-tuned first.
    """

    size: int
    arch: str
    width: float
    weights: str | None
    augment: tuple[str, ...]
    batch: int
    steps: int
    epochs: int
    lr0: float
    teacher: Teacher | None = None


PHOTO = ("random_resized_crop", "flip", "color_jitter")
TEACHER = Teacher("resnet18_d", 0.5, "photos-96-teacher", share=0.25, lr0=0.03, temperature=1.5)
FINE_TUNED = Way(
    96,
    "resnet18",
    0.25,
    "photos-96",
    (*PHOTO, "mixup"),
    batch=16,
    steps=1800,
    epochs=10,
    lr0=0.03,
    teacher=TEACHER,
)
PHOTOS = Way(96, "mobilenet_v2", 0.5, None, PHOTO, batch=64, steps=1500, epochs=30, lr0=0.1)
SMALL = Way(32, "ds_cnn", 0.5, None, ("crop", "flip"), batch=64, steps=1500, epochs=20, lr0=0.1)


@dataclass(frozen=True)
class Pictures:
    """What was seen. sides: int64 [N, 2], heights and widths in pixels, upright; counts: pictures of each split."""

    labels: tuple[str, ...]
    sides: NDArray[np.int64]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Fit:
    """What is chosen; `whys` has a reason for each key that is explained."""

    way: Way
    resize: str
    augment: tuple[str, ...]
    batch: int
    epochs: int
    whys: Mapping[str, str]


@dataclass(frozen=True)
class Places:
    """What stands under `data:`, as the recipe is to name it."""

    folder: str
    splits: str | None
    background: str | None
    skip_broken: bool


def fit(pictures: Pictures) -> Fit:
    """Choose by what was seen. Raises UnusableFile where the training pictures don't fill the smallest batch."""
    short = int(np.median(pictures.sides.min(axis=1)))
    way = SMALL
    if short >= BIG_PIXELS:
        way = FINE_TUNED if FINE_TUNED.weights in packaged.model_names() else PHOTOS
    long = pictures.sides.max(axis=1) / pictures.sides.min(axis=1)
    far = float((long > FAR_FROM_SQUARE).mean())
    one_way = next((label for label in pictures.labels if _is_one_way(label)), None)
    trained = pictures.counts["train"]
    if trained < BATCHES[-1]:
        raise UnusableFile(
            f"there are {plural(trained, 'training picture')} in all, fewer than the {BATCHES[-1]} of the smallest "
            "batch: add some"
        )
    batch = next((size for size in BATCHES if size <= min(way.batch, trained / 4)), BATCHES[-1])
    steps = max(1, trained // batch)
    epochs = min(max(round(way.steps / steps), way.epochs), EPOCHS[1])
    whys = {
        "size": f"half of the pictures have a short side of {short} pixels or more",
        "resize": f"{100 * far:.0f} % of the pictures are far from square (over {FAR_FROM_SQUARE}:1)",
        "epochs": f"of {steps} steps each: {epochs * steps:,} steps",
        "batch": f"there are {trained:,} training pictures",
        "augment": f"no flip: the mirror image of '{one_way}' is something else" if one_way else "",
    }
    augment = tuple(name for name in way.augment if name != "flip" or one_way is None)
    return Fit(way, "letterbox" if far > MANY else "crop", augment, batch, epochs, whys)


def recipe_text(name: str, places: Places, pictures: Pictures, fitted: Fit) -> str:
    """The recipe, each line with its reason."""
    way, whys = fitted.way, fitted.whys
    n, classes = len(pictures.sides), len(pictures.labels)
    weights = f", weights: {way.weights}" if way.weights else ""
    origin = f"fine-tuned from {way.weights}" if way.weights else "trained from scratch"
    held = pictures.counts["val"]
    lines = [
        (f"name: {_scalar(name)}", ""),
        ("data:", ""),
        *(_indented(line) for line in _data(places, pictures)),
        ("input:", ""),
        (f"  size: {way.size}", whys["size"]),
        (f"  resize: {fitted.resize}", f"{whys['resize']}; crop, letterbox or stretch"),
        (f"model: {{arch: {way.arch}, width: {way.width}{weights}}}", origin),
        ("train:", ""),
        (f"  epochs: {fitted.epochs}", whys["epochs"]),
        (f"  batch: {fitted.batch}", whys["batch"]),
        ("  optimizer: sgd", ""),
        (f"  lr0: {way.lr0}", "the first learning rate; the cosine ends near 0"),
        ("  schedule: cosine", ""),
        ("  label_smoothing: 0.1", "keeps it from being surer than a few pictures allow"),
        ("  ema: 0.999", "what is exported is an average of the last weights"),
        *([("  freeze: null", "all layers learn")] if way.weights else []),
        *([("  keep: last", f"{held} validation pictures can't tell one epoch from another")] if held < FEW else []),
        (f"  augment: [{', '.join(fitted.augment)}]", whys["augment"]),
        *(_teacher(way.teacher, fitted.epochs) if way.teacher else []),
        _limits(pictures.counts.get("test") or pictures.counts.get("val") or 1),
    ]
    head = f"# {n:,} pictures of {classes} classes, looked at by `edgecnn new`. All of it may be changed.\n"
    return head + "".join(f"{line}  # {why}\n" if why else f"{line}\n" for line, why in lines)


def _teacher(teacher: Teacher, epochs: int) -> list[tuple[str, str]]:
    model = f"{{arch: {teacher.arch}, width: {teacher.width}, weights: {teacher.weights}}}"
    return [
        ("teacher:", "a larger net, fine-tuned first; the small one learns from its answers"),
        (f"  model: {model}", ""),
        (f"  epochs: {max(1, round(teacher.share * epochs))}", "what else is not here is as above"),
        (f"  lr0: {teacher.lr0}", ""),
        (
            f"  temperature: {teacher.temperature}",
            "softens the answers: how much a picture looks like the other classes",
        ),
    ]


def _limits(tested: int) -> tuple[str, str]:
    """What `verify` holds int8 to: of few pictures, two may change sides, each of which is whole points."""
    drop_pp = min(100.0, max(1.0, float(np.ceil(100 * CHANGED / tested))))
    agreement = min(0.99, float(np.floor(100 * (1 - CHANGED / tested)) / 100))
    why = "what `edgecnn verify` holds int8 to"
    if drop_pp > 1.0:
        why += f": {CHANGED} of {tested} test pictures may change sides"
    return f"limits: {{drop_pp: {drop_pp}, agreement: {max(0.0, agreement)}}}", why


def _data(places: Places, pictures: Pictures) -> list[tuple[str, str]]:
    counts = ", ".join(f"{split} {count:,}" for split, count in pictures.counts.items())
    lines = [(f"folder: {_scalar(places.folder)}", "" if places.splits else counts)]
    if places.splits:
        lines.append((f"splits: {_scalar(places.splits)}", f"{counts}; near-duplicates and bursts on one side"))
    if places.background:
        lines.append((f"background: {_scalar(places.background)}", "taught as a class: none of the others"))
    if places.skip_broken:
        lines.append(("broken: skip", "some can't be read: `edgecnn data check` with this recipe lists them"))
    return lines


def _indented(line: tuple[str, str]) -> tuple[str, str]:
    return f"  {line[0]}", line[1]


def _scalar(text: str) -> str:
    """A text as YAML reads it back: plain where that is safe, else in quotes."""
    plain = re.fullmatch(r"[A-Za-z_/][\w./-]*", text, re.ASCII) and text.lower() not in YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


def _is_one_way(label: str) -> bool:
    words = re.split(r"[^a-z]+", label.lower())
    return len(label) == 1 or label.isdecimal() or not ONE_WAY_WORDS.isdisjoint(words)

"""What a recipe leaves to the machine - device, precision, threads, layout, compiling - chosen and written down."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from edgecnn.errors import UsageError
from edgecnn.nn.network import Network
from edgecnn.recipe import Recipe
from edgecnn.recipe.schema import Train
from edgecnn.verbs.teacher import untrained

if TYPE_CHECKING:
    from edgecnn.train.choice import Open, Trial
    from edgecnn.train.distill import Teacher
    from edgecnn.train.loader import Split
    from edgecnn.train.processes import Processes
    from edgecnn.train.settings import Settings


def choose(
    recipe: Recipe,
    network: Network,
    pictures: Split,
    processes: Processes,
    say: Callable[[str], None],
    teacher: Network | None = None,
) -> Recipe:
    """The recipe with every choice made; the first process's word is every process's."""
    asked = _plain_choices(recipe.train)
    open_choices = _open(asked, processes.local_world)
    if open_choices.only_one:
        settled = _settled(asked, _settings(asked, open_choices))
    else:
        settled = _timed(asked, open_choices, network, pictures, say, untrained(recipe, teacher) if teacher else None)
    agreed = Train.model_validate_json(processes.from_first(settled.model_dump_json().encode()))
    return recipe.model_copy(update={"train": agreed})


def settings_of(train: Train) -> Settings:
    """The loop's settings, from a recipe in which every choice is made."""
    from edgecnn.train.settings import Settings

    return Settings(**train.model_dump(include={field.name for field in dataclasses.fields(Settings)}))


def _plain_choices(asked: Train) -> Train:
    """Those that need no measurement: the device and the length of the warm-up."""
    import torch

    from edgecnn.train.schedule import WARMUP_SHARE

    if asked.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("train.device=cuda, but torch sees no CUDA device here; use train.device=auto")
    device = asked.device if asked.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    warmup = asked.warmup_epochs if asked.warmup_epochs is not None else WARMUP_SHARE[asked.schedule] * asked.epochs
    return asked.model_copy(update={"device": device, "warmup_epochs": warmup})


def _open(asked: Train, sharing: int) -> Open:
    """What is left to choose; the plainest of each first."""
    from edgecnn.train.choice import Open, can_compile

    cores = max(1, len(os.sched_getaffinity(0)) // sharing)
    halves = tuple(cores >> shift for shift in range(cores.bit_length()))  # 12, 6, 3, 1
    threads = halves if asked.device == "cpu" else (cores,)
    compiled = (False, True) if can_compile() and sharing == 1 and asked.fused is not True else (False,)
    fits = asked.device == "cpu" and sharing == 1 and asked.layout != "contiguous" and asked.compile is not True
    return Open(
        dtypes=("float32", "bfloat16") if asked.dtype == "auto" else (asked.dtype,),
        threads=(asked.threads,) if asked.threads is not None else threads,
        layouts=("channels_last", "contiguous") if asked.layout == "auto" else (asked.layout,),
        fused=((False, True) if fits else (False,)) if asked.fused == "auto" else (asked.fused,),
        compile=compiled if asked.compile == "auto" else (asked.compile,),
    )


def _settings(asked: Train, choices: Open) -> Settings:
    return settings_of(asked.model_copy(update=choices.plainest))


def _settled(asked: Train, settings: Settings) -> Train:
    from edgecnn.train.choice import CHOSEN

    return asked.model_copy(update={name: getattr(settings, name) for name in CHOSEN})


def _timed(
    asked: Train,
    choices: Open,
    network: Network,
    pictures: Split,
    say: Callable[[str], None],
    teacher: Teacher | None,
) -> Train:
    from edgecnn.train.choice import fastest

    settings, trials = fastest(network.build, pictures, _settings(asked, choices), choices, say, teacher)
    say(_told(settings, trials))
    return _settled(asked, settings)


def _told(settings: Settings, trials: list[Trial]) -> str:
    """One sentence: what is taken, how fast it is, and what the others were."""
    chosen = next(
        trial for trial in trials if all(getattr(settings, key) == made for key, made in trial.settings.items())
    )
    others = "; ".join(f"{trial}: {trial.images_per_s:,.0f}" for trial in trials if trial is not chosen)
    return f"training in {chosen}: {chosen.images_per_s:,.0f} images/s in a trial ({others})"

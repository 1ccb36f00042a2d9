"""`edgecnn export`: a run, torch module or .onnx file -> one QDQ graph, and a file for each target and precision."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecnn import formats
from edgecnn.edge.machine import instruction_sets
from edgecnn.edge.runtimes import runtime_for
from edgecnn.errors import UsageError
from edgecnn.quantize import ANSWERS, UNTESTED, PairSums, pair_sums
from edgecnn.recipe import load_recipe
from edgecnn.storage import whole_folder
from edgecnn.verbs.artifacts import Exported, Writer, exported
from edgecnn.verbs.folders import EXPORT, find_run
from edgecnn.verbs.foreign import Images, Told, network_of_module, network_of_onnx
from edgecnn.verbs.network import Network
from edgecnn.verbs.train import TrainRecord

if TYPE_CHECKING:
    from torch import nn

    Source = TrainRecord | Path | str | nn.Module | None

PRECISIONS = ("fp32", "int8")


@dataclass(frozen=True)
class ExportRecord:
    """What an export made; `run` is what it was made from."""

    run: Path
    seconds: float
    artifacts: tuple[Exported, ...]
    instruction_sets: tuple[str, ...] = ()
    """Those of the machine that opened and checked the files."""
    saturation: tuple[PairSums, ...] = ()
    """int8: what two products can come to, layer by layer."""
    saturates_in: tuple[str, ...] = ()
    """The runtimes whose int8 files can saturate on x86 machines without VNNI."""
    heat_maps: tuple[Path, ...] = ()
    """The folders of the map forms, beside the artifacts."""
    notes: tuple[str, ...] = ()
    """What is to be known of the files, a sentence each."""
    schema: str = "edgecnn.export/1"

    def __getitem__(self, place: int) -> Exported:
        return self.artifacts[place]

    def __len__(self) -> int:
        return len(self.artifacts)

    def __iter__(self) -> Iterator[Exported]:
        return iter(self.artifacts)


@dataclass(frozen=True)
class _Plan:
    """What is to be written, and where from."""

    source: Path
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    out: Path
    network: Callable[[], Network]
    weights_bits: int = 8
    activations: str = "asymmetric"
    answers: str = "uint8"
    heatmap: bool = False
    map_size: tuple[int, int] | None = None


def export(
    source: Source = None,
    *,
    targets: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    int8: bool = False,
    fp32: bool = False,
    fp16: bool = False,
    weights_bits: int | None = None,
    activations: str | None = None,
    answers: str | None = None,
    heatmap: bool | None = None,
    map_size: int | tuple[int, int] | None = None,
    out: Path | str | None = None,
    data_dir: Path | None = None,
    input_size: int | tuple[int, int] | None = None,
    calibration: Images | None = None,
    labels: Sequence[str] | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    resize: str = "crop",
    name: str | None = None,
    message: Callable[[str], None] = lambda text: None,
) -> ExportRecord:
    """Export a run's best checkpoint, a torch module in eval mode, or a float .onnx file.

    Targets and precisions (`int8`, `fp32`, `fp16`, or by name) replace the recipe's; without a recipe fp32, int8.
    weights_bits replaces the recipe's too, or 8; with 7, no sum saturates on x86 machines without VNNI. activations,
    too, or asymmetric; symmetric ones have zero point 0, which TensorRT wants. answers, too, or uint8: what int8 files
    give, or float32, the same values dequantized in the file. heatmap, too: beside each artifact its map form, which
    says where a class is seen; and for pictures of `map_size` (height, width). What follows data_dir is for networks
    from elsewhere only: a run's recipe says it. Calibration is uint8 [N, H, W, C] or a folder; mean and std are for
    pixels from 0 to 1. Only train and val pictures are opened. The folder appears whole or not at all.
    Raises UnusableFile, UsageError, MissingExtra, OutOfResources.
    """
    started = time.perf_counter()
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    told = Told(calibration, mean, std, size, labels, resize, name)
    asked = tuple(precisions or [name for name, wanted in (("fp32", fp32), ("fp16", fp16), ("int8", int8)) if wanted])
    plan = _plan(source, told, tuple(targets or ()), asked, Path(out) if out is not None else None, data_dir, message)
    plan = _decided(plan, weights_bits=weights_bits, activations=activations, answers=answers, heatmap=heatmap)
    plan = replace(plan, map_size=(map_size, map_size) if isinstance(map_size, int) else map_size)
    _check(plan)
    writer = _write(plan, message)
    artifacts = tuple(exported(plan.out / name) for name in writer.names)
    seconds = time.perf_counter() - started
    found, saturates_in = _saturation(writer, plan.targets)
    folders = tuple(plan.out / name for name in writer.heat_maps)
    notes = (UNTESTED,) if "int8" in plan.precisions and plan.activations == "symmetric" else ()
    return ExportRecord(plan.source, seconds, artifacts, instruction_sets(), found, saturates_in, folders, notes)


def _decided(plan: _Plan, **given: Any) -> _Plan:
    """A plan with what was given instead of the recipe's; UsageError for what is int8's where none is asked for."""
    known = {name: value for name, value in given.items() if value is not None}
    for name in ("weights_bits", "activations", "answers"):
        if name in known and "int8" not in plan.precisions:
            raise UsageError(f"{name} is for int8 files, and none is asked for")
    if known.get("answers", "uint8") not in ANSWERS:
        raise UsageError(f"int8 files answer in {' or '.join(ANSWERS)}, not {known['answers']}")
    return replace(plan, **known)


def _check(plan: _Plan) -> None:
    """MissingExtra without an engine for each target, UsageError where the folder is something else."""
    for target in plan.targets:
        runtime_for(formats.find_format(target).name).version()
    if plan.out.exists() and not (plan.out / EXPORT).is_file():
        raise UsageError(f"{plan.out}: exists and is no export; choose another --out")


def _write(plan: _Plan, message: Callable[[str], None]) -> Writer:
    """The folder, whole or not at all; what was written."""
    network = plan.network()
    with whole_folder(plan.out) as made:
        int8 = "int8" in plan.precisions
        half = "fp16" in plan.precisions
        maps = [size for size, wanted in ((None, plan.heatmap), (plan.map_size, plan.map_size)) if wanted]
        writer = Writer(made, network, int8, plan.weights_bits, maps, plan.activations, half, plan.answers)
        for target in plan.targets:
            for precision in plan.precisions:
                message(f"writing {target} {precision}")
                writer.artifact(target, precision)
                for size in maps:
                    writer.heat_map(target, precision, size)
        writer.finish()
    return writer


def _saturation(writer: Writer, targets: Sequence[str]) -> tuple[tuple[PairSums, ...], tuple[str, ...]]:
    """The pair sums of what was quantized, and the runtimes that they can saturate in."""
    found = pair_sums(writer.graphs["int8"]) if "int8" in writer.graphs else ()
    if not any(sums.saturates for sums in found):
        return found, ()
    engines = [runtime_for(formats.find_format(target).name) for target in targets]
    return found, tuple(engine.name for engine in engines if engine.saturates_pairs)


def _plan(
    source: Source,
    told: Told,
    targets: tuple[str, ...],
    precisions: tuple[str, ...],
    out: Path | None,
    data_dir: Path | None,
    message: Callable[[str], None],
) -> _Plan:
    """Which kind of source it is, and what it leaves to say."""
    known = targets or tuple(formats.all_formats())
    if source is not None and not isinstance(source, (TrainRecord, Path, str)):
        module, name = source, told.name or type(source).__name__.lower()
        folder = out or Path("exports") / name / _now()
        return _Plan(
            Path(name), known, precisions or PRECISIONS, folder, lambda: network_of_module(module, told, message)
        )
    if isinstance(source, (Path, str)) and Path(source).suffix.lower() == ".onnx":
        path = Path(source)
        folder = out or Path("exports") / (told.name or path.stem) / _now()
        return _Plan(path, known, precisions or PRECISIONS, folder, lambda: network_of_onnx(path, told, message))
    _refuse_for_runs(told)
    from edgecnn.verbs.checkpoint import network_of_run

    run = find_run(source.run if isinstance(source, TrainRecord) else source)
    recipe = load_recipe(run.resolved)
    given = {"targets": targets, "precisions": precisions}
    made = recipe.export.model_copy(update={key: names for key, names in given.items() if names})
    return _Plan(
        run.path,
        tuple(made.targets),
        tuple(made.precisions),
        out or run.exports / _now(),
        lambda: network_of_run(run, data_dir, message, made),
        recipe.quantize.weights_bits,
        recipe.quantize.activations,
        recipe.export.answers,
        recipe.export.heatmap or recipe.model.fully_convolutional,
    )


def _refuse_for_runs(told: Told) -> None:
    """A run's recipe and its pictures say all of this already."""
    for name in ("calibration", "mean", "std", "size", "labels", "name"):
        if getattr(told, name) is not None:
            raise UsageError(f"a run knows its own {name}: it is given for torch modules and .onnx files only")


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")

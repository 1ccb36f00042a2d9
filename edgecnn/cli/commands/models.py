"""The verbs about models: from a recipe to a prediction."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import click

from edgecnn.cli.options import (
    NUMBERS,
    PLACE,
    SIZE,
    TARGETS,
    WORDS,
    Voice,
    data_option,
    flattened,
    overrides,
    threads_option,
    voice,
)
from edgecnn.errors import UsageError

RESIZE = click.Choice(["crop", "letterbox", "stretch"])


@click.command()
@click.argument("recipe", metavar="RECIPE|RUN")
@click.argument("settings", nargs=-1, metavar="[KEY=VALUE ...]")
@click.option("--seed", type=click.IntRange(min=0), help="The same as train.seed=SEED.")
@data_option
@voice
def train(
    recipe: str,
    settings: tuple[str, ...],
    seed: int | None,
    data_dir: Path | None,
    voice: Voice,
) -> None:
    """Train a recipe in a new run folder, or go on with RUN.

    KEY=VALUE replaces a value of the recipe: train.epochs=5

    Ctrl-C and SIGTERM save and stop; `edgecnn train RUN` goes on from there, to the same weights. Started by torchrun
    (torchrun --nproc-per-node 2 -m edgecnn train RECIPE), the processes share each batch.
    """
    from edgecnn.cli import show, show_models
    from edgecnn.cli.progress import TrainingView
    from edgecnn.errors import Interrupted
    from edgecnn.verbs.train import first_process
    from edgecnn.verbs.train import train as verb

    changed = overrides(settings)
    if seed is not None:
        changed["train.seed"] = seed
    with TrainingView(voice) as view:
        try:
            record = verb(recipe, changed, data_dir=data_dir, listener=view)
        except Interrupted as stopped:
            stopped.exit_code = 128 + (view.signals.number or signal.SIGTERM)
            raise
    if first_process():
        show.answer(voice, record, show_models.trained)


@click.command("eval")
@click.argument("model", metavar="[RUN|ARTIFACT|MODEL]", required=False)
@click.option("--split", type=click.Choice(["test", "val", "train"]), default="test", show_default=True)
@click.option(
    "--data-source",
    metavar="SOURCE|FOLDER",
    help="Other pictures than the model's own; a folder: <class>/*, or test/<class>/*.",
)
@click.option("--limit", type=click.IntRange(min=1), help="Only N of the pictures, taken evenly.")
@click.option("--runtime", help="MODEL: litert, onnxruntime or openvino (default: the first that reads the file).")
@click.option("--labels", type=PLACE, help="MODEL: a file with a class name a line.")
@click.option("--label-offset", type=click.IntRange(min=0), help="MODEL: outputs before that of the first label.")
@click.option("--mean", type=NUMBERS, help="MODEL: what it wants subtracted from pixels (0 to 1), by channel: R,G,B.")
@click.option("--std", type=NUMBERS, help="MODEL: what it wants them divided by.")
@click.option("--resize", type=RESIZE, help="MODEL (default: the file's own rule, else crop).")
@click.option("--input-size", type=SIZE, help="MODEL that leaves it open: 224, or HEIGHTxWIDTH.")
@click.option("--layout", type=click.Choice(["NHWC", "NCHW"], case_sensitive=False), help="MODEL that may be either.")
@data_option
@threads_option
@voice
def evaluate(
    model: str | None,
    split: str,
    data_source: str | None,
    limit: int | None,
    runtime: str | None,
    labels: Path | None,
    label_offset: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    resize: str | None,
    input_size: tuple[int, int] | None,
    layout: str | None,
    data_dir: Path | None,
    threads: int,
    voice: Voice,
) -> None:
    """Accuracy of a run's best checkpoint, of an artifact, or of any model file, on a split.

    MODEL is a .tflite, .onnx or OpenVINO .xml file from anywhere. What it does not say about its pixels and labels must
    be given; with labels of its own, the pictures may be of some of its classes only.
    """
    from edgecnn.cli import show, show_models
    from edgecnn.verbs.eval import evaluate as verb
    from edgecnn.verbs.folders import find_run
    from edgecnn.verbs.model_files import FileOptions

    if model is None:
        model = str(find_run(None).path)
        voice.message(f"run {model}")
    record = verb(
        model,
        split=split,
        data_source=data_source,
        limit=limit,
        data_dir=data_dir,
        threads=threads,
        options=FileOptions(runtime, mean, std, resize, input_size, layout, labels, label_offset),
    )
    show.answer(voice, record, show_models.evaluated)


@click.command()
@click.argument("run", metavar="[RUN|MODEL.onnx]", required=False)
@click.option("--target", "--format", "targets", type=TARGETS, multiple=True, help="tflite, onnx, openvino or all.")
@click.option("--int8", is_flag=True, help="Static w8a8: int8 weights per channel, 8-bit activations.")
@click.option("--fp32", is_flag=True, help="32-bit floats.")
@click.option("--fp16", is_flag=True, help="16-bit floats: weights, and values where the engine computes in them.")
@click.option(
    "--weights-bits",
    type=click.IntRange(7, 8),
    help="7: int8 weights in -63..63, for x86 machines without VNNI, where sums can saturate (default: the recipe's).",
)
@click.option(
    "--activations",
    type=click.Choice(["asymmetric", "symmetric"]),
    help="symmetric: int8 with zero points 0, as TensorRT wants them (default: the recipe's).",
)
@click.option(
    "--answers",
    type=click.Choice(["uint8", "float32"]),
    help="float32: int8 files dequantize their answers, for OpenVINO Model API and others (default: the recipe's).",
)
@click.option(
    "--heatmap/--no-heatmap",
    default=None,
    help="Beside each file its map form, for camera --heatmap (default: the recipe's).",
)
@click.option("--map-size", type=SIZE, help="The map form for pictures of this size, too: 224, or HEIGHTxWIDTH.")
@click.option("--out", type=PLACE, help="The export's folder (default: in the run, or in exports/, by time).")
@click.option("--calibration", type=PLACE, help="MODEL.onnx: a folder of pictures that int8 is decided on.")
@click.option("--mean", type=NUMBERS, help="MODEL.onnx: what it subtracts from pixels (0 to 1), by channel: R,G,B.")
@click.option("--std", type=NUMBERS, help="MODEL.onnx: what it divides them by.")
@click.option(
    "--resize",
    type=RESIZE,
    default="crop",
    show_default=True,
    help="MODEL.onnx.",
)
@click.option("--labels", type=PLACE, help="MODEL.onnx: a file with a class name a line.")
@click.option("--input-size", type=SIZE, help="MODEL.onnx that leaves it open: 224, or HEIGHTxWIDTH.")
@data_option
@voice
def export(
    run: str | None,
    targets: tuple[tuple[str, ...], ...],
    int8: bool,
    fp32: bool,
    fp16: bool,
    weights_bits: int | None,
    activations: str | None,
    answers: str | None,
    heatmap: bool | None,
    map_size: tuple[int, int] | None,
    out: Path | None,
    calibration: Path | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
    resize: str,
    labels: Path | None,
    input_size: tuple[int, int] | None,
    data_dir: Path | None,
    voice: Voice,
) -> None:
    """Write a run's best checkpoint, or a float .onnx file from elsewhere, as model files.

    Without RUN, the newest run. Targets and precisions not given are the recipe's, or all. int8 is decided once, on
    training pictures (those of --calibration); every target gets the same scales.
    """
    from edgecnn.cli import show, show_models
    from edgecnn.verbs.export import export as verb
    from edgecnn.verbs.folders import find_run

    if run is None:
        run = str(find_run(None).path)
        voice.message(f"run {run}")
    precisions = [name for name, asked in (("fp32", fp32), ("fp16", fp16), ("int8", int8)) if asked]
    record = verb(
        run,
        targets=flattened(targets),
        precisions=precisions,
        weights_bits=weights_bits,
        activations=activations,
        answers=answers,
        heatmap=heatmap,
        map_size=map_size,
        out=out,
        calibration=calibration,
        mean=mean,
        std=std,
        resize=resize,
        labels=labels,
        input_size=input_size,
        data_dir=data_dir,
        message=voice.message,
    )
    show.answer(voice, record, show_models.exported)


@click.command()
@click.argument("export", metavar="[RUN|EXPORT]", required=False)
@click.option("--images", type=PLACE, help="Other pictures: a folder, with a folder for each class if they are known.")
@click.option("--device", metavar="NAME", help="There, over SSH, beside the same files here: a profile's name.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="With --device: how many of the pictures (default: 200).",
)
@click.option(
    "--runtime", "runtimes", type=WORDS, multiple=True, help="With --device: only in these (default: its profile's)."
)
@data_option
@threads_option
@voice
def verify(
    export: str | None,
    images: Path | None,
    device: str | None,
    sample: int | None,
    runtimes: tuple[tuple[str, ...], ...],
    data_dir: Path | None,
    threads: int,
    voice: Voice,
) -> None:
    """Hold every exported file against fp32 and against each other, on the whole test split or on --images.

    Where the pictures' classes are unknown, that is parity only. Writes certificate.json beside them, or for --images
    in place of a test split certificate-given.json; leaves with exit code 7 when a limit is passed. With --device the
    files run over there, on the golden pictures and a sample, and are held against the same files here:
    certificate-DEVICE.json.
    """
    from edgecnn.cli import show, show_models
    from edgecnn.verbs.folders import find_export

    folder = find_export(export)
    if device is not None:
        from edgecnn.verbs.verify_device import SAMPLE, verify_on_device

        found = verify_on_device(
            folder,
            device,
            images,
            sample=sample or SAMPLE,
            runtimes=flattened(runtimes),
            data_dir=data_dir,
            message=voice.message,
        )
        show.answer(voice, found, show_models.verified_there)
        _gate(folder, found.failures)
        return
    if runtimes:
        raise UsageError("--runtime is for --device: here every file runs in its own engine")
    if sample is not None:
        raise UsageError("--sample is for --device: here all pictures are measured")
    from edgecnn.verbs.verify import verify as verb

    certificate = verb(folder, images, data_dir=data_dir, threads=threads, message=voice.message)
    show.answer(voice, certificate, show_models.verified)
    _gate(folder, certificate.failures)


def _gate(folder: Path, failures: Sequence[str]) -> None:
    from edgecnn.errors import GateFailed, plural

    if failures:
        raise GateFailed(f"{folder}: {plural(len(failures), 'check')} failed; the first: {failures[0]}")


@click.command()
@click.argument("model", metavar="ARTIFACT")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE|FOLDER ...", type=PLACE)
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many labels.")
@click.option("--runtime", help="litert, onnxruntime or openvino (default: the first that reads the file).")
@threads_option
@voice
def predict(model: str, images: tuple[Path, ...], top: int, runtime: str | None, threads: int, voice: Voice) -> None:
    """Classify pictures with an artifact, a run's artifact or a packaged model (cifar10-ds).

    Pictures that can't be used are left out, and the command leaves with exit code 3.
    """
    from edgecnn.cli import show, show_models
    from edgecnn.errors import UnusableFile, plural
    from edgecnn.verbs.predict import predict as verb

    unusable: list[UnusableFile] = []
    found = verb(model, images, top=top, runtime=runtime, threads=threads, unusable=unusable.append)
    if found or len(unusable) > 1:
        show.answer(voice, found, show_models.predicted)
    if len(unusable) == 1:
        raise unusable[0]
    for error in unusable:
        voice.message(f"left out: {error}")
    if unusable:
        raise UnusableFile(f"{plural(len(unusable), 'picture')} can't be used, the first: {unusable[0]}")

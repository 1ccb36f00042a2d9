"""The verb that looks into networks and files."""

from __future__ import annotations

from pathlib import Path

import click

from edgecnn.cli.options import Voice, data_option, voice


@click.command()
@click.argument("model", metavar="RECIPE|RUN|MODEL")
@click.argument("other", metavar="[OTHER]", required=False)
@click.option("--explain", "layer", metavar="LAYER", help="RECIPE, RUN: this layer's numbers in the formulas.")
@click.option("--runtime", help="MODEL: litert, onnxruntime or openvino (default: the first that reads the file).")
@data_option
@voice
def inspect(
    model: str, other: str | None, layer: str | None, runtime: str | None, data_dir: Path | None, voice: Voice
) -> None:
    """Shapes, parameters, multiply-adds, receptive fields and memory, layer by layer.

    With OTHER the two side by side, each a recipe, a run or a model file.

    MODEL is a .tflite, .onnx or OpenVINO .xml file from anywhere, or an artifact folder: then also what runs in 8 bits,
    what is slow or wrong in it, and what to change.
    """
    from edgecnn.cli import show, show_files, show_networks
    from edgecnn.verbs.inspect import InspectRecord
    from edgecnn.verbs.inspect import inspect as verb

    if other is not None:
        from edgecnn.verbs.side_by_side import side_by_side

        if layer is not None:
            raise click.UsageError(f"--explain is of one network: leave {other} out")
        both = side_by_side(model, other, data_dir=data_dir, runtime=runtime)
        show.answer(voice, both, show_networks.compared)
        return
    record = verb(model, data_dir=data_dir, runtime=runtime, layer=layer)
    if isinstance(record, InspectRecord):
        show.answer(voice, record, show_networks.inspected)
    else:
        show.answer(voice, record, show_files.inspected)

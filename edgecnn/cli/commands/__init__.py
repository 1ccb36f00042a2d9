"""The command line: one function a verb, which reads the flags, calls the verb and prints its record."""

from __future__ import annotations

import click

from edgecnn import __version__
from edgecnn.cli.commands.camera import camera
from edgecnn.cli.commands.data import data
from edgecnn.cli.commands.devices import devices
from edgecnn.cli.commands.doctor import doctor
from edgecnn.cli.commands.inspect import inspect
from edgecnn.cli.commands.measure import bench, compare
from edgecnn.cli.commands.models import evaluate, export, predict, train, verify
from edgecnn.cli.commands.new import new


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgecnn")
def edgecnn() -> None:
    """From pictures to int8 models that agree on every runtime, with proof.

    \b
    edgecnn new photos/                       a recipe for your own pictures, a folder a class
    edgecnn train recipes/quickstart.yaml     a run folder with checkpoints and plots
    edgecnn export --int8 --target all        TFLite, ONNX and OpenVINO files on one set of scales
    edgecnn verify                            accuracy and parity on the test split, certified
    edgecnn bench                             latency, memory and size in every runtime, on this machine
    edgecnn predict cifar10-ds PICTURE        a packaged model on your picture
    edgecnn camera cifar10-ds                 what a camera sees, live
    """


for command in (
    new,
    train,
    inspect,
    evaluate,
    export,
    verify,
    bench,
    compare,
    predict,
    camera,
    data,
    devices,
    doctor,
):
    edgecnn.add_command(command)

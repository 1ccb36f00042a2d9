"""From an exception to one sentence and an exit code."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click

from edgecnn.cli.commands import edgecnn
from edgecnn.cli.signals import Terminated, at_once
from edgecnn.errors import EdgecnnError, Interrupted, MissingExtra, OutOfResources, RecipeError

BROKEN_PIPE = 141
EXTRAS = {
    "torch": "train",
    "torchvision": "train",
    "safetensors": "train",
    "timm": "timm",
    "matplotlib": "train",
    "onnx": "export",
    "onnxscript": "export",
    "onnxruntime": "onnx",
    "flatbuffers": "tflite",
    "openvino": "openvino",
}
"""What installs a library; verbs that can't do anything without one import it at their top."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, at_once)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that are no UTF-8; \udce9 is how JSON writes them too
    try:
        edgecnn.main(given, prog_name="edgecnn", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:  # how rich and click end where they meet a broken pipe; nothing else below raises it
        sys.exit(BROKEN_PIPE)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _say("stopped")
        sys.exit(130)
    except Terminated as signalled:
        _say(f"stopped by {signalled}")
        sys.exit(128 + signal.SIGTERM)
    except BrokenPipeError:
        _forget_stdout()
        sys.exit(BROKEN_PIPE)
    except Interrupted as stopped:
        _say(str(stopped))
        sys.exit(stopped.exit_code)
    except EdgecnnError as error:
        _explain(error, "--debug" in given)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        if (extra := EXTRAS.get((error.name or "").split(".")[0])) is None:
            _fault(error, "--debug" in given)
        missing = MissingExtra(f"edgecnn {' '.join(given[:1])}", error.name or "", extra)
        _explain(missing, "--debug" in given)
        sys.exit(missing.exit_code)
    except MemoryError:
        _say("error: out of memory; try a smaller train.batch or input.size")
        sys.exit(OutOfResources.exit_code)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _fault(error, "--debug" in given)
        _forget_stdout()
        _say("error: the disk that the answer is written to is full")
        sys.exit(OutOfResources.exit_code)
    except Exception as error:
        _fault(error, "--debug" in given)


def _fault(error: Exception, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exception(error)
    _say(f"error: a fault of edgecnn: {type(error).__name__}: {error}; please report it with the output of --debug")
    sys.exit(1)


def _forget_stdout() -> None:
    """Nobody takes the answer any more; Python would try once again as it ends, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _explain(error: EdgecnnError, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    if isinstance(error, RecipeError) and len(error.problems) > 1:
        _say(f"error: {len(error.problems)} problems in the recipe:")
        for problem in error.problems:
            _say(f"  {problem}")
    else:
        _say(f"error: {error}")


def _say(text: str) -> None:
    click.echo(text, err=True)

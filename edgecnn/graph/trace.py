"""A torch module -> the ONNX graph that torch's exporter makes of it, as an editable Graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgecnn.errors import MissingExtra, UsageError
from edgecnn.graph.edit import OPSET, Graph, from_onnx

if TYPE_CHECKING:
    from torch import nn


def trace(module: nn.Module, channels: int, height: int, width: int, batch: int = 1) -> Graph:
    """Trace a module in eval mode at float32 [batch, channels, height, width].

    Raises UsageError where torch can't export it, MissingExtra without torch or onnxscript.
    """
    try:
        import onnxscript  # noqa: F401 - torch.onnx.export needs it and says so less clearly
        import torch
    except ImportError as error:
        raise MissingExtra("exporting", error.name or "torch", "export") from error
    example = torch.zeros(batch, channels, height, width)
    module = module.eval().to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with _quiet(), torch.inference_mode():
        try:
            program = torch.onnx.export(module, (example,), dynamo=True, opset_version=OPSET, verbose=False)
        except torch.onnx.OnnxExporterError as error:
            raise UsageError(f"torch can't export this model to ONNX: {str(error).splitlines()[0]}") from error
    if program is None:
        raise UsageError("torch's exporter gave nothing back for this model")
    return from_onnx(program.model_proto)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter tells its own developers."""
    level = logging.getLogger("torch.onnx").level
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        try:
            yield
        finally:
            logging.getLogger("torch.onnx").setLevel(level)

"""litert-torch and ai-edge-quantizer: Google's way from torch to LiteRT.

`to_channel_last_io` is what litert-torch's documentation gives image networks, so that the file takes NHWC, as LiteRT
computes it; `static_wi8_ai8` is ai-edge-quantizer's own recipe for int8 weights (a scale a filter) and int8
activations, calibrated with `Quantizer.calibrate` as its README and colabs do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.exporters.exporter import Exporter, Given, Setting


def _float_file(given: Given, out: Path) -> Path:
    import litert_torch
    import torch

    module = torch.export.load(given.program).module()
    wrapped = litert_torch.to_channel_last_io(module, args=[0])
    path = out / "float.tflite"
    litert_torch.convert(wrapped, (torch.zeros(1, 32, 32, 3),), strict_export=False).export(str(path))
    return path


def _quantized(given: Given, out: Path, algorithm: str) -> Path:
    from ai_edge_quantizer import quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    source = _float_file(given, out)
    made = quantizer.Quantizer(str(source))
    made.load_quantization_recipe(recipe.static_wi8_ai8(AlgorithmName(algorithm)))
    found = made.calibrate(_samples(source, given))
    path = out / "model.tflite"
    made.quantize(found).export_model(str(path), overwrite=True)
    return path


def _samples(source: Path, given: Given) -> dict[str, list[dict[str, Any]]]:
    """The calibration pictures by signature and input name, one at a time and NHWC."""
    from ai_edge_litert.interpreter import Interpreter

    ((signature, ends),) = Interpreter(str(source)).get_signature_list().items()
    (name,) = ends["inputs"]
    pictures = given.calibration.transpose(0, 2, 3, 1)
    return {signature: [{name: pictures[i : i + 1].copy()} for i in range(len(pictures))]}


def static_int8(given: Given, out: Path) -> Path:
    """The recipe as it is: minima and maxima, a moving average over the pictures."""
    return _quantized(given, out, "min_max_uniform_quantize")


EXPORTER = Exporter(
    name="litert-torch",
    requires=("litert-torch==0.10.0", "ai-edge-quantizer==0.10.0", "ai-edge-litert==2.3.0", "torch==2.14.1"),
    shows=("litert-torch", "ai-edge-quantizer", "torch"),
    settings=(Setting("static_wi8_ai8", "tflite", "to_channel_last_io, recipe.static_wi8_ai8()", static_int8),),
)

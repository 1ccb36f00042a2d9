"""NNCF's post-training quantization, to OpenVINO and to ONNX.

`defaults` is `nncf.quantize` with the number of pictures set and nothing else (preset performance, fast bias
correction). `best` adds what its docstring (3.4.0) calls more accurate: `fast_bias_correction=False`, and the preset
`mixed`, asymmetric activations. Accuracy control is left out: it wants labelled pictures and puts layers back to float.

To ONNX it needs one thing more: by default NNCF gives the input of a depthwise convolution a scale a channel, and with
that ONNX Runtime 1.31.1 doesn't open the file where such a tensor is a sum ("QLinearAdd: Scale and Zero-point must be a
scalar"). `activations_quantization_params` with `per_channel=False` takes that away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tools.exporters.exporter import Exporter, Given, Setting


def _quantized(model: Any, key: str | int, given: Given, **more: Any) -> Any:
    """key: the input's name or place."""
    import nncf

    pictures = given.calibration
    dataset = nncf.Dataset([{key: pictures[i : i + 1]} for i in range(len(pictures))])
    return nncf.quantize(model, dataset, subset_size=len(pictures), **more)


def _accurate() -> dict[str, Any]:
    import nncf

    return {"fast_bias_correction": False, "preset": nncf.QuantizationPreset.MIXED}


def _openvino(given: Given, out: Path, **more: Any) -> Path:
    import openvino

    made, path = _quantized(openvino.convert_model(str(given.onnx)), 0, given, **more), out / "model.xml"
    openvino.save_model(made, str(path))
    return path


def openvino_best(given: Given, out: Path) -> Path:
    """The more accurate bias correction, asymmetric activations."""
    return _openvino(given, out, **_accurate())


def openvino_defaults(given: Given, out: Path) -> Path:
    """As it comes."""
    return _openvino(given, out)


def onnx_best(given: Given, out: Path) -> Path:
    """The same as a QDQ graph, which ONNX Runtime opens."""
    import nncf
    import onnx
    from nncf.quantization.advanced_parameters import QuantizationParameters

    whole = nncf.AdvancedQuantizationParameters(
        activations_quantization_params=QuantizationParameters(per_channel=False)
    )
    model, path = onnx.load(given.onnx), out / "model.onnx"
    onnx.save(_quantized(model, model.graph.input[0].name, given, advanced_parameters=whole, **_accurate()), path)
    return path


_BEST = "subset_size=512, preset=MIXED, fast_bias_correction=False"
EXPORTER = Exporter(
    name="nncf",
    requires=("nncf==3.4.0", "openvino==2026.4.1", "onnx==1.23.2", "onnxruntime==1.31.1"),
    shows=("nncf", "openvino"),
    settings=(
        Setting("openvino best", "openvino", _BEST, openvino_best),
        Setting("openvino defaults", "openvino", "subset_size=512", openvino_defaults),
        Setting("onnx best", "onnx", f"{_BEST}, activations per tensor (else ONNX Runtime refuses it)", onnx_best),
    ),
)

"""onnxruntime.quantization.quantize_static.

Two settings. `defaults` is the function as it is called without arguments (QDQ, S8S8, a scale a tensor). `best` is what
its docstring (1.31.1, "Choosing parameters for CPU inference") names for an x86 CPU with VNNI: QDQ, uint8 activations
and int8 weights at full range, `per_channel=True` for accuracy; without VNNI, `reduce_range=True`. Both after
`quant_pre_process`, which its guide asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.exporters.exporter import Exporter, Given, Setting


def _quantized(given: Given, out: Path, **settings: Any) -> Path:
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, path = out / "prepared.onnx", out / "model.onnx"
    quant_pre_process(str(given.onnx), str(prepared))
    quantize_static(str(prepared), str(path), _reader(prepared, given), **settings)
    return path


def _reader(prepared: Path, given: Given) -> Any:
    import onnx
    from onnxruntime.quantization import CalibrationDataReader

    name = onnx.load(prepared).graph.input[0].name

    class Pictures(CalibrationDataReader):  # type: ignore[misc] # the package has no types
        def __init__(self) -> None:
            self.left: Iterator[Any] = iter(given.calibration)

        def get_next(self) -> dict[str, Any] | None:
            picture = next(self.left, None)
            return None if picture is None else {name: picture[None]}

    return Pictures()


def defaults(given: Given, out: Path) -> Path:
    """Nothing set."""
    return _quantized(given, out)


def best(given: Given, out: Path) -> Path:
    """What the documentation names for this machine."""
    from onnxruntime.quantization import QuantType

    from edgecnn.edge.machine import instruction_sets

    vnni = {"avx512_vnni", "avx_vnni"} & set(instruction_sets())
    return _quantized(
        given,
        out,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=not vnni,
    )


EXPORTER = Exporter(
    name="onnxruntime",
    requires=("onnxruntime==1.31.1", "onnx==1.23.2", "sympy==1.14.0"),
    shows=("onnxruntime", "onnx"),
    settings=(
        Setting("best", "onnx", "quant_pre_process, QDQ, U8S8, per_channel=True", best),
        Setting("defaults", "onnx", "quant_pre_process, quantize_static's defaults: QDQ, S8S8, per tensor", defaults),
    ),
)

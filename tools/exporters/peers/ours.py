"""edgecnn itself: `edgecnn.export` of network.onnx, which writes the same int8 graph in three formats."""

from __future__ import annotations

from pathlib import Path

from tools.exporters.exporter import Exporter, Given, Setting

HALF = (128 / 255,) * 3
"""Mean and standard deviation of (pixel - 128) / 128, for pixels from 0 to 1."""


def _export(given: Given, out: Path, form: str) -> Path:
    import edgecnn
    from edgecnn.formats import find_format

    folder = out / "export"
    edgecnn.export(given.onnx, targets=[form], int8=True, calibration=given.pixels, mean=HALF, std=HALF, out=folder)
    return folder / f"{form}-int8" / find_format(form).model


def tflite(given: Given, out: Path) -> Path:
    """model.tflite."""
    return _export(given, out, "tflite")


def onnx(given: Given, out: Path) -> Path:
    """model.onnx."""
    return _export(given, out, "onnx")


def openvino(given: Given, out: Path) -> Path:
    """model.xml and model.bin."""
    return _export(given, out, "openvino")


EXPORTER = Exporter(
    name="edgecnn",
    requires=(".[export,tflite,onnx,openvino]",),
    constraints="constraints.txt",
    shows=("edgecnn", "torch"),
    settings=(
        Setting("tflite", "tflite", "defaults", tflite),
        Setting("onnx", "onnx", "defaults", onnx),
        Setting("openvino", "openvino", "defaults", openvino),
    ),
)

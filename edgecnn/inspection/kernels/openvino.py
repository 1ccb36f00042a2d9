"""OpenVINO: the graph that a compiled model gives out, with the layers that each node was made of and its precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgecnn.edge.runtimes.openvino import SETTINGS, library
from edgecnn.inspection.kernels import Kernel

INTEGERS = ("u8", "i8")
UNPACKED, WITHOUT_BIAS = "/DequantizationMultiply", "/WithoutBiases"
"""Added to the names of what its scale was moved behind, and of what an .onnx file has in one with the sum."""


class OpenVINOEngine:
    """The CPU plugin's primitives."""

    name = "openvino"
    source = "the graph of the compiled model"

    def kernels(self, model: Path) -> Mapping[str, Kernel]:
        """By the names of the layers in the file."""
        compiled = library().Core().compile_model(str(model), "CPU", SETTINGS)
        found: dict[str, Kernel] = {}
        for node in compiled.get_runtime_model().get_ordered_ops():
            about = node.get_rt_info()
            if about["layerType"].value in ("Const", "Input", "Output"):
                continue
            name = str(about["primitiveType"].value)
            kernel = Kernel(name, str(about["runtimePrecision"].value) in INTEGERS, not name.startswith("ref"))
            for name in str(about["originalLayersNames"].value).split(","):
                name = name.removesuffix(UNPACKED)
                found.setdefault(name, kernel)
                found.setdefault(name.removesuffix(WITHOUT_BIAS), kernel)
        return found


ENGINE = OpenVINOEngine()

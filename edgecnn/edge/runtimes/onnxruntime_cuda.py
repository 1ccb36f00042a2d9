"""ONNX Runtime on an NVIDIA GPU by CUDA: for fp32 and fp16 files; int8 gains nothing there. Untested on hardware.

Source: ONNX Runtime's documentation, CUDA Execution Provider. Threads are those of the operators that stay on the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgecnn.edge.runtimes.onnxruntime import OnnxRuntime


class OnnxRuntimeCuda(OnnxRuntime):
    """Reads .onnx files, where somebody asks for it by its name."""

    name = "onnxruntime_cuda"
    saturates_pairs = False
    asked_only = True
    providers = ("CUDAExecutionProvider", "CPUExecutionProvider")

    def provider_options(self, path: Path) -> Mapping[str, str]:
        """Convolutions are chosen by trying them all, once: their shapes don't change. TF32 would be another precision
        than the file's; an fp16 file's values are float16 there by its own types.
        """
        return {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "0"}


RUNTIME = OnnxRuntimeCuda()

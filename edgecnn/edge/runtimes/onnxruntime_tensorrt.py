"""ONNX Runtime on an NVIDIA GPU by TensorRT: for fp32 and fp16 files, and int8 ones with symmetric activations.
Untested on hardware.

Source: ONNX Runtime's documentation, TensorRT Execution Provider. What TensorRT can't take runs by CUDA. An engine is
built when a file is first opened, which takes minutes on a Jetson, and kept in the user's cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from edgecnn.edge.runtimes.onnxruntime import OnnxRuntime

QUANTIZED = b"QuantizeLinear"
"""Operators' types stand in a .onnx file as text."""
INTO_HALF = b"\n\x02to\x18\n\xa0\x01\x02"
"""A Cast's attribute `to`, 10 (FLOAT16), type INT (onnx.proto: AttributeProto's fields 1, 3 and 20): every fp16 file
that edgecnn writes has one.
"""


class OnnxRuntimeTensorrt(OnnxRuntime):
    """Reads .onnx files, where somebody asks for it by its name."""

    name = "onnxruntime_tensorrt"
    saturates_pairs = False
    asked_only = True
    providers = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")

    def provider_options(self, path: Path) -> Mapping[str, str]:
        """int8 where the file says its scales itself; half precision beside it, for what int8 leaves over, and in an
        fp16 file, never in an fp32 one.
        """
        import hashlib  # here: a process that asks for no GPU needs no OpenSSL, which takes memory

        try:
            content = path.read_bytes()
        except OSError:
            content = b""  # opening it says what is wrong with it
        quantized = QUANTIZED in content
        return {
            "trt_int8_enable": "1" if quantized else "0",
            "trt_fp16_enable": "1" if quantized or INTO_HALF in content else "0",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(_cache() / hashlib.sha256(content).hexdigest()),
        }


def _cache() -> Path:
    """Where engines are kept, by the XDG Base Directory Specification; a folder for each file's content, so that no two
    can be mistaken for each other.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "edgecnn" / "tensorrt"


RUNTIME = OnnxRuntimeTensorrt()

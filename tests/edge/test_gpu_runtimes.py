"""ONNX Runtime's engines for NVIDIA GPUs, with a double of the library: what is asked of it, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest

from edgecnn import packaged
from edgecnn.edge.runtimes import find_runtime, runtime_for, usual_runtimes
from edgecnn.errors import MissingExtra, UnusableFile
from edgecnn.formats import find_format
from edgecnn.graph.edit import from_onnx
from edgecnn.graph.half import halved
from edgecnn.storage import sha256_file

MODELS = packaged.folder("models") / "cifar10-ds"
CUDA, TENSORRT, CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"


class Session:
    """Keeps what it was made with; `working` are the providers that come up."""

    made: Any = None

    def __init__(self, path: str, options: object, providers: list[Any], working: tuple[str, ...]) -> None:
        Session.made = providers
        names = [given if isinstance(given, str) else given[0] for given in providers]
        self._providers = [name for name in names if name in working]

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="image", type="tensor(uint8)", shape=[1, 32, 32, 3])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="logits", type="tensor(float)", shape=[1, 10])]


def library(built: tuple[str, ...], working: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """An onnxruntime built with these providers, of which some come up."""
    double = ModuleType("onnxruntime")
    double.__dict__.update(
        __version__="1.23.2",
        get_available_providers=lambda: list(built),
        SessionOptions=SimpleNamespace,
        InferenceSession=lambda path, options, providers, enable_fallback: Session(path, options, providers, working),
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", double)


@pytest.fixture
def half_precision(tmp_path: Path) -> Path:
    """The fp32 model as an fp16 file."""
    graph = from_onnx(onnx.load(MODELS / "onnx-fp32/model.onnx"))
    find_format("onnx").write(halved(graph), tmp_path, {})
    return tmp_path / "model.onnx"


def test_they_are_used_where_they_are_named_only(monkeypatch: pytest.MonkeyPatch) -> None:
    library((TENSORRT, CUDA, CPU), (TENSORRT, CUDA, CPU), monkeypatch)
    assert not {"onnxruntime_cuda", "onnxruntime_tensorrt"} & set(usual_runtimes())
    assert runtime_for("onnx").name == "onnxruntime"
    assert find_runtime("onnxruntime_tensorrt").version() == "onnxruntime 1.23.2"


@pytest.mark.parametrize("name", ["onnxruntime_cuda", "onnxruntime_tensorrt"])
def test_a_library_without_the_provider_says_what_to_put_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library((CPU,), (CPU,), monkeypatch)
    with pytest.raises(MissingExtra, match=f"running .onnx files in {name} needs .*: put NVIDIA's onnxruntime-gpu"):
        find_runtime(name).version()


@pytest.mark.parametrize(("precision", "eight_bits"), [("int8", "1"), ("fp32", "0")])
def test_tensorrt_computes_in_the_precision_of_the_file(
    precision: str, eight_bits: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library((TENSORRT, CUDA, CPU), (TENSORRT, CUDA, CPU), monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    session = find_runtime("onnxruntime_tensorrt").open(MODELS / f"onnx-{precision}/model.onnx", 1)
    assert session.inputs[0].dtype == "uint8"
    (name, options), *others = Session.made
    assert (name, others) == (TENSORRT, [CUDA, CPU])
    assert (options["trt_int8_enable"], options["trt_fp16_enable"]) == (eight_bits, eight_bits)
    kept = tmp_path / "edgecnn/tensorrt" / sha256_file(MODELS / f"onnx-{precision}/model.onnx")
    assert options["trt_engine_cache_path"] == str(kept)


def test_tensorrt_computes_fp16_files_in_half_precision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, half_precision: Path
) -> None:
    """And never in int8: the file has no scales."""
    library((TENSORRT, CUDA, CPU), (TENSORRT, CUDA, CPU), monkeypatch)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    find_runtime("onnxruntime_tensorrt").open(half_precision, 1)
    options = Session.made[0][1]
    assert (options["trt_int8_enable"], options["trt_fp16_enable"]) == ("0", "1")


def test_cuda_keeps_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    library((CUDA, CPU), (CUDA, CPU), monkeypatch)
    find_runtime("onnxruntime_cuda").open(MODELS / "onnx-fp32/model.onnx", 1)
    assert Session.made[0] == (CUDA, {"cudnn_conv_algo_search": "EXHAUSTIVE", "use_tf32": "0"})


def test_a_provider_that_does_not_come_up_is_no_silent_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    library((CUDA, CPU), (CPU,), monkeypatch)
    with pytest.raises(UnusableFile, match=f"{CUDA} could not be set up, and {CPU} would run it in silence"):
        find_runtime("onnxruntime_cuda").open(MODELS / "onnx-fp32/model.onnx", 1)

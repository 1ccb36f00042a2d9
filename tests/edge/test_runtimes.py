"""What every runtime must do, whichever are in the folder: open what it reads, refuse the rest in one sentence."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgecnn import packaged
from edgecnn.edge import artifact
from edgecnn.edge.runtimes import Port, Runtime, all_runtimes, find_runtime, format_of, runtime_for
from edgecnn.edge.runtimes.litert import LiteRTSession
from edgecnn.errors import MissingExtra, UsageError
from edgecnn.formats import all_formats
from tests.graph.small_nets import Net, pictures


def is_here(runtime: Runtime) -> bool:
    """Whether an engine that wants a GPU has one."""
    try:
        runtime.version()
    except MissingExtra:
        return False
    return True


RUNTIMES = {name: one for name, one in all_runtimes().items() if not one.asked_only or is_here(one)}
"""Those for a GPU where there is one; tests/edge/test_gpu_runtimes.py tests them with a double."""
LIBRARIES = ("ai_edge_litert", "tflite_runtime", "onnxruntime", "openvino")
each_runtime = pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=RUNTIMES)
each_library = pytest.mark.parametrize(
    "runtime", [runtime for runtime in RUNTIMES.values() if runtime.name != "null"], ids=lambda runtime: runtime.name
)
IMAGES = pictures(np.random.default_rng(1), 4, 6, 6)


def write(form: str, folder: Path) -> Path:
    """A model file of a format, in `folder`."""
    folder.mkdir(exist_ok=True)
    if form == "null":
        (folder / "model.null").write_text('{"classes": 7}')
        return folder / "model.null"
    net = Net(np.random.default_rng(3), 6, 6)
    net.dense(net.flatten(net.relu6(net.conv("x", "stem", 5, (3, 3), (2, 2)), "act")), "classifier", 7)
    written = all_formats()[form]
    written.write(net.canonical(), folder, {})
    return folder / written.model


def block(monkeypatch: pytest.MonkeyPatch, *libraries: str) -> None:
    """As if these were not installed."""
    for name in [*sys.modules]:
        if name.split(".")[0] in libraries:
            monkeypatch.setitem(sys.modules, name, None)
    for name in libraries:
        monkeypatch.setitem(sys.modules, name, None)


def test_names_are_unique_and_unknown_ones_get_a_hint() -> None:
    assert {runtime.name for runtime in all_runtimes().values()} == set(all_runtimes())
    with pytest.raises(UsageError, match="unknown runtime 'lite'; did you mean 'litert'"):
        find_runtime("lite")
    with pytest.raises(UsageError, match="no runtime reads the format 'gguf'"):
        runtime_for("gguf")


@each_runtime
def test_a_session_says_what_goes_in_and_out(runtime: Runtime, tmp_path: Path) -> None:
    for form in runtime.reads:
        session = runtime.open(write(form, tmp_path / form), 1)
        (given,), (made,) = session.inputs, session.outputs
        assert (given.name, given.dtype, len(given.shape)) == ("image", "uint8", 4)
        assert (made.dtype, made.shape[1]) == ("float32", 7)
        assert made.name in ("logits", "classifier")  # LiteRT gives the tensor's own name, not the signature's
        if runtime.name != "null":
            assert given.shape == (1, 6, 6, 3)


def test_a_quantized_tflite_file_says_its_grids(tmp_path: Path) -> None:
    folder = packaged.HERE / "models" / "cifar10-ds" / "tflite-int8"
    session = find_runtime("litert").open(folder / "model.tflite", 1)
    output = artifact.read_manifest(folder).output
    assert session.inputs == (Port("image", (1, 32, 32, 3), "uint8", 1 / 128, 128),)
    assert (session.outputs[0].scale, session.outputs[0].zero_point) == (output.scale, output.zero_point)


@each_runtime
def test_its_arena_is_a_size_or_absent_with_its_reason(runtime: Runtime, tmp_path: Path) -> None:
    arena = runtime.open(write(runtime.reads[0], tmp_path / "model"), 1).arena()
    assert (arena.value is None) is (arena.reason is not None)
    assert arena.value is None or arena.value > 0


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_litert_s_arena_lies_between_the_largest_step_and_the_sum(precision: str) -> None:
    """Without XNNPACK, where tensors lie in the open: all inputs and outputs of a step are there together."""
    from ai_edge_litert import interpreter as library

    kernels = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    model = packaged.HERE / "models" / "cifar10-ds" / f"tflite-{precision}" / "model.tflite"
    interpreter = library.Interpreter(model_path=str(model), num_threads=1, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    arena = LiteRTSession(interpreter).arena()
    bytes_of = {
        detail["index"]: int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
        for detail in interpreter.get_tensor_details()
    }
    steps = interpreter._get_ops_details()
    made = {index for step in steps for index in step["outputs"]} | {interpreter.get_input_details()[0]["index"]}
    together = [sum(bytes_of[index] for index in {*step["inputs"], *step["outputs"]} & made) for step in steps]
    assert arena.value is not None
    assert max(together) <= arena.value <= 1.1 * max(together), "it reuses what is no longer needed"
    assert arena.value < sum(bytes_of[index] for index in made) / 2


def test_every_format_has_a_runtime() -> None:
    for name in all_formats():
        assert name in runtime_for(name).reads


@each_runtime
def test_it_has_the_parts(runtime: Runtime) -> None:
    assert runtime.name
    assert runtime.reads
    assert isinstance(runtime.reads, tuple)
    assert isinstance(runtime.saturates_pairs, bool)
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert re.search(rf"^{runtime.extra} = \[", pyproject, re.MULTILINE), "the extra that installs it exists"
    for name in ("version", "open", "profile"):
        asked = list(inspect.signature(getattr(Runtime, name)).parameters)[1:]
        assert list(inspect.signature(getattr(runtime, name)).parameters) == asked, name


@each_runtime
def test_its_version_is_a_name_and_a_number(runtime: Runtime) -> None:
    assert re.fullmatch(r"[a-z-]+ \d[\w.]*", runtime.version())


@each_runtime
@pytest.mark.parametrize("threads", [1, 2])
def test_it_opens_what_it_reads_and_its_answers_are_the_callers(runtime: Runtime, threads: int, tmp_path: Path) -> None:
    for form in runtime.reads:
        session = runtime.open(write(form, tmp_path / form), threads)
        first = session.run(IMAGES[:1])
        kept = first.copy()
        second = session.run(IMAGES[1:2])
        assert first.shape == second.shape == (1, 7)
        assert not np.array_equal(kept, second)
        np.testing.assert_array_equal(first, kept, err_msg="the second answer overwrote the first")


def damage() -> dict[str, Callable[[bytes], bytes]]:
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    return {
        "empty": lambda _: b"",
        "noise": lambda _: noise,
        "text": lambda _: b"<html>404 Not Found</html>",
        "a byte": lambda content: content[:1],
        "a third": lambda content: content[: len(content) // 3],
        "half": lambda content: content[: len(content) // 2],
    }


@each_runtime
@pytest.mark.parametrize("change", damage().values(), ids=damage())
def test_a_damaged_file_is_refused_in_one_sentence(
    runtime: Runtime, change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    """In a process of its own: an engine that crashes is a failure of this test alone."""
    for form in runtime.reads:
        path = write(form, tmp_path / form)
        path.write_bytes(change(path.read_bytes()))
        assert_refused(runtime, path)


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_damaged_companion_is_refused_in_one_sentence(kept: float, tmp_path: Path) -> None:
    for form in all_formats().values():
        for name in form.companions:
            path = write(form.name, tmp_path / form.name)
            content = path.with_name(name).read_bytes()
            path.with_name(name).write_bytes(content[: int(kept * len(content))])
            assert_refused(runtime_for(form.name), path)


@each_runtime
def test_a_missing_file_is_refused_in_one_sentence(runtime: Runtime, tmp_path: Path) -> None:
    assert_refused(runtime, tmp_path / "model.none")


OPEN = """
import sys
from pathlib import Path
from edgecnn.edge.runtimes import find_runtime
from edgecnn.errors import UnusableFile
try:
    find_runtime(sys.argv[1]).open(Path(sys.argv[2]), 1)
except UnusableFile as error:
    print(error)
"""


def assert_refused(runtime: Runtime, path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN, runtime.name, str(path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{runtime.name} ended with {done.returncode}: {done.stderr[-500:]}"
    said = done.stdout.strip()
    assert said.startswith(f"{path}: "), said or "it opened the file"
    assert "\n" not in said
    assert len(said) < 400 + len(str(path)), said


@each_library
def test_without_its_library_the_extra_is_named(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(runtime.reads[0], tmp_path / "model")
    block(monkeypatch, *LIBRARIES)
    command = re.escape(f"pip install 'edgecnn[{runtime.extra}]'")
    with pytest.raises(MissingExtra, match=command) as error:
        runtime.version()
    assert "\n" not in str(error.value)
    with pytest.raises(MissingExtra, match=command):
        runtime.open(path, 1)


def test_a_format_falls_to_the_next_runtime_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runtime_for("onnx").name == "onnxruntime"
    block(monkeypatch, "onnxruntime")
    assert runtime_for("onnx").name == "openvino"
    block(monkeypatch, "openvino")
    with pytest.raises(MissingExtra, match="onnxruntime"):
        runtime_for("onnx")


def test_null_tells_pictures_apart_by_brightness(tmp_path: Path) -> None:
    session = find_runtime("null").open(write("null", tmp_path / "null"), 1)
    dark, light = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 255, np.uint8)
    assert session.run(dark).argmax() == 0
    assert session.run(light).argmax() == 6


def test_a_format_is_known_by_its_files_name() -> None:
    assert [format_of(Path(name)) for name in ("a.tflite", "b.ONNX", "c.xml")] == ["tflite", "onnx", "openvino"]
    with pytest.raises(UsageError, match=r"weights\.pt: is no model file by its name; they end in \.tflite"):
        format_of(Path("weights.pt"))

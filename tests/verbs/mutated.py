"""Model files with something wrong in them, the same for the same seed, and what a verb of edgecnn makes of one.

The parent's side runs in this process, as the command line runs it. Each file is opened in a child: a fresh process, as
users have it, or (`Forked`) a fork of this one, which is the same from edgecnn.edge.__main__ on and ten times faster.
"""

from __future__ import annotations

import faulthandler
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import numpy as np
import onnx

from edgecnn.edge.__main__ import main as edge
from edgecnn.formats import all_formats, find_format
from edgecnn.formats.tflite.builder import pack, unpack
from edgecnn.quantize import quantize
from tests.graph.small_nets import Net, pictures
from tests.verbs.small_runs import class_folders
from tests.verbs.small_runs import edgecnn as command

LABELS = ("cat", "ship", "truck")
SIDE = 12
LONGEST_S = 10.0
VERBS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "MODEL"),
    "eval": ("eval", "MODEL", "--data-source", "PICTURES"),
    "bench": ("bench", "MODEL", "--seconds", "0.1", "--quiet", "--out", "RECORD"),
}
"""What is done with each file; the words of the command line."""
FORMATS = tuple(all_formats())
Random = np.random.Generator


# --- whole files -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Originals:
    """Small whole models, float and int8, a folder a format and precision; and pictures to evaluate on."""

    root: Path

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    def parts(self, form: str, seed: int) -> dict[str, bytes]:
        """The files of the model that a seed changes, by name; the model itself is the first."""
        made = find_format(form)
        folder = self.root / f"{form}-{('fp32', 'int8')[seed // 2 % 2]}"
        return {name: (folder / name).read_bytes() for name in (made.model, *made.companions)}


def originals(root: Path) -> Originals:
    """Write them, where they are not there yet."""
    if (root / "done").is_file():
        return Originals(root)
    net = Net(np.random.default_rng(3), SIDE, SIDE)
    stem = net.relu6(net.conv("x", "stem", 8, (3, 3), (2, 2), (0, 0, 1, 1)), "stem/act")
    inside = net.relu(net.conv(stem, "inside", 8, (3, 3), (1, 1), (1, 1, 1, 1)), "inside/act")
    both = net.max_pool(net.add(stem, inside, "sum"), "pool", (2, 2))
    net.dense(net.flatten(net.global_average_pool(both, "mean")), "classifier", len(LABELS))
    fp32 = net.canonical()
    graphs = {"fp32": fp32, "int8": quantize(fp32, pictures(np.random.default_rng(1), 32, SIDE, SIDE))}
    for form in FORMATS:
        for precision, graph in graphs.items():
            folder = root / f"{form}-{precision}"
            folder.mkdir(parents=True, exist_ok=True)
            find_format(form).write(graph, folder, {"labels": '["cat", "ship", "truck"]', "resize": "crop"})
    class_folders(root / "pictures", train=1, test=2, labels=LABELS)
    (root / "done").touch()
    return Originals(root)


# --- what goes wrong with any file ------------------------------------------------------------------------------------


def truncated(content: bytes, random: Random) -> bytes:
    return content[: int(random.integers(0, len(content)))]


def bits_flipped(content: bytes, random: Random) -> bytes:
    """One bit, or up to a hundred."""
    changed = bytearray(content)
    for _ in range(int(random.choice([1, 1, 2, 10, 100]))):
        changed[int(random.integers(len(changed)))] ^= 1 << int(random.integers(8))
    return bytes(changed)


def words_replaced(content: bytes, random: Random) -> bytes:
    """Whole 32-bit numbers by such as lie at the ends of their types: offsets, lengths, counts, codes."""
    changed = bytearray(content)
    for _ in range(int(random.choice([1, 2, 8]))):
        at = 4 * int(random.integers(max(1, len(changed) // 4 - 1)))
        value = int(random.choice([0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
        changed[at : at + 4] = value.to_bytes(4, "little")
    return bytes(changed)


def blocks_swapped(content: bytes, random: Random) -> bytes:
    """Two stretches of the same length."""
    length = int(random.integers(1, max(2, len(content) // 4)))
    first, second = sorted(int(i) for i in random.integers(0, max(1, len(content) - length), 2))
    if second - first < length:
        return content[second:] + content[:second]
    one, other = content[first : first + length], content[second : second + length]
    return content[:first] + other + content[first + length : second] + one + content[second + length :]


def stretch_repeated(content: bytes, random: Random) -> bytes:
    first, end = sorted(int(i) for i in random.integers(0, len(content), 2))
    return content[:end] + content[first:end] + content[end:]


# --- what goes wrong with one format's fields -------------------------------------------------------------------------

EXTREMES = (-1, 0, 1, 2, 3, 255, 4097, 2**31 - 1, -(2**31))


def tflite_fields(content: bytes, random: Random) -> bytes:
    """A file that is a whole flatbuffer with wrong indices, shapes, codes, scales or options in it."""
    model = unpack(content)
    model.metadata = None  # the label file behind the model would be missed first
    graph = model.subgraphs[0]
    for _ in range(int(random.integers(1, 4))):
        operator = graph.operators[int(random.integers(len(graph.operators)))]
        tensor = graph.tensors[int(random.integers(len(graph.tensors)))]
        extreme = int(random.choice(EXTREMES))
        kind = int(random.integers(8))
        if kind == 0:
            operator.inputs = _with(operator.inputs, random, extreme)
        elif kind == 1:
            operator.outputs = _with(operator.outputs, random, int(random.integers(len(graph.tensors))))
        elif kind == 2 and tensor.shape is not None and len(tensor.shape):
            tensor.shape = _with(tensor.shape, random, extreme)
        elif kind == 3:
            tensor.buffer = int(random.integers(len(model.buffers)))
        elif kind == 4:
            tensor.type = int(random.integers(0, 18))
        elif kind == 5:
            model.operatorCodes[int(random.integers(len(model.operatorCodes)))].builtinCode = int(random.integers(160))
        elif kind == 6 and tensor.quantization is not None and tensor.quantization.scale is not None:
            scale = float(random.choice([0.0, np.nan, np.inf, -1.0, 1e-38]))
            tensor.quantization.scale = np.full(len(tensor.quantization.scale), scale, np.float32)
        elif operator.builtinOptions is not None:
            numbers = {name: value for name, value in vars(operator.builtinOptions).items() if isinstance(value, int)}
            if numbers:
                name = str(random.choice(list(numbers)))
                new = not numbers[name] if isinstance(numbers[name], bool) else abs(extreme) % 127
                setattr(operator.builtinOptions, name, new)
    return bytes(pack(model))


def _with(values: Any, random: Random, value: int) -> Any:
    changed = np.array(values)
    changed[int(random.integers(len(changed)))] = value
    return changed


def onnx_fields(content: bytes, random: Random) -> bytes:
    """A file that is a whole protobuf with wrong names, shapes, operations or attributes in it."""
    model = onnx.ModelProto.FromString(content)
    graph = model.graph
    for _ in range(int(random.integers(1, 4))):
        node = graph.node[int(random.integers(len(graph.node)))]
        tensor = graph.initializer[int(random.integers(len(graph.initializer)))]
        other = graph.node[int(random.integers(len(graph.node)))]
        extreme = int(random.choice(EXTREMES))
        kind = int(random.integers(8))
        if kind == 0 and node.input:
            node.input[int(random.integers(len(node.input)))] = other.output[0]
        elif kind == 1:
            node.op_type, other.op_type = other.op_type, node.op_type
        elif kind == 2 and tensor.dims:
            tensor.dims[int(random.integers(len(tensor.dims)))] = extreme
        elif kind == 3:
            tensor.data_type = int(random.integers(0, 20))
        elif kind == 4 and node.attribute:
            attribute = node.attribute[int(random.integers(len(node.attribute)))]
            attribute.i = extreme
            if attribute.ints:
                attribute.ints[int(random.integers(len(attribute.ints)))] = extreme
        elif kind == 5:
            tensor.raw_data = tensor.raw_data[: len(tensor.raw_data) // 2]
        elif kind == 6:
            size = graph.input[0].type.tensor_type.shape.dim
            size[int(random.integers(len(size)))].dim_value = extreme
        else:
            tensor.name, graph.initializer[0].name = graph.initializer[0].name, tensor.name
    return model.SerializeToString()


def openvino_fields(content: bytes, random: Random) -> bytes:
    """A well-formed XML file in which values of attributes are swapped or extreme."""
    text = content.decode()
    for _ in range(int(random.integers(1, 4))):
        found = list(re.finditer(r'="([^"<>]*)"|>(\d+)<', text))
        one, other = (found[int(i)] for i in sorted(random.integers(0, len(found), 2)))
        place = 1 if one.group(1) is not None else 2
        new = str(int(random.choice(EXTREMES)))
        if random.integers(2) and other.group(1) is not None:
            new = other.group(1)
        text = text[: one.start(place)] + new + text[one.end(place) :]
    return text.encode()


FIELDS = {"tflite": tflite_fields, "onnx": onnx_fields, "openvino": openvino_fields}
ANYWHERE = (truncated, bits_flipped, words_replaced, blocks_swapped, stretch_repeated)


def mutated(whole: Originals, form: str, seed: int, folder: Path) -> Path:
    """The changed model of a seed, written into a folder; every other has wrong fields instead of wrong bytes."""
    random = np.random.default_rng([seed, FORMATS.index(form)])
    parts = whole.parts(form, seed)
    names = list(parts)
    change: Callable[[bytes, Random], bytes] = ANYWHERE[seed // 4 % len(ANYWHERE)]
    name = names[0]
    if seed % 2 == 0:
        change = FIELDS[form]
    elif seed % 8 == 1:
        name = names[-1]
    parts[name] = change(parts[name], random)
    for part, content in parts.items():
        (folder / part).write_bytes(content)
    return folder / names[0]


# --- what becomes of it -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a verb made of a file. code: the exit code; seconds: of the whole."""

    verb: str
    code: int
    seconds: float
    said: str
    out: str

    @property
    def fault(self) -> str:
        """What is wrong with it; empty where it ran, or ended in one sentence and the right exit code."""
        if self.seconds > LONGEST_S:
            return "hung"
        if self.code not in (0, 2, 3):
            return "dead"
        said = [line for line in self.said.splitlines() if line]
        if "Traceback" in self.said or (self.code and (len(said) != 1 or not said[0].startswith("error: "))):
            return "not one sentence"
        # bench goes on with other runtimes and shows what they made of it
        return "an answer beside the error" if self.code and self.out and self.verb != "bench" else ""


def outcome(verb: str, model: Path, whole: Originals) -> Outcome:
    """Do it."""
    words = {"MODEL": str(model), "PICTURES": str(whole.pictures), "RECORD": str(model.with_name("record.json"))}
    started = time.monotonic()
    left = command(*(words.get(word, word) for word in VERBS[verb]))
    return Outcome(verb, left.code, time.monotonic() - started, left.err, left.out)


class Forked:
    """subprocess.Popen's parts that edgecnn uses, for a fork of this process in the place of a new one.

    stdin is a pipe; so is stdout, where it is asked for.
    """

    def __init__(self, args: list[str], *, stdout: IO[bytes] | int, stderr: IO[bytes], **_: Any) -> None:
        self.args, self.returncode = args, 0
        read, write = os.pipe()
        answers, out = os.pipe() if isinstance(stdout, int) else (-1, stdout.fileno())
        self.pid = os.fork()
        if self.pid == 0:
            os.close(write)
            os.dup2(read, 0)
            os.dup2(out, 1)
            os.dup2(stderr.fileno(), 2)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - until the end
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            faulthandler.disable()  # pytest's would tell of each death
            try:
                edge(args[args.index("edgecnn.edge") + 1 :])
            except BaseException as error:
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
                sys.stderr.flush()
            os._exit(1)
        os.close(read)
        self.stdin, self.stdout = os.fdopen(write, "wb", buffering=0), None
        if isinstance(stdout, int):
            os.close(out)
            self.stdout = os.fdopen(answers, "rb", buffering=0)
        self._ended = False

    def wait(self, timeout: float | None = None) -> int:
        limit = None if timeout is None else time.monotonic() + timeout
        while not self._ended:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._ended, self.returncode = True, os.waitstatus_to_exitcode(status)
            elif limit is not None and time.monotonic() > limit:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            else:
                time.sleep(0.001)
        return self.returncode

    def kill(self) -> None:
        if not self._ended:
            os.kill(self.pid, signal.SIGKILL)


@contextmanager
def forked() -> Iterator[None]:
    """Children as forks of this process, in which every engine is imported and no file was opened."""
    import ai_edge_litert.interpreter  # noqa: F401 - so that the forks need not
    import onnxruntime  # noqa: F401
    import openvino  # noqa: F401

    import edgecnn.inspection.report
    import edgecnn.verbs.model_files  # noqa: F401

    fresh = subprocess.Popen

    def started(args: list[str], **given: Any) -> Any:
        return (Forked if "edgecnn.edge" in args else fresh)(args, **given)

    with patch.object(subprocess, "Popen", started):
        yield

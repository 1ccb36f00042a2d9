"""Looking through a model file, in a child process: the record that `inspect` shows."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecnn.edge.pixels import CHANNELS
from edgecnn.edge.runtimes import find_runtime
from edgecnn.errors import UnusableFile, blaming
from edgecnn.formats import find_format
from edgecnn.graph.listing import Listing, Operation, Value
from edgecnn.inspection.kernels import Kernel, find_engine
from edgecnn.inspection.rules import findings
from edgecnn.inspection.view import Finding, View
from edgecnn.nn.memory import ActivationBytes, Use, peak_values
from edgecnn.nn.table import Field
from edgecnn.records import to_json

SEES_ALL = ("dense", "matmul", "mean", "reduce_max", "global_average_pool", "global_max_pool", "flatten")
IN_PLACE = ("flatten", "reshape", "squeeze", "identity", "relu", "relu6", "clip", "quantize", "dequantize", "cast")
IN_ANOTHER = "in another"
"""The kernel of what an engine computes as part of another operation."""


@dataclass(frozen=True)
class FileLayer:
    """One operation of a file. `output` is [C, H, W] or [N], `dtype` that of what it gives in the file.

    weight_bytes: of its constants. kernel: what runs it by the engine's word. integer: whether in 8 bits.
    """

    name: str
    type: str
    output: tuple[int, ...]
    params: int
    macs: int
    receptive_field: tuple[int, int]
    stride: tuple[float, float]
    activation_bytes_int8: int
    activation_bytes_fp32: int
    dtype: str
    weight_bytes: int
    kernel: str
    integer: bool


@dataclass(frozen=True)
class FileInspectRecord:
    """A model file: what `inspect` says of a recipe, and how an engine runs it.

    bytes: of the file and what belongs to it. ops: how many of each type. sizes: bytes of constants by type.
    int8_share: of the multiply-adds, what runs in 8 bits by the word of `engine`; `source` says how it tells. details:
    what the file says about itself. peak_activation_bytes: were all activations of that type.
    """

    name: str
    format: str
    input: tuple[int, ...]
    bytes: int
    params: int
    macs: int
    layers: tuple[FileLayer, ...]
    ops: dict[str, int]
    sizes: dict[str, int]
    int8_share: float
    engine: str
    source: str
    findings: tuple[Finding, ...]
    details: dict[str, str]
    peak_activation_bytes: ActivationBytes
    schema: str = "edgecnn.inspect/1"


def look_through(request: Mapping[str, Any]) -> Any:
    """The FileInspectRecord of the file `path` of `format` in `runtime`, as JSON; `bytes` is its size.

    UnusableFile where the file can't be read, or the engine can't open it.
    """
    path, form = Path(request["path"]), find_format(request["format"])
    engine, runtime = find_engine(request["runtime"]), find_runtime(request["runtime"])
    with blaming(path, "read, it is damaged or of a rare kind"):
        listing = form.listing(path)
    with blaming(path, f"opened by {runtime.version()}"):
        kernels = None if engine is None else engine.kernels(path)
    with blaming(path, "looked through"):
        view = View(form.name, runtime.version(), listing, kernels)
        source = "" if engine is None else engine.source
        record = _record(path.name, request["bytes"], view, source)
    try:
        with blaming(path, "understood in what it says about itself"):
            record = replace(record, details=dict(form.details(path)))
    except UnusableFile as error:
        record = replace(record, findings=(_damaged_details(str(error)), *record.findings))
    return to_json(record)


def _damaged_details(problem: str) -> Finding:
    return Finding(
        "damaged_details",
        "accuracy",
        (),
        "what the file says about itself can't be read",
        problem,
        "write its metadata anew; until then give labels and normalisation by hand",
    )


def _record(name: str, size: int, view: View, source: str) -> FileInspectRecord:
    operations = view.listing.operations
    sizes: Counter[str] = Counter()
    for operation in operations:
        sizes[operation.type] += operation.weight_bytes
    macs = sum(operation.macs for operation in operations)
    integer = sum(operation.macs for operation in operations if view.integer(operation))
    return FileInspectRecord(
        name=name,
        format=view.format,
        input=view.listing.chw(view.listing.inputs[0].shape) if view.listing.inputs else (),
        bytes=size,
        params=sum(operation.params for operation in operations),
        macs=macs,
        layers=_layers(view),
        ops=dict(Counter(operation.type for operation in operations).most_common()),
        sizes={kind: count for kind, count in sizes.most_common() if count},
        int8_share=integer / macs if macs else 0.0,
        engine=view.engine,
        source=source,
        findings=findings(view),
        details={},
        peak_activation_bytes=_peak(view.listing),
    )


def _layers(view: View) -> tuple[FileLayer, ...]:
    fields: dict[str, Field] = {}
    image = _image(view.listing)
    rows = []
    for operation in view.listing.operations:
        field = _field(operation, fields, Field.at(image))
        fields |= dict.fromkeys((value.name for value in operation.outputs), field)
        made = operation.outputs[0] if operation.outputs else None
        taken = ActivationBytes.of(_values(operation.outputs))
        rows.append(
            FileLayer(
                name=operation.name,
                type=operation.type,
                output=view.listing.chw(made.shape) if made else (),
                params=operation.params,
                macs=operation.macs,
                receptive_field=field.size,
                stride=field.pace,
                activation_bytes_int8=taken.int8,
                activation_bytes_fp32=taken.fp32,
                dtype=made.dtype if made else "unknown",
                weight_bytes=operation.weight_bytes,
                kernel=_kernel(view, view.kernel(operation)),
                integer=view.integer(operation),
            )
        )
    return tuple(rows)


def _values(values: Sequence[Value]) -> int:
    """How many numbers they hold for one picture; open sizes count as 1."""
    return sum(math.prod(max(1, size) for size in value.shape[1:]) for value in values)


def _peak(listing: Listing) -> ActivationBytes:
    """As nn.memory counts it; of a file's operations those write over their input that only move or clip values."""
    uses = []
    for operation in listing.operations:
        read = tuple(value.name for value in operation.inputs)
        for i, value in enumerate(operation.outputs):
            uses.append(Use(read if i == 0 else (), value.name, _values([value]), operation.kind in IN_PLACE))
    given = [(value.name, _values([value])) for value in listing.inputs]
    return ActivationBytes.of(peak_values(given, uses))


def _kernel(view: View, kernel: Kernel | None) -> str:
    if kernel is not None:
        return kernel.name
    return "" if view.kernels is None else IN_ANOTHER


def _field(operation: Operation, fields: Mapping[str, Field], image: Field) -> Field:
    """The widest of what goes in, widened by the operation's own window."""
    given = image.joined(fields[value.name] for value in operation.inputs if value.name in fields)
    if operation.kind in SEES_ALL:
        return given.after(None, (1, 1))
    if operation.window is None:
        return given
    window = operation.window
    spanned = [(k - 1) * d + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    return given.after((spanned[0], spanned[1]), window.stride)


def _image(listing: Listing) -> tuple[int, int]:
    """Rows and columns of the picture; where the order is open, that of three channels or one."""
    shape = listing.inputs[0].shape if listing.inputs else ()
    if len(shape) != 4:
        return (1, 1)
    last = shape[3] == 3 or (shape[3] == 1 and shape[1] not in CHANNELS)
    return (shape[1], shape[2]) if last else (shape[2], shape[3])

"""What a TFLite file says about itself: the TFLITE_METADATA buffer with its associated label file, written and read.

Source: metadata_schema.fbs 1.5.0 (TFLite Metadata), which MediaPipe, LiteRT's Task libraries and Android Studio read.
The few tables that a classifier needs are written by their fields' numbers, since the schema's generated classes come
with MediaPipe alone. Labels are a file of lines in a zip archive behind the model, stored, as these readers want it.
What the schema has no word for, such as the resize rule, stands as JSON in a metadata entry of edgecnn's own.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
from flatbuffers import number_types as numbers
from flatbuffers.table import Table

from edgecnn.errors import UnusableFile
from edgecnn.formats import PIXELS, Details, labels_of, labels_text, normalisation
from edgecnn.formats.tflite.builder import FILE_IDENTIFIER as TFLITE_IDENTIFIER
from edgecnn.formats.tflite.builder import nhwc, schema
from edgecnn.graph.canonical import IMAGE, LOGITS
from edgecnn.graph.program import Program

STANDARD, OWN = "TFLITE_METADATA", "edgecnn"
"""Names of the metadata entries: the format's, and edgecnn's."""
OWN_KEYS = ("output", "resize")
LABELS = "labels.txt"
FILE_IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"
"""The oldest reader that understands every field used here."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The zip format's first moment, so that the same labels give the same bytes."""
COLOUR_SPACES = {1: 2, 3: 1}
"""GRAYSCALE and RGB of the enum ColorSpaceType, by how many channels there are."""
FEATURE, PICTURE = 1, 2
"""Of the union ContentProperties."""
NORMALISATION = 1
"""Of the union ProcessUnitOptions."""
AXIS_LABELS = 2
"""Of the enum AssociatedFileType."""
LARGEST_LABELS = 1 << 24
"""Bytes of a label file that are read at most: an archive can claim any size."""
LONGEST = 1 << 12
"""Of a list of entries, tables or numbers: a damaged length can be any number."""
DAMAGED = (struct.error, ValueError, TypeError, IndexError, OverflowError, RecursionError)
"""What flatbuffers raises in a buffer that is none."""
NO_ARCHIVE = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error, *DAMAGED)


# --- writing ---------------------------------------------------------------------------------------------------------


def entries(program: Program, details: Details) -> dict[str, bytes]:
    """The metadata entries of a model file, by name."""
    own = {key: details[key] for key in OWN_KEYS if key in details}
    return {STANDARD: metadata_of(program, details), OWN: json.dumps(own, sort_keys=True).encode()}


def metadata_of(program: Program, details: Details) -> bytes:
    """A ModelMetadata flatbuffer: a picture in, RGB or grey, one value a class out.

    Its normalisation is that of the pixel grid, (pixel - zero_point) * scale: quantized to the input's grid, as the
    schema has it, that is the pixel again, which is also what readers give a uint8 input that leave out both steps.
    """
    builder = flatbuffers.Builder(1024)
    _, height, width, _ = nhwc(program.image.shape)
    about = f"Image classifier; takes pictures of {width}x{height}"
    if "resize" in details:
        about += f", brought to size by edgecnn's rule '{details['resize']}'"
    ends = {2: _vector(builder, [_image(builder, program)]), 3: _vector(builder, [_classes(builder, details)])}
    fields = {
        0: builder.CreateString(details.get("name", "edgecnn")),
        1: builder.CreateString(about),
        3: _vector(builder, [_table(builder, ends)]),
        7: builder.CreateString(PARSER_VERSION),
    }
    builder.Finish(_table(builder, fields), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


def with_labels(content: bytes, labels: Sequence[str]) -> bytes:
    """A model file with its labels behind it, one a line, in a zip archive that stores them as they are."""
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "a") as archive:
        entry = zipfile.ZipInfo(LABELS, EPOCH)
        entry.create_system = 3  # Unix's, on whatever machine it is written
        entry.external_attr = 0o644 << 16
        archive.writestr(entry, "".join(f"{label}\n" for label in labels), zipfile.ZIP_STORED)
    return stream.getvalue()


def _image(builder: flatbuffers.Builder, program: Program) -> int:
    """TensorMetadata of the picture."""
    _, height, width, channels = nhwc(program.image.shape)
    builder.StartObject(2)
    builder.PrependUint32Slot(0, width, 0)
    builder.PrependUint32Slot(1, height, 0)
    properties = _table(builder, {1: builder.EndObject()}, {0: COLOUR_SPACES[channels]})
    grid = program.pixels
    parameters = {0: _floats(builder, [grid.zero_point]), 1: _floats(builder, [1.0 / grid.scale])}
    dimensions = [builder.CreateString(name) for name in ("batch", "height", "width", "channels")]
    fields = {
        0: builder.CreateString(IMAGE),
        1: builder.CreateString(PIXELS[channels]),
        2: _vector(builder, dimensions),
        3: _union(builder, PICTURE, properties),
        4: _vector(builder, [_union(builder, NORMALISATION, _table(builder, parameters))]),
        5: _table(builder, {0: _floats(builder, [255.0]), 1: _floats(builder, [0.0])}),
    }
    return _table(builder, fields)


def _classes(builder: flatbuffers.Builder, details: Details) -> int:
    """TensorMetadata of the answer."""
    fields = {
        0: builder.CreateString(LOGITS),
        1: builder.CreateString(f"One value a class: {details.get('output', LOGITS)}"),
        3: _union(builder, FEATURE, _table(builder, {})),
    }
    if labels_of(details):
        names = {0: builder.CreateString(LABELS), 1: builder.CreateString("The classes' names, one a line")}
        fields[6] = _vector(builder, [_table(builder, names, {2: AXIS_LABELS})])
    return _table(builder, fields)


def _table(builder: flatbuffers.Builder, references: Mapping[int, int], bytes_: Mapping[int, int] | None = None) -> int:
    """A table by its fields' numbers: offsets of strings, vectors and tables; and small numbers."""
    small = bytes_ or {}
    builder.StartObject(max((*references, *small), default=-1) + 1)
    for slot, offset in references.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, value in small.items():
        builder.PrependUint8Slot(slot, value, 0)
    return int(builder.EndObject())


def _union(builder: flatbuffers.Builder, kind: int, offset: int) -> int:
    """A table whose first two fields are a union: which of its tables, and that table."""
    return _table(builder, {1: offset}, {0: kind})


def _vector(builder: flatbuffers.Builder, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _floats(builder: flatbuffers.Builder, values: Sequence[float]) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return int(builder.EndVector())


# --- reading ---------------------------------------------------------------------------------------------------------


def read_details(path: Path) -> dict[str, str]:
    """What a file of any origin says about itself, in the keys of `Details`.

    UnusableFile where it is no TFLite file, or its metadata or label file is damaged.
    """
    try:
        content = path.read_bytes()
        if content[4:8] != TFLITE_IDENTIFIER:
            raise UnusableFile("is no TFLite file")
        model = schema.Model.GetRootAs(content, 0)
        found = _read_entries(model)
        details = _read_own(found[OWN]) if OWN in found else {}
        if STANDARD in found:
            details |= _read_standard(content, found[STANDARD], model)
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    except DAMAGED as error:
        raise UnusableFile(f"{path}: its TFLite metadata can't be read ({error})") from error
    except UnusableFile as error:
        raise UnusableFile(f"{path}: {error}") from error
    return details


class _Fields:
    """A table of a buffer that may hold anything. Its errors are those of DAMAGED."""

    def __init__(self, content: bytes, place: int) -> None:
        self._table = Table(content, place)

    @classmethod
    def root(cls, content: bytes) -> _Fields:
        return cls(content, Table(content, 0).Indirect(0))

    def text(self, slot: int) -> str:
        place = self._place(slot)
        return self._table.String(self._table.Pos + place).decode("utf-8") if place else ""

    def byte(self, slot: int) -> int:
        place = self._place(slot)
        return int(self._table.Get(numbers.Uint8Flags, self._table.Pos + place)) if place else 0

    def table(self, slot: int) -> _Fields | None:
        place = self._place(slot)
        return _Fields(self._table.Bytes, self._table.Indirect(self._table.Pos + place)) if place else None

    def tables(self, slot: int) -> list[_Fields]:
        return [_Fields(self._table.Bytes, self._table.Indirect(start)) for start in self._elements(slot)]

    def floats(self, slot: int) -> list[float]:
        return [float(self._table.Get(numbers.Float32Flags, start)) for start in self._elements(slot)]

    def _elements(self, slot: int) -> range:
        """Where a vector's elements stand, of 4 bytes each."""
        place = self._place(slot)
        if not place:
            return range(0)
        count, start = _count(self._table.VectorLen(place)), self._table.Vector(place)
        return range(start, start + 4 * count, 4)

    def _place(self, slot: int) -> int:
        return int(self._table.Offset(4 + 2 * slot))


def _read_entries(model: Any) -> dict[str, bytes]:
    """A model's metadata entries that are read here, by name."""
    found: dict[str, bytes] = {}
    for i in range(_count(model.MetadataLength())):
        entry = model.Metadata(i)
        name, buffer = (entry.Name() or b"").decode("utf-8", "replace"), model.Buffers(entry.Buffer())
        if name in (STANDARD, OWN) and buffer is not None and buffer.DataLength():
            found[name] = buffer.DataAsNumpy().tobytes()
    return found


def _count(length: int) -> int:
    """A list's length; ValueError where it is damaged."""
    if length > LONGEST:
        raise ValueError(f"a list of {length:,} entries")
    return length


def _read_own(content: bytes) -> dict[str, str]:
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("what edgecnn wrote is no longer an object")
    return {key: found[key] for key in OWN_KEYS if isinstance(found.get(key), str)}


def _read_standard(content: bytes, metadata: bytes, model: Any) -> dict[str, str]:
    """Name, normalisation and labels of a ModelMetadata buffer, and of the label file in the archive behind a model."""
    fields = _Fields.root(metadata)
    details = {"name": fields.text(0)} if fields.text(0) else {}
    for graph in fields.tables(3)[:1]:
        for image in graph.tables(2)[:1]:
            details |= _read_normalisation(image, model)
        for classes in graph.tables(3)[:1]:
            names = [file.text(0) for file in classes.tables(6) if file.byte(2) == AXIS_LABELS]
            labels = _read_labels(content, names[0]) if names else []
            if labels:
                details["labels"] = labels_text(labels)
    return details


def _read_normalisation(image: _Fields, model: Any) -> dict[str, str]:
    """mean and std; nothing where quantizing undoes them, so that whole numbers go in as they come."""
    units = [unit.table(1) for unit in image.tables(4) if unit.byte(0) == NORMALISATION]
    if not units or units[0] is None:
        return {}
    mean, std = units[0].floats(0), units[0].floats(1)
    graph = model.Subgraphs(0)
    tensor = graph.Tensors(graph.Inputs(0))
    offsets = {schema.TensorType.UINT8: 0, schema.TensorType.INT8: 128}
    quantization = tensor.Quantization()
    if tensor.Type() in offsets and quantization is not None and quantization.ScaleLength() == 1:
        scale, zero_point = quantization.Scale(0), quantization.ZeroPoint(0) + offsets[tensor.Type()]
        if scale > 0 and all(_gives_back(m, s, scale, zero_point) for m, s in zip(mean, std, strict=True)):
            return {}
    return normalisation(mean, std)


def _gives_back(mean: float, std: float, scale: float, zero_point: int) -> bool:
    """Whether normalising a pixel and quantizing it gives the pixel again, to a step."""
    return std > 0 and all(abs((x - mean) / std / scale + zero_point - x) <= 1 for x in (0, 255))


def _read_labels(content: bytes, name: str) -> list[str]:
    """The lines of a file in the archive behind a model; UnusableFile where it is not there, damaged or endless."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(name) as file:
            text = file.read(LARGEST_LABELS + 1)
        lines = text.decode("utf-8").split("\n")
    except NO_ARCHIVE as error:
        raise UnusableFile(f"its label file '{name}' can't be read ({error})") from error
    if len(text) > LARGEST_LABELS:
        raise UnusableFile(f"its label file '{name}' has more than {LARGEST_LABELS:,} bytes")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]

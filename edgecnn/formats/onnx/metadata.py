"""What an ONNX file says about itself: metadata_props, and what its input is called in ONNX's own terms.

Sources: ONNX's MetadataProps.md (keys of images, which are told apart by no case), TypeDenotation.md and
DimensionDenotation.md; ultralytics' key `names` for labels of files from elsewhere.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from edgecnn.errors import UnusableFile
from edgecnn.formats import KEYS, PIXELS, Details, labels_text, normalisation

IMAGE_PROPERTIES = {
    "Image.ColorSpaceGamma": "SRGB",
    "Image.NominalPixelRange": "NominalRange_0_255",
}
PIXEL_FORMATS = {1: "Gray8", 3: "Rgb8"}
"""Image.BitmapPixelFormat, by how many channels there are."""
AXES = ("DATA_BATCH", "DATA_FEATURE", "DATA_FEATURE", "DATA_CHANNEL")
RANGES = {
    "nominalrange_0_255": (0.0, 1.0),
    "normalized_0_1": (0.0, 255.0),
    "normalized_1_1": (127.5, 127.5),
}
"""Image.NominalPixelRange -> mean and std by which pixels from 0 to 255 get there."""
LONGEST = 1 << 24
"""Characters of a list of labels that are looked at."""


def describe(model: onnx.ModelProto, details: Details) -> None:
    """Write into a model what its file will say."""
    (image,) = model.graph.input
    channels = image.type.tensor_type.shape.dim[3].dim_value
    properties = {**IMAGE_PROPERTIES, "Image.BitmapPixelFormat": PIXEL_FORMATS[channels]}
    for key, value in sorted({**details, **properties}.items()):
        model.metadata_props.add(key=key, value=value)
    image.doc_string = PIXELS[channels]
    image.type.denotation = "IMAGE"
    for axis, size in zip(AXES, image.type.tensor_type.shape.dim, strict=True):
        size.denotation = axis


def read_details(path: Path) -> dict[str, str]:
    """What a file of any origin says about itself, in the keys of `Details`; UnusableFile where it is no ONNX file."""
    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    except (DecodeError, ValueError) as error:
        raise UnusableFile(f"{path}: is no ONNX file ({error})") from error
    entries = [(entry.key, entry.value) for entry in model.metadata_props]
    props = {key: value for key, value in entries if isinstance(key, str) and isinstance(value, str)}  # bytes: no UTF-8
    details = {key: props[key] for key in KEYS if key in props and key != "labels"}
    for key in ("names", "labels"):
        labels = _read_labels(props.get(key, ""))
        if labels:
            details["labels"] = labels_text(labels)
    kinds = [value.type.tensor_type.elem_type for value in model.graph.input]
    if "mean" not in details and kinds[:1] == [onnx.TensorProto.FLOAT]:
        details |= _read_range({key.lower(): value.lower() for key, value in props.items()})
    return details


def _read_range(props: Details) -> dict[str, str]:
    """mean and std of a float input's range of pixels, where that is said."""
    if props.get("image.bitmappixelformat", "rgb8") != "rgb8" or props.get("image.nominalpixelrange") not in RANGES:
        return {}
    mean, std = RANGES[props["image.nominalpixelrange"]]
    return normalisation([mean], [std])


def _read_labels(text: str) -> list[str]:
    """A JSON list of names, or a dict of them by number in JSON or Python; nothing where it is neither."""
    if len(text) > LONGEST:
        return []
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(text)
            if isinstance(found, dict):
                found = [found[key] for key in sorted(found, key=int)]
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(found, list) and all(isinstance(name, str) for name in found):
            return found
    return []

"""What an OpenVINO IR says about itself: rt_info, where Model API and DL Streamer look under model_info.

Source: Model API 0.4.7 (model_api/models/parameters.py and classification.py), which splits labels at white space. The
exact labels and what Model API has no word for stand under edgecnn. Files of unknown origin are read as XML, with
nothing of OpenVINO's: their <!DOCTYPE> is refused, and with it entities that grow without end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from edgecnn.edge.pixels import PAD
from edgecnn.errors import UnusableFile
from edgecnn.formats import KEYS, PIXELS, Details, labels_of, labels_text, normalisation

STANDARD, OWN = "model_info", "edgecnn"
"""Sections of rt_info."""
RESIZE_TYPES = {"crop": "crop", "letterbox": "fit_to_window_letterbox", "stretch": "standard"}
"""edgecnn's resize rules in Model API's words."""
SECTION = 3
"""How deep the keys of a section lie: net, rt_info, the section, the key."""


def describe(openvino: Any, model: Any, details: Details) -> None:
    """Write into a model what its file will say."""
    (image,) = model.get_parameters()
    image.set_layout(openvino.Layout("NHWC"))
    channels = image.get_partial_shape()[3].get_length()
    answers = model.output(0).get_element_type() == openvino.Type.f32
    own, standard = {**details, "input": PIXELS[channels]}, model_info(details, answers, channels)
    for section, entries in ((OWN, own), (STANDARD, standard)):
        for key, value in sorted(entries.items()):
            model.set_rt_info(value, [section, key])


def model_info(details: Details, float_answers: bool, channels: int = 3) -> dict[str, str]:
    """The same in Model API's words. Pictures that it is given are BGR, as OpenCV has them, and the network wants RGB;
    grey ones have nothing to reverse.

    Model API takes the softmax of logits itself, in their own type: of uint8 it makes nan and a wrong label. So a file
    with such answers does not call itself a classifier there, and is refused instead (`export --answers float32`).
    """
    made = {"reverse_input_channels": "YES"} if channels == 3 else {}
    if float_answers:
        made["model_type"] = "Classification"
    if labels_of(details):
        made["labels"] = " ".join(map(_word, labels_of(details)))
    if details.get("resize") in RESIZE_TYPES:
        made["resize_type"] = RESIZE_TYPES[details["resize"]]
        if details["resize"] == "letterbox":
            made["pad_value"] = str(PAD)
    return made


def _word(label: str) -> str:
    """A label without the white space at which a list of them is split, nor what XML can't hold."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\ufffe\uffff]", "_", label) or "_"


def read_details(model: Path) -> dict[str, str]:
    """What a file of any origin says about itself, in the keys of `Details`; UnusableFile where it is no IR."""
    found = _read_sections(model)
    info = found.get(STANDARD, {})
    details: dict[str, str] = {}
    if info.get("labels"):
        details["labels"] = labels_text(info["labels"].split())
    for rule, word in RESIZE_TYPES.items():
        if info.get("resize_type") == word and (rule != "letterbox" or info.get("pad_value") == str(PAD)):
            details["resize"] = rule
    own = {key: value for key, value in found.get(OWN, {}).items() if key in KEYS}
    if not labels_of(own):
        own.pop("labels", None)
    return details | _read_normalisation(info) | own


def _read_normalisation(info: Mapping[str, str]) -> dict[str, str]:
    """Model API's mean_values and scale_values, lists of numbers for pixels from 0 to 255."""
    if "mean_values" not in info and "scale_values" not in info:
        return {}
    try:
        mean, std = (
            [float(value) for value in info.get(key, "").replace(",", " ").split()] or [default]
            for key, default in (("mean_values", 0.0), ("scale_values", 1.0))
        )
    except ValueError:
        return {}
    return normalisation(mean, std)


def _read_sections(path: Path) -> dict[str, dict[str, str]]:
    """Keys and values of each section of the file's rt_info."""
    sections: dict[str, dict[str, str]] = {}
    inside: list[str] = []

    def begin(tag: str, attributes: dict[str, str]) -> None:
        if not inside and tag != "net":
            raise ValueError(f"it begins with <{tag}>")
        if len(inside) == SECTION and inside[:2] == ["net", "rt_info"] and "value" in attributes:
            sections.setdefault(inside[2], {})[tag] = attributes["value"]
        inside.append(tag)

    def refuse(*_: object) -> None:
        raise ValueError("it declares a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda tag: inside.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except OSError as error:
        raise UnusableFile(f"{path}: can't be read ({error.strerror})") from error
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnusableFile(f"{path}: is no OpenVINO model ({error})") from error
    return sections

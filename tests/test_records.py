"""Records to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgecnn.edge.artifact import Calibration, ClassOutput, ImageInput, Manifest
from edgecnn.errors import UnusableFile
from edgecnn.records import from_json, read_json, to_json, write_json


@dataclass(frozen=True)
class Point:
    x: float
    y: float = 0.0


@dataclass(frozen=True)
class Shape:
    name: str
    points: tuple[Point, ...]
    size: tuple[int, int]
    closed: bool
    notes: Mapping[str, str]
    places: dict[str, Point] = field(default_factory=dict)
    origin: Point | None = None
    weight: float | None = None


SHAPE = Shape(
    "häuschen",
    (Point(1.5, -2.0), Point(0.1)),
    (3, 4),
    True,
    {"a": "b"},
    {"here": Point(1e-30, 1e300)},
    Point(0.0),
    None,
)


def manifest() -> Manifest:
    return Manifest(
        name="net",
        target="openvino",
        precision="int8",
        scheme="static_wi8_ai8",
        model="model.xml",
        bytes=12,
        sha256="0" * 64,
        input=ImageInput("image", 32, 48, 3, "crop"),
        output=ClassOutput("logits", "logits", "uint8", 0.125, 7),
        labels=("cat", "dog"),
        parents={"checkpoint": "1" * 64},
        versions={"edgecnn": "0.1.0"},
        companions={"model.bin": "2" * 64},
        calibration=Calibration(512, "minmax", "3" * 64),
    )


@pytest.mark.parametrize("record", [SHAPE, manifest(), Point(2.0)], ids=["nested", "manifest", "defaults"])
def test_there_and_back(record: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "record.json", record)
    assert read_json(type(record), tmp_path / "record.json") == record


def test_a_mapping_is_decoded_and_checked() -> None:
    value = to_json(manifest())
    assert from_json(Manifest, value).companions == {"model.bin": "2" * 64}
    value["companions"] = {"model.bin": 3}
    with pytest.raises(UnusableFile, match=r"companions\.model\.bin: expected str, got 3"):
        from_json(Manifest, value)
    value["companions"] = ["model.bin"]
    with pytest.raises(UnusableFile, match="companions: expected an object, got list"):
        from_json(Manifest, value)


def test_a_default_stands_in_and_unknown_keys_are_passed_over() -> None:
    assert from_json(Point, {"x": 1, "colour": "red"}) == Point(1.0, 0.0)
    assert isinstance(from_json(Point, {"x": 1}).x, float)


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in to_json(SHAPE).items() if name != key}


DAMAGED: dict[str, tuple[Any, str]] = {
    "a key is missing": (without("points"), "^points is missing$"),
    "a key is missing, deep": ({**to_json(SHAPE), "points": [{"x": 1.0}, {"y": 1.0}]}, r"^points\[1\]\.x is missing$"),
    "a word for a number": ({**to_json(SHAPE), "points": [{"x": "1"}]}, r"points\[0\]\.x: expected float, got '1'"),
    "a number for a word": ({**to_json(SHAPE), "name": 3}, "name: expected str, got 3"),
    "true for a number": ({**to_json(SHAPE), "points": [{"x": True}]}, r"points\[0\]\.x: expected float, got True"),
    "true for a count": ({**to_json(SHAPE), "size": [1, True]}, r"size\[1\]: expected int, got True"),
    "a fraction for a count": ({**to_json(SHAPE), "size": [1, 2.5]}, r"size\[1\]: expected int, got 2.5"),
    "one for true": ({**to_json(SHAPE), "closed": 1}, "closed: expected bool, got 1"),
    "too many values": ({**to_json(SHAPE), "size": [1, 2, 3]}, "size: expected 2 values, got 3"),
    "an object for a list": ({**to_json(SHAPE), "points": {}}, "points: expected a list, got dict"),
    "a list for an object": ({**to_json(SHAPE), "origin": []}, "origin: expected an object, got list"),
    "nothing for a number": ({**to_json(SHAPE), "points": [{"x": None}]}, r"points\[0\]\.x: expected float, got None"),
    "no object at all": ([1], "Shape: expected an object, got list"),
}


@pytest.mark.parametrize(("value", "said"), DAMAGED.values(), ids=DAMAGED)
def test_what_is_wrong_is_named(value: Any, said: str) -> None:
    with pytest.raises(UnusableFile, match=said):
        from_json(Shape, value)


def test_files_that_are_wrong_are_named(tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    with pytest.raises(UnusableFile, match=r"point\.json: there is no such file"):
        read_json(Point, path)
    for content in (b"", b"{", b"\xff\xfe", b'{"x": 1}}'):
        path.write_bytes(content)
        with pytest.raises(UnusableFile, match=r"point\.json: can't be read as JSON"):
            read_json(Point, path)
    path.write_text('{"x": "one"}')
    with pytest.raises(UnusableFile, match=r"point\.json: x: expected float, got 'one'"):
        read_json(Point, path)


def test_numbers_that_json_does_not_have_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "point.json", Point(float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_paths_become_text() -> None:
    assert to_json({"path": Path("a/b"), "list": [Path("c")]}) == {"path": "a/b", "list": ["c"]}


def test_written_json_is_for_people_too(tmp_path: Path) -> None:
    write_json(tmp_path / "shape.json", SHAPE)
    text = (tmp_path / "shape.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "häuschen" in text
    assert json.loads(text)["size"] == [3, 4]


def test_a_path_is_its_text(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Kept:
        folder: Path | None

    assert from_json(Kept, to_json(Kept(tmp_path))) == Kept(tmp_path)
    with pytest.raises(UnusableFile, match="folder: expected Path, got 7"):
        from_json(Kept, {"folder": 7})

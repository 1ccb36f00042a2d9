"""`inspect`: its tables on terminals of 80 and 120 columns, one layer's formulas, and two networks side by side."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgecnn.cli import show_networks
from edgecnn.verbs.inspect import InspectRecord, inspect
from edgecnn.verbs.side_by_side import side_by_side
from tests.verbs.small_runs import SmallRun, edgecnn

RECIPES = ("tiny_cifar", "ds_cifar", "mobile_cifar")


def recipe(name: str) -> str:
    return f"recipes/{name}.yaml"


def printed(show: Any, record: Any, width: int) -> list[str]:
    text = io.StringIO()
    show(Console(file=text, width=width, highlight=False, markup=False), record)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def answered(*arguments: object) -> Any:
    left = edgecnn(*arguments, "--json")
    assert left.code == 0, left.err
    return json.loads(left.out)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_and_each_layer_has_one_line(name: str, width: int) -> None:
    record = inspect(recipe(name))
    lines = printed(show_networks.inspected, record, width)
    assert max(map(len, lines)) <= width
    for row in record.layers:
        assert sum(line.split()[0] == row.name for line in lines if line) == 1, row.name
    assert {"sees", "int8", "MACs"} <= set(lines[1].split())
    assert width == 80 or {"stride", "type"} <= set(lines[1].split())


@pytest.mark.parametrize("width", [80, 120])
def test_two_side_by_side_fit(width: int) -> None:
    lines = printed(show_networks.compared, side_by_side(recipe("ds_cifar"), recipe("mobile_cifar")), width)
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("stem ") for line in lines) == 1, "both have a stem: one line"


def test_strides_and_memory_in_json() -> None:
    found = answered("inspect", recipe("tiny_cifar"))
    conv, pool = found["layers"][:2]
    assert (conv["stride"], pool["stride"]) == ([1, 1], [2, 2])
    assert (pool["activation_bytes_int8"], pool["activation_bytes_fp32"]) == (16 * 16 * 16, 4 * 16 * 16 * 16)
    assert found["peak_activation_bytes"] == {"int8": 20_480, "fp32": 81_920}, "at the first pool: 16,384 + 4,096"
    assert found["explain"] is None


def test_explain() -> None:
    left = edgecnn("inspect", recipe("tiny_cifar"), "--explain", "conv_1")
    assert left.code == 0, left.err
    assert re.search(r"parameters +F\*\(K\*K\*C\) \+ F +16\*\(3\*3\*3\) \+ 16 += 448", left.out)
    assert re.search(r"MACs +H\*W\*K\*K\*C\*F +32\*32\*3\*3\*3\*16 += 442368", left.out)
    found = answered("inspect", recipe("tiny_cifar"), "--explain", "dense_7")
    assert found["explain"]["layer"] == "dense_7"
    assert {"what": "parameters", "formula": "U*C + U", "numbers": "10*128 + 10", "result": "1290"} in found["explain"][
        "formulas"
    ]


def test_what_cannot_be_explained() -> None:
    left = edgecnn("inspect", recipe("tiny_cifar"), "--explain", "conv_2")
    assert left.code == 2
    assert "there is no layer 'conv_2'; did you mean 'conv_3'?" in left.err
    left = edgecnn("inspect", recipe("tiny_cifar"), recipe("ds_cifar"), "--explain", "conv_1")
    assert (left.code, "--explain is of one network" in left.err) == (2, True)


def test_a_recipe_beside_another() -> None:
    found = answered("inspect", recipe("tiny_cifar"), recipe("ds_cifar"))
    assert (found["a"]["params"], found["b"]["params"]) == (268_650, 170_954)
    by_what = {line["what"]: line for line in found["differences"]}
    assert by_what["params"]["difference"] == 170_954 - 268_650
    assert by_what["macs"]["ratio"] == pytest.approx(12_259_520 / 1_885_440)
    assert [row["name"] for row in found["layers"] if row["a"]][:2] == ["conv_1", "max_pool_2"]
    assert not [row for row in found["layers"] if row["a"] and row["b"]], (
        "no layer of one is called like one of the other"
    )


def test_a_network_beside_itself_differs_in_nothing() -> None:
    found = answered("inspect", recipe("tiny_cifar"), recipe("tiny_cifar"))
    assert all(row["a"] == row["b"] for row in found["layers"])
    assert all(line["difference"] == 0 for line in found["differences"])


def test_a_run_beside_its_file(small_run: SmallRun) -> None:
    """The same multiply-adds on both sides, whatever the file calls its operations."""
    file = small_run.export / "onnx-fp32/model.onnx"
    found = answered("inspect", small_run.run, file)
    assert found["a"]["macs"] == found["b"]["macs"]
    assert Path(found["b"]["given"]) == file
    left = edgecnn("inspect", file, "--explain", "conv_1")
    assert (left.code, "--explain is for recipes and runs" in left.err) == (2, True)


def test_a_wider_name_than_the_terminal_is_folded_not_lost() -> None:
    record = inspect(recipe("tiny_cifar"))
    assert isinstance(record, InspectRecord)
    assert len(printed(show_networks.inspected, record, 40)) > len(record.layers)


def test_an_export_and_a_packaged_model_by_name(small_run: SmallRun) -> None:
    """As predict, bench and eval take them: the first of their files."""
    for given in ("cifar10-ds", small_run.export):
        left = edgecnn("inspect", given)
        assert left.code == 0, left.err
        assert "model.tflite" in left.out


def test_an_engine_is_for_model_files(small_run: SmallRun) -> None:
    left = edgecnn("inspect", small_run.run, "--runtime", "litert")
    assert left.code == 2
    assert "--runtime is for model files" in left.err

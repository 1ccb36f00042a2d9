"""What scripts and people rely on: one JSON document on stdout, everything else on stderr, and no colours in files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgecnn.cli.commands import edgecnn as commands
from edgecnn.records import write_json
from tests.data.photos import photos
from tests.verbs.small_bench import record
from tests.verbs.small_runs import LABELS, SmallRun, edgecnn

REPO = Path(__file__).parents[2]
ESCAPE = re.compile(r"\x1b")


@pytest.fixture
def answers(small_run: SmallRun, finished: SmallRun) -> dict[str, tuple[object, ...]]:
    """A call of every verb, by its name; those that write do it in the working copy."""
    picture = finished.data / "test/ship/002.png"
    return {
        "new": ("new", photos(Path("photos"), 10)),
        "train": ("train", finished.recipe),
        "inspect": ("inspect", finished.recipe),
        "eval": ("eval", small_run.run),
        "export": ("export", small_run.run, "--target", "tflite", "--int8"),
        "verify": ("verify", small_run.export),
        "bench": ("bench", small_run.export / "tflite-int8", "--seconds", "0.1"),
        "compare": ("compare", *bench_records()),
        "predict": ("predict", small_run.export / "tflite-int8", picture, picture),
        "camera": ("camera", "cifar10-ds", "--source", "fake://", "--frames", "3", "--view", "web", "--port", "0"),
        "data list": ("data", "list"),
        "data get": ("data", "get", "cifar10_mini"),
        "data check": ("data", "check", finished.data),
        "devices list": ("devices", "list"),
        "devices show": ("devices", "show", "raspberry-pi-4"),
        "devices probe": ("devices", "probe", "local"),
        "doctor": ("doctor",),
    }


def bench_records() -> tuple[Path, Path]:
    """Two records of a quiet machine."""
    for name in ("a.json", "b.json"):
        write_json(Path(name), record())
    return Path("a.json"), Path("b.json")


WITH_A_DEVICE = {"devices add", "devices setup"}
"""They are called in test_devices.py."""


def verbs() -> set[str]:
    """Every command there is."""
    names = set()
    for name, command in commands.commands.items():
        inner = getattr(command, "commands", None)
        names |= {f"{name} {part}" for part in inner} if inner else {name}
    return names


def test_every_verb_is_called_here(answers: dict[str, tuple[object, ...]]) -> None:
    assert set(answers) == verbs() - WITH_A_DEVICE


# Contract, "JSON keys that scripts rely on"
KEYS = {
    "new": {"recipe", "splits", "classes", "broken", "duplicates", "bursts", "notes", "next"},
    "train": {"run", "epochs", "val_top1", "params", "macs", "images_per_s", "seconds"},
    "inspect": {"params", "macs", "layers", "peak_activation_bytes", "explain"},
    "eval": {"model", "split", "n", "top1", "top5", "per_class", "confusion"},
    "export": {"run", "seconds", "artifacts"},
    "verify": {"passed", "accuracy", "drop_pp", "ties", "parity", "failures"},
    "bench": {"device", "rows"},
    "camera": {"frames", "results", "age_p50_ms", "age_p90_ms", "stages_ms"},
}
INNER = {
    ("inspect", "layers"): {
        *("name", "type", "output", "params", "macs", "receptive_field", "stride"),
        *("activation_bytes_int8", "activation_bytes_fp32"),
    },
    ("export", "artifacts"): {"target", "precision", "path", "model", "bytes", "sha256"},
    ("verify", "parity"): {"a", "b", "n", "top1_agreement", "max_steps", "p999_steps", "exact"},
    ("bench", "rows"): {
        *("model", "runtime", "precision", "threads", "n", "min_us", "p50_us", "p90_us", "p99_us", "model_bytes"),
        *("peak_rss_mib", "arena_bytes", "valid", "notes"),
    },
}


def strict(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are none, and nothing stands behind the document."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.slow
def test_json_of_every_verb(answers: dict[str, tuple[object, ...]]) -> None:
    found = {}
    for name, arguments in answers.items():
        left = edgecnn(*arguments, "--json")
        assert left.code == 0, f"{name}: {left.err}"
        found[name] = strict(left.out)
        schema = f"edgecnn.{name.split()[0]}/1"
        for document in found[name] if name == "predict" else [found[name]]:
            assert document["schema"] == schema
    for name, keys in KEYS.items():
        assert keys <= set(found[name]), name
    for (name, key), keys in INNER.items():
        assert found[name][key], f"{name} has {key}"
        assert all(keys <= set(row) for row in found[name][key])
    check_values(found)


def check_values(found: dict[str, Any]) -> None:
    """What the keys hold."""
    train, inspect, evaluated = found["train"], found["inspect"], found["eval"]
    assert train["epochs"] == 2
    assert 0 <= train["val_top1"] <= 1
    assert Path(train["run"]).is_dir()
    assert train["params"] == inspect["params"] == sum(row["params"] for row in inspect["layers"])
    assert train["macs"] == inspect["macs"] == sum(row["macs"] for row in inspect["layers"])
    assert [len(row["output"]) for row in inspect["layers"]] == [3, 3, 1, 1]
    assert (evaluated["split"], evaluated["n"]) == ("test", 24)
    assert set(evaluated["per_class"]) == set(LABELS)
    assert sum(map(sum, evaluated["confusion"])) == 24
    right = sum(evaluated["confusion"][i][i] for i in range(3))
    assert evaluated["top1"] == pytest.approx(right / 24)
    (artifact,) = found["export"]["artifacts"]
    assert (artifact["target"], artifact["precision"]) == ("tflite", "int8")
    assert Path(artifact["path"]).is_dir()
    assert artifact["bytes"] == Path(artifact["model"]).stat().st_size
    verified = found["verify"]
    names = {f"{t}-{p}" for t in ("tflite", "onnx", "openvino") for p in ("fp32", "int8")}
    assert set(verified["accuracy"]) == {"fp32", *names}
    assert set(verified["drop_pp"]) == names
    assert verified["passed"] is (not verified["failures"])
    assert len(found["predict"]) == 2
    for row in found["predict"]:
        assert row["image"].endswith("002.png")
        assert {found["label"] for found in row["top"]} == set(LABELS)
        probabilities = [found["probability"] for found in row["top"]]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1)


@pytest.mark.slow
def test_quiet_is_silent_and_files_have_no_colours(answers: dict[str, tuple[object, ...]]) -> None:
    for name, arguments in answers.items():
        left = edgecnn(*arguments, "-q")
        assert left.code == 0, f"{name}: {left.err}"
        assert left.err == "", name
        assert left.out, name
        assert not ESCAPE.search(left.out), name


def test_progress_goes_to_stderr(finished: SmallRun) -> None:
    left = edgecnn("train", finished.recipe, "train.epochs=3")
    assert "epoch" not in left.out.splitlines()[0].split(":")[0]
    lines = [line for line in left.err.splitlines() if line.startswith("epoch")]
    assert [int(line.split()[1]) for line in lines] == [1, 2, 3], "without a terminal: a line an epoch"
    for line in lines:
        assert re.fullmatch(
            r"epoch +\d  loss \d\.\d{3}  train [ \d.]{5} %  val [ \d.]{5} %  [\d,]+ images/s  \d+ s", line
        )
    assert not ESCAPE.search(left.err)
    assert "\r" not in left.err


def test_the_first_line_names_the_run_that_was_found(small_run: SmallRun) -> None:
    left = edgecnn("eval")
    assert left.err.splitlines()[0] == f"run {small_run.run}"
    left = edgecnn("verify")
    assert str(small_run.export) in left.err.splitlines()[0]


def in_a_terminal(*arguments: str, **environment: str) -> str:
    """What a person sees whose terminal is 100 columns wide."""
    code = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    done = subprocess.run(
        [sys.executable, "-c", code, sys.executable, "-m", "edgecnn", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "TERM": "xterm-256color", "COLUMNS": "100"}
        | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_colours_are_for_terminals_that_want_them(finished: SmallRun) -> None:
    arguments = ("inspect", str(finished.recipe))
    coloured = re.compile(r"\x1b\[[0-9;]*[1-9][0-9;]*m")
    assert coloured.search(in_a_terminal(*arguments))
    plain = in_a_terminal(*arguments, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", plain)
    assert "global_average_pool" in plain


def test_labels_are_printed_as_they_are(small_run: SmallRun, finished: SmallRun) -> None:
    """Not as markup, and not as emoji."""
    path = small_run.export / "tflite-int8/manifest.json"
    manifest = json.loads(path.read_text())
    manifest["labels"] = ["[bold]cat", ":car:", "[/x]"]
    path.write_text(json.dumps(manifest))
    picture = Path("[red]picture.png")
    Image.new("RGB", (20, 20)).save(picture)
    for arguments in ((), ("--top", "1")):
        left = edgecnn("predict", small_run.export / "tflite-int8", picture, *arguments)
        assert left.code == 0, left.err
        assert str(picture) in left.out
        assert any(label in left.out for label in manifest["labels"])
    left = edgecnn("predict", small_run.export / "tflite-int8", picture)
    assert all(label in left.out for label in manifest["labels"])


@pytest.mark.slow
@pytest.mark.long
def test_nothing_is_left_behind_elsewhere(finished: SmallRun, tmp_path: Path) -> None:
    """No identifiers, no temporary files, no caches but of compiled kernels: neither edgecnn's nor its libraries'."""
    places = {"HOME": "home", "XDG_CACHE_HOME": "cache", "TMPDIR": "tmp", "XDG_CONFIG_HOME": "config"}
    for folder in places.values():
        (tmp_path / folder).mkdir(exist_ok=True)
    environment = {name: str(tmp_path / folder) for name, folder in places.items()}
    for arguments in (
        ["train", str(finished.recipe)],
        ["export"],
        ["verify"],
        ["bench", "--runtime", "litert", "--seconds", "0.1"],
        ["predict", "runs/small", str(finished.data / "test/cat/000.png")],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "edgecnn", *arguments],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    left = [path for folder in places.values() for path in (tmp_path / folder).rglob("*") if path.is_file()]
    meant = [path for path in left if "matplotlib" in path.parts or path.parent == tmp_path / "cache/edgecnn/kernels"]
    assert sorted(set(left) - set(meant)) == []


def test_names_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    """In a locale whose stdout takes UTF-8 only; JSON's escape is read back as the name."""
    made = photos(tmp_path / "photos", 1, ("cat",)) / "cat/000.png"
    name = os.fsdecode(b"caf\xe9.png")
    made.rename(tmp_path / name)
    command = [sys.executable, "-m", "edgecnn", "predict", "cifar10-ds", name, "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict", "PYTHONPATH": str(REPO)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert name in json.dumps(json.loads(done.stdout), ensure_ascii=False)

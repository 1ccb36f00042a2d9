"""What a person gets wrong, or finds broken: one clear sentence, the right exit code, nothing half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from edgecnn.train.checkpoint import read_state
from tests.cli.conftest import Disk
from tests.verbs.small_runs import LAYERS, Left, SmallRun, class_folders, edgecnn, recipe, tree

REPO = Path(__file__).parents[2]


def refused(left: Left, code: int, *words: str) -> None:
    """One sentence for a person on stderr, with these words in it, and nothing on stdout."""
    assert left.code == code, f"exit {left.code} instead of {code}\n{left.err}"
    assert left.out == ""
    assert "Traceback" not in left.err
    said = [line for line in left.err.splitlines() if line.startswith("error: ")]
    assert len(said) == 1, left.err
    for word in words:
        assert word in said[0], f"'{word}' is not in: {said[0]}"


def python(code: str, *arguments: object) -> Left:
    """Run code in another Python, in this folder."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",  # OpenVINO writes what it could not parse, as it is
        check=False,
    )
    return Left(done.returncode, done.stdout, done.stderr)


CLI = "from edgecnn.cli import main; main()"


@pytest.fixture
def nothing_written(tmp_path: Path) -> Iterator[None]:
    """The folder looks the same before and after the test's body, hidden files included."""
    started = tree(Path.cwd())
    yield
    assert sorted(tree(Path.cwd())) == sorted(started)


# --- recipes ---------------------------------------------------------------------------------------------------------


def place_of(path: Path, word: str) -> str:
    """`file:line:column` of the first time `word` stands in a file, counted by hand."""
    before = path.read_text().split(word)[0]
    return f"{path}:{before.count(chr(10)) + 1}:{len(before) - (before.rfind(chr(10)) + 1) + 1}"


def changed(finished: SmallRun, old: str, new: str) -> Path:
    """The good recipe with one thing written otherwise."""
    text = finished.recipe.read_text()
    assert old in text
    path = Path("changed.yaml")
    path.write_text(text.replace(old, new, 1))
    return path


WRONG_RECIPES = {
    "unknown key": ("batch: 16", "batchs: 16", "batchs", ("unknown key 'batchs'", "did you mean 'batch'?")),
    "unknown section": ("quantize:", "quantise:", "quantise", ("unknown key 'quantise'", "did you mean 'quantize'?")),
    "wrong type": ("epochs: 2", "epochs: many", "epochs", ("train.epochs", "integer", "'many'")),
    "out of range": ("batch: 16", "batch: 1", "batch: 1", ("train.batch", "greater than or equal to 2", "got 1")),
    "unknown layer": (
        "- global_average_pool",
        "- global_avrage_pool",
        "global_avrage_pool",
        ("unknown layer 'global_avrage_pool'", "did you mean 'global_average_pool'?"),
    ),
    "unknown value of a layer": (
        "{units: 3}",
        "{unit: 3, units: 3}",
        "unit: 3",
        ("unknown key 'unit'", "did you mean 'units'?"),
    ),
    "not YAML": ("{units: 3}", "{units: 3", "train:", ("not valid YAML",)),
}


@pytest.mark.usefixtures("finished")
@pytest.mark.parametrize("case", WRONG_RECIPES)
@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_wrong_recipe(finished: SmallRun, case: str, verb: str) -> None:
    old, new, word, said = WRONG_RECIPES[case]
    path = changed(finished, old, new)
    started = tree(Path.cwd())
    where = f"{path}:" if case == "not YAML" else place_of(path, word)
    refused(edgecnn(verb, path), 2, where, *said)
    assert tree(Path.cwd()) == started


def test_every_problem_is_said_at_once(finished: SmallRun) -> None:
    path = changed(finished, "batch: 16", "batchs: 16")
    path.write_text(path.read_text().replace("epochs: 2", "epochs: many").replace("- conv:", "- cnov:", 1))
    left = edgecnn("train", path)
    assert (left.code, left.out) == (2, "")
    assert "error: 3 problems in the recipe:" in left.err
    for word in ("batchs", "epochs: many", "cnov"):
        assert place_of(path, word) in left.err
    assert "runs" not in os.listdir()


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.epoch=3", ("unknown key 'epoch'", "did you mean 'epochs'?", "train.epoch=3")),
        ("train.epochs=three", ("train.epochs", "integer", "'three'")),
        ("epochs", ("'epochs' is no override", "KEY=VALUE")),
        ("train.augment=[crop", ("train.augment=[crop", "not valid YAML")),
        ("train=5", ("train",)),
        ("train..epochs=5", ("train..epochs",)),
        ("model.layers.0.conv.filters=4", ("model.layers",)),
    ],
)
@pytest.mark.usefixtures("nothing_written")
def test_wrong_override(finished: SmallRun, setting: str, words: tuple[str, ...]) -> None:
    refused(edgecnn("train", finished.recipe, setting), 2, *words)


@pytest.mark.usefixtures("nothing_written")
def test_unknown_recipe_names_the_nearest() -> None:
    refused(edgecnn("train", "recipes/quikstart.yaml"), 3, "recipes/quikstart.yaml", "did you mean 'quickstart'?")
    refused(edgecnn("inspect", "quikstart"), 3, "did you mean 'quickstart'?")


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_unknown_source(finished: SmallRun, verb: str) -> None:
    path = changed(finished, f"folder: {finished.data}", "source: cifar10_mni")
    refused(edgecnn(verb, path), 2, place_of(path, "source"), "cifar10_mni", "did you mean 'cifar10_mini'?")
    assert os.listdir() == [path.name]


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_unknown_architecture(finished: SmallRun, verb: str) -> None:
    path = changed(finished, f"model:\n  layers:{LAYERS}", "model: {arch: ds_cn}\n")
    refused(edgecnn(verb, path), 2, place_of(path, "arch"), "'ds_cn'", "did you mean 'ds_cnn'?")


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_net_that_does_not_fit_the_classes(finished: SmallRun, verb: str) -> None:
    path = changed(finished, "{units: 3}", "{units: 7}")
    refused(edgecnn(verb, path), 2, place_of(path, "layers"), "[7]", "3 classes", "dense: {units: 3}")
    assert os.listdir() == [path.name]


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_layers_that_do_not_fit_each_other(finished: SmallRun, verb: str) -> None:
    path = changed(finished, "    - conv", "    - flatten\n    - conv")
    refused(edgecnn(verb, path), 2, place_of(path, "layers"), "conv_2", "before flatten")


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_written")
def test_missing_data() -> None:
    refused(edgecnn("train", "recipes/tiny_cifar.yaml"), 3, "cifar10", "edgecnn data get", "--data", "cifar10_mini")


def test_missing_folder(finished: SmallRun) -> None:
    path = changed(finished, str(finished.data), "nowhere/pictures")
    refused(edgecnn("train", path), 3, "nowhere/pictures", "data.folder")
    assert os.listdir() == [path.name]


def pictures(finished: SmallRun) -> Path:
    """A copy of the pictures, to damage, and a recipe for them in the same folder."""
    shutil.copytree(finished.data, "pictures")
    recipe(Path("small.yaml"), "pictures")
    return Path("pictures")


def test_truncated_picture(finished: SmallRun) -> None:
    broken = pictures(finished) / "train/ship/003.png"
    broken.write_bytes(broken.read_bytes()[:300])
    refused(edgecnn("train", "small.yaml"), 3, "train/ship/003.png", "truncated", "edgecnn data check")
    assert sorted(os.listdir()) == ["pictures", "small.yaml"]


def test_one_class_only(finished: SmallRun) -> None:
    folder = pictures(finished)
    for label in ("ship", "truck"):
        shutil.rmtree(folder / "train" / label)
    refused(edgecnn("train", "small.yaml"), 3, "pictures/train", "at least two classes", "'cat'")
    assert sorted(os.listdir()) == ["pictures", "small.yaml"]


def test_fewer_pictures_than_a_batch() -> None:
    class_folders(Path("pictures"), train=4, test=1)
    recipe(Path("small.yaml"), "pictures")
    refused(edgecnn("train", "small.yaml"), 2, "9 training pictures", "one batch of 16", "train.batch=2")
    assert sorted(os.listdir()) == ["pictures", "small.yaml"]


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize("verb", ["export", "verify", "eval"])
def test_no_runs_at_all(verb: str) -> None:
    refused(edgecnn(verb), 2, "runs/", "edgecnn train")


@pytest.mark.parametrize("verb", ["export", "eval"])
def test_run_without_a_checkpoint(small_run: SmallRun, verb: str) -> None:
    shutil.rmtree(small_run.run / "checkpoints")
    started = tree(Path.cwd())
    refused(edgecnn(verb, small_run.run), 3, "runs/small", "no finished checkpoint", "edgecnn train runs/small")
    assert tree(Path.cwd()) == started


def test_run_without_an_export(small_run: SmallRun) -> None:
    shutil.rmtree(small_run.run / "export")
    for arguments in (("verify", small_run.run), ("verify",), ("predict", small_run.run, "x.png")):
        refused(edgecnn(*arguments), 3, "runs/small", "nothing was exported", "edgecnn export runs/small")


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("model.safetensors", None, ("model.safetensors", "damaged")),
        ("model.safetensors", b"", ("model.safetensors", "damaged")),
        ("state.json", b"\x00\xff garbage", ("state.json", "can't be read as JSON")),
        ("state.json", b"[1, 2]", ("state.json", "expected an object")),
        ("state.json", b'{"epoch": 2}', ("state.json", "val_top1 is missing")),
    ],
)
@pytest.mark.parametrize("verb", ["export", "eval", "train"])
def test_damaged_checkpoint(
    small_run: SmallRun, verb: str, file: str, content: bytes | None, words: tuple[str, ...]
) -> None:
    for kept in ("best", "last", "previous"):
        path = small_run.run / "checkpoints" / kept / file
        path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    started = tree(Path.cwd())
    refused(edgecnn(verb, small_run.run), 3, *words)
    assert tree(Path.cwd()) == started


def test_damaged_resolved_recipe(small_run: SmallRun) -> None:
    path = small_run.run / "resolved.yaml"
    path.write_text(path.read_text().replace("]", "", 1))
    left = edgecnn("export", small_run.run)
    assert left.code == 2
    assert f"{path}:" in left.err
    assert "Traceback" not in left.err


@pytest.mark.parametrize("verb", ["export", "train", "eval"])
def test_classes_renamed_since_training(finished: SmallRun, verb: str) -> None:
    """As many classes as before, but other ones: the labels would be lies."""
    folder = pictures(finished)
    assert edgecnn("train", "small.yaml", "train.epochs=1").code == 0
    for split in ("train", "test"):
        (folder / split / "cat").rename(folder / split / "wasp")
    refused(edgecnn(verb, "runs/small"), 2, "wasp", "cat")


def test_a_run_goes_on_as_it_began(small_run: SmallRun) -> None:
    started = tree(Path.cwd())
    refused(edgecnn("train", small_run.run, "train.epochs=9"), 2, "runs/small", "train.epochs")
    assert tree(Path.cwd()) == started


@pytest.mark.usefixtures("nothing_written")
def test_unknown_target_and_split(finished: SmallRun) -> None:
    left = edgecnn("export", finished.run, "--target", "tflit", "--out", "made")
    assert left.code == 2
    assert "'tflit' is none of tflite, onnx, openvino" in left.err
    assert edgecnn("eval", finished.run, "--split", "tset").code == 2
    assert edgecnn("exprt").code == 2


@pytest.mark.slow
def test_out_that_is_something_else(finished: SmallRun) -> None:
    Path("letters").mkdir()
    Path("letters/mother.txt").write_text("dear")
    Path("file").write_text("dear")
    started = tree(Path.cwd())
    for out in ("letters", "file", "file/below"):
        refused(edgecnn("export", finished.run, "--target", "tflite", "--out", out), 2, out)
    assert tree(Path.cwd()) == started


def test_runs_is_a_file(finished: SmallRun) -> None:
    Path("runs").write_text("a file")
    refused(edgecnn("train", finished.recipe), 2, "runs")
    assert Path("runs").read_text() == "a file"


# --- predict and verify ----------------------------------------------------------------------------------------------


@pytest.fixture
def picture() -> Path:
    path = Path("cat.jpg")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)).save(path)
    return path


def test_predict_with_a_picture_that_cannot_be_used(finished: SmallRun, picture: Path) -> None:
    Path("cut.jpg").write_bytes(picture.read_bytes()[:-900])
    Path("text.jpg").write_text("this is a letter, not a picture")
    Path("empty.jpg").touch()
    Path("folder.jpg").mkdir()
    for name, word in [
        ("none.jpg", "No such file"),
        ("cut.jpg", "truncated"),
        ("text.jpg", "unknown type"),
        ("empty.jpg", "empty"),
        ("folder.jpg", "a folder without pictures"),
    ]:
        refused(edgecnn("predict", finished.export / "tflite-int8", name), 3, name, word)


def copied(finished: SmallRun, name: str) -> Path:
    shutil.copytree(finished.export / name, name)
    return Path(name)


def test_model_that_was_changed(finished: SmallRun, picture: Path) -> None:
    for target, file in [("tflite-int8", "model.tflite"), ("onnx-fp32", "model.onnx"), ("openvino-int8", "model.bin")]:
        path = copied(finished, target) / file
        path.write_bytes(path.read_bytes()[:-1])
        refused(edgecnn("predict", target, picture), 3, file, "SHA-256", "export it again")


def damaged(content: bytes, how: str) -> bytes:
    if how == "random":
        return np.random.default_rng(1).bytes(len(content))
    if how == "random behind the magic":
        return content[:64] + np.random.default_rng(1).bytes(len(content) - 64)
    return content[: int(len(content) * float(how))]


HOWS = ["0", "0.1", "0.5", "0.9", "0.95", "random", "random behind the magic"]


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("target", "file"), [("tflite-int8", "model.tflite"), ("onnx-int8", "model.onnx"), ("openvino-int8", "model.xml")]
)
def test_damaged_model_that_the_engine_must_refuse(
    finished: SmallRun, picture: Path, target: str, file: str, how: str
) -> None:
    """The manifest is made to say that the damaged file is right. In another process, for engines may crash."""
    folder = copied(finished, target)
    content = damaged((folder / file).read_bytes(), how)
    (folder / file).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(python(CLI, "predict", folder, picture), 3, f"{target}/{file}", "can't open it")


def test_manifest_missing_or_damaged(finished: SmallRun, picture: Path) -> None:
    folder = copied(finished, "tflite-int8")
    whole = (folder / "manifest.json").read_text()
    (folder / "manifest.json").unlink()
    for given in (folder, folder / "model.tflite"):
        refused(edgecnn("predict", given, picture), 3, "tflite-int8", "manifest.json")
    for content, word in [("{", "JSON"), (whole.replace('"labels"', '"label"'), "labels is missing"), ("7", "object")]:
        (folder / "manifest.json").write_text(content)
        refused(edgecnn("predict", folder, picture), 3, "manifest.json", word)


def test_unknown_artifact(picture: Path) -> None:
    refused(edgecnn("predict", "cifar10-sd", picture), 2, "cifar10-sd", "no such artifact")
    refused(edgecnn("predict", "runs/gone/export", picture), 2, "runs/gone/export")


def test_unknown_runtime(finished: SmallRun, picture: Path) -> None:
    left = edgecnn("predict", finished.export / "tflite-int8", picture, "--runtime", "litrt")
    refused(left, 2, "'litrt'", "did you mean 'litert'?")
    left = edgecnn("predict", finished.export / "tflite-int8", picture, "--runtime", "onnxruntime")
    refused(left, 2, "onnxruntime", "tflite")


def test_verify_of_what_is_no_export(finished: SmallRun) -> None:
    Path("folder").mkdir()
    Path("file.txt").write_text("text")
    refused(edgecnn("verify", "folder"), 3, "folder", "is no export", "edgecnn export")
    refused(edgecnn("verify", "file.txt"), 3, "file.txt", "is no export")
    refused(edgecnn("verify", "gone"), 2, "gone", "no such run or export")


def test_verify_with_files_gone(small_run: SmallRun) -> None:
    (small_run.export / "onnx-int8/model.onnx").unlink()
    refused(edgecnn("verify", small_run.run), 3, "onnx-int8/model.onnx", "is missing")
    (small_run.export / "int8.onnx").unlink()
    refused(edgecnn("verify", small_run.run), 3, "int8.onnx", "is missing", "export again")
    assert not (small_run.export / "certificate.json").exists()


# --- disks -----------------------------------------------------------------------------------------------------------


def hidden(folder: Path) -> list[Path]:
    """What writing leaves behind when it is not cleaned up."""
    return list(folder.rglob(".*"))


@pytest.mark.slow
@pytest.mark.long
def test_full_disk_while_training(finished: SmallRun, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Disks two pages larger each time, so that most writes meet a full one; with room again each run goes on to the
    same weights."""
    expected = (finished.run / "checkpoints/last/model.safetensors").read_bytes()
    stopped = set()
    for pages in range(1, 60, 2):
        place = disk(f"size={4096 * pages}")
        monkeypatch.chdir(place)
        left = edgecnn("train", finished.recipe)
        assert hidden(place) == []
        if left.code == 0:
            break
        refused(left, 5, "the disk", "free some space and run it again")
        stopped.add(left.err.splitlines()[-1])
        runs = list(place.glob("runs/*"))
        for run in runs:
            assert {"recipe.yaml", "resolved.yaml"} <= set(os.listdir(run)), "a run folder is there whole, or not"
            for kept in run.glob("checkpoints/*"):
                assert len(os.listdir(kept)) == 3
        disk("size=4m")
        if runs:
            assert edgecnn("train", runs[0]).code == 0
            assert (runs[0] / "checkpoints/last/model.safetensors").read_bytes() == expected
            assert len((runs[0] / "metrics.jsonl").read_text().splitlines()) == 2
        shutil.rmtree("runs")
    assert len(stopped) >= 4, "one write only was met: the sizes are wrong"


@pytest.mark.slow
@pytest.mark.long
def test_full_disk_while_exporting(finished: SmallRun, disk: Disk) -> None:
    place = disk("size=4m")
    assert edgecnn("export", finished.run, "--target", "tflite", "--out", place / "first").code == 0
    started = tree(place)
    used = sum(4096 * -(-len(content) // 4096) for content in started.values() if content is not None)
    failed = 0
    for more in range(8, 400, 24):
        disk(f"size={used + 1024 * more}")
        left = edgecnn("export", finished.run, "--out", place / "second")
        if left.code == 0:
            break
        refused(left, 5, "the disk is full")
        assert tree(place) == started
        failed += 1
    assert failed >= 4, "the sizes are wrong"
    assert left.code == 0, "room enough at last"
    assert hidden(place) == []


@pytest.mark.slow
def test_full_disk_where_temporary_files_go(finished: SmallRun, disk: Disk) -> None:
    place = disk("size=12k")
    environment = f"import os; os.environ['TMPDIR'] = {str(place)!r};"
    left = python(environment + CLI, "export", finished.run, "--out", "made")
    refused(left, 5, "the disk is full")
    assert os.listdir() == []
    assert os.listdir(place) == []


@pytest.mark.slow
def test_answer_to_a_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edgecnn", "inspect", "quickstart"],
            env={**os.environ, "PYTHONPATH": str(REPO)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    refused(Left(done.returncode, "", done.stderr), 5, "full")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_answer_that_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "edgecnn", "devices", "list"],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_read_only_disk(finished: SmallRun, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    place = disk("size=1m")
    disk("ro")
    refused(edgecnn("export", finished.run, "--target", "tflite", "--out", place / "made"), 2, "Read-only", "made")
    monkeypatch.chdir(place)
    refused(edgecnn("train", finished.recipe), 2, "runs", "Read-only", "another folder")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_forbidden_folder(finished: SmallRun, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Root may write anywhere, so the refusal is played."""
    started = tree(finished.run)

    def refuse(*arguments: object, **named: object) -> str:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkdtemp", refuse)
        refused(edgecnn("export", finished.run, "--target", "tflite"), 2, "export", os.strerror(number))
    with monkeypatch.context() as patched:
        patched.setattr(tempfile, "mkstemp", refuse)
        refused(edgecnn("train", finished.recipe), 2, "small", os.strerror(number))
    assert os.listdir() in ([], ["runs"])
    assert tree(Path.cwd()) in ({}, {"runs": None})
    assert tree(finished.run) == started


# --- training that goes wrong ----------------------------------------------------------------------------------------

PLAIN = """
    - conv: {filters: 8, kernel: 3, stride: 2, activation: relu}
    - conv: {filters: 16, kernel: 3, stride: 2, activation: relu}
    - flatten
    - dense: {units: 3}
"""


def test_training_that_diverges(finished: SmallRun) -> None:
    """Two good epochs, then a rate that no net without batch norm survives for long."""
    recipe(Path("small.yaml"), finished.data, layers=PLAIN)
    assert edgecnn("train", "small.yaml", "train.epochs=2").code == 0
    resolved = Path("runs/small/resolved.yaml")
    resolved.write_text(resolved.read_text().replace("epochs: 2", "epochs: 9").replace("lr0: 0.1", "lr0: 100.0"))
    left = edgecnn("train", "runs/small")
    refused(left, 6, "the loss became nan in epoch", "step", "learning rate", "train/", "13 more", "train.lr0", "100")
    state = read_state(Path("runs/small/checkpoints/last"))
    assert f"in epoch {state.epoch + 1}, " in left.err
    assert f"the checkpoint of epoch {state.epoch} is kept" in left.err
    for kept in ("last", "previous", "best"):
        weights = load_file(Path("runs/small/checkpoints", kept, "model.safetensors"))
        assert all(bool(np.isfinite(value).all()) for value in weights.values())
    assert len(Path("runs/small/metrics.jsonl").read_text().splitlines()) == state.epoch
    assert hidden(Path.cwd()) == []


def test_divergence_in_the_first_epoch(finished: SmallRun) -> None:
    recipe(Path("small.yaml"), finished.data, layers=PLAIN)
    left = edgecnn(
        "train", "small.yaml", "train.lr0=100", "train.warmup_epochs=0", "train.momentum=0.999", "train.batch=2"
    )
    refused(left, 6, "the loss became", "epoch 1", "train.lr0")
    assert "checkpoint" not in left.err, "there is none yet that could be kept"
    assert not list(Path("runs").rglob("checkpoints/*"))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_training_that_is_stopped(finished: SmallRun, number: signal.Signals, code: int) -> None:
    """Three times, at moments that differ; each time the run goes on from what is there."""
    recipe(Path("small.yaml"), finished.data)
    given: object = "small.yaml"
    epochs = 0
    for moment in (0.05, 0.11, 0.17):
        process = subprocess.Popen(
            [sys.executable, "-m", "edgecnn", "train", str(given), *(["train.epochs=90000"] if not epochs else [])],
            env={**os.environ, "PYTHONPATH": str(REPO), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch"):
                break
        time.sleep(moment)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, "".join(said) + err
        assert out == ""
        assert "Traceback" not in err
        assert "`edgecnn train runs/small` goes on" in err
        assert err.splitlines()[-1].startswith("stopped")
        assert hidden(Path.cwd()) == []
        given = Path("runs/small")
        before, epochs = epochs, json.loads((given / "checkpoints/last/state.json").read_text())["epoch"]
        assert epochs > before
        assert edgecnn("eval", given).code == 0


# --- what is not installed -------------------------------------------------------------------------------------------

BLOCK = """
import sys
from importlib.machinery import PathFinder

names = sys.argv.pop(1).split(",")
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.split(".")[0] in names else find(name, *rest)
"""

MISSING = [
    ("torch", ("train", "RECIPE"), "train"),
    ("safetensors", ("train", "RECIPE"), "train"),
    ("matplotlib", ("train", "RECIPE"), "train"),
    ("torch", ("export", "RUN"), "export"),
    ("onnx", ("export", "RUN"), "export"),
    ("onnxscript", ("export", "RUN"), "export"),
    ("onnxruntime", ("export", "RUN", "--target", "tflite"), "onnx"),
    ("safetensors", ("export", "RUN"), "export"),
    ("flatbuffers", ("export", "RUN", "--target", "tflite"), "tflite"),
    ("openvino", ("export", "RUN", "--target", "openvino"), "openvino"),
    ("ai_edge_litert,tflite_runtime", ("export", "RUN", "--target", "tflite"), "tflite"),
    ("onnx", ("verify", "EXPORT"), "export"),
    ("onnxruntime", ("verify", "EXPORT"), "onnx"),
    ("openvino", ("verify", "EXPORT"), "openvino"),
    ("torch", ("eval", "RUN"), "train"),
    ("onnx", ("inspect", "EXPORT/onnx-int8"), "export"),
    ("onnxruntime,openvino", ("inspect", "EXPORT/onnx-int8"), "onnx"),
    ("ai_edge_litert,tflite_runtime", ("predict", "EXPORT/tflite-int8", "PICTURE"), "tflite"),
    ("onnxruntime,openvino", ("predict", "EXPORT/onnx-int8", "PICTURE"), "onnx"),
    ("openvino", ("predict", "EXPORT/openvino-int8", "PICTURE"), "openvino"),
]


def filled(finished: SmallRun, arguments: tuple[str, ...]) -> list[str]:
    places = {"RECIPE": finished.recipe, "RUN": finished.run, "EXPORT": finished.export}
    places["PICTURE"] = finished.data / "test/cat/000.png"
    words = []
    for argument in arguments:
        for name, path in places.items():
            argument = argument.replace(name, str(path)) if argument.isupper() or "/" in argument else argument
        words.append(argument)
    return words


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_written")
@pytest.mark.parametrize(("library", "arguments", "extra"), MISSING, ids=[f"{a[0]}-{m}" for m, a, _ in MISSING])
def test_missing_extra(finished: SmallRun, library: str, arguments: tuple[str, ...], extra: str) -> None:
    words = filled(finished, arguments)
    left = python(BLOCK + CLI, library, *words)
    refused(left, 2, "not installed", f"pip install 'edgecnn[{extra}]'")


@pytest.mark.slow
def test_what_works_without_extras(finished: SmallRun) -> None:
    """Everything but the runtime is blocked."""
    heavy = "torch,safetensors,matplotlib,onnx,onnxscript,onnxruntime,flatbuffers,openvino"
    for arguments in [
        ("predict", "EXPORT/tflite-int8", "PICTURE"),
        ("eval", "EXPORT/tflite-int8"),
        ("inspect", "RECIPE"),
        ("inspect", "RUN"),
        ("data", "list"),
        ("devices", "list"),
        ("doctor",),
    ]:
        left = python(BLOCK + CLI, heavy, *filled(finished, arguments), "--json")
        assert left.code == 0, left.err
        json.loads(left.out)

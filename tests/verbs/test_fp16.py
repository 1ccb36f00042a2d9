"""fp16 files in every verb: each planted fault turns verify red, and the others run them like any other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import edgecnn
from edgecnn import formats
from edgecnn.cli import main
from edgecnn.edge.artifact import read_manifest
from edgecnn.errors import UnusableFile
from edgecnn.inspection.report import FileInspectRecord
from edgecnn.measuring.measurement import BenchRecord
from edgecnn.proof.parity import LayerReport
from edgecnn.verbs import verify as verifying
from edgecnn.verbs.bench import bench
from edgecnn.verbs.inspect import inspect
from edgecnn.verbs.train import train
from edgecnn.verbs.verify import verify
from tests.verbs.plant import HALF_PLANTERS
from tests.verbs.small_runs import SmallRun, class_folders, recipe
from tests.verbs.small_runs import edgecnn as command

TARGETS = sorted(formats.all_formats())
SIZE = 16
FAULTS = [("one weight", "0"), ("one weight", "2"), ("a layer", "0"), ("a layer", "2"), ("a layer", "6")]
"""A twentieth of one weight of the dense layer is less than rounding may come to; only the hash tells of it."""
IMAGES = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE, 3), dtype=np.uint8)


def net() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.ReLU6(),
        torch.nn.Conv2d(8, 8, 3, padding=1, groups=8),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 5),
    ).eval()


def export_to(folder: Path, module: torch.nn.Module) -> Path:
    options = {"input_size": SIZE, "calibration": IMAGES, "mean": (0.5,) * 3, "std": (0.25,) * 3, "fp16": True}
    edgecnn.export(module, out=folder, **options)  # type: ignore[arg-type]
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_to(tmp_path_factory.mktemp("half") / "export", net())


@pytest.fixture
def export(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "export"))


def only(folder: Path, name: str) -> None:
    about = json.loads((folder / "export.json").read_text())
    about["artifacts"] = [name]
    (folder / "export.json").write_text(json.dumps(about))


def test_its_manifest_says_fp16(exported: Path) -> None:
    for target in TARGETS:
        manifest = read_manifest(exported / f"{target}-fp16")
        assert (manifest.precision, manifest.scheme, manifest.output.dtype) == ("fp16", "fp16", "float32")
        assert "fp16.onnx" in manifest.parents


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("fault", "layer"), FAULTS)
def test_a_planted_fault_is_named_and_leaves_with_7(
    export: Path, target: str, layer: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    only(export, f"{target}-fp16")
    HALF_PLANTERS[target][fault](export / f"{target}-fp16", layer)
    with pytest.raises(SystemExit) as left:
        main(["verify", str(export), "--json"])
    assert left.value.code == 7
    answer = json.loads(capsys.readouterr().out)
    wrong = [check["layer"] for check in answer["layers"][0]["layers"] if check["reason"] is not None]
    assert wrong == [layer]
    assert any(f"layer '{layer}'" in failure and "of the largest value" in failure for failure in answer["failures"])


@pytest.mark.parametrize("target", TARGETS)
def test_the_whole_network_is_held_by_itself(export: Path, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no layer is looked at."""
    name = f"{target}-fp16"
    only(export, name)
    monkeypatch.setattr(verifying, "check_layers", lambda *_: LayerReport(name, ()))
    assert verify(export).passed
    HALF_PLANTERS[target]["a layer"](export / name, "6")
    certificate = verify(export)
    failures = [failure for failure in certificate.failures if "SHA-256" not in failure and "changed" not in failure]
    assert len(failures) == 1
    assert failures[0].startswith(f"{name}: differs from fp32.onnx by")


def test_another_graph_than_the_exported_one_is_refused(export: Path) -> None:
    (export / "fp16.onnx").write_bytes((export / "fp32.onnx").read_bytes())
    with pytest.raises(UnusableFile, match=r"fp16\.onnx: is not the file that was exported"):
        verify(export)


def test_values_beyond_fp16_are_one_sentence_and_leave_nothing(tmp_path: Path) -> None:
    large = net()
    with torch.no_grad():
        large[0].weight.mul_(3e4)
        large[0].bias.mul_(0.0)
    large[1] = torch.nn.ReLU()
    with pytest.raises(
        UnusableFile, match=r"^layer '0': its values reach -?\d.* and fp16 ends at 65504; export --fp32$"
    ):
        export_to(tmp_path / "export", large)
    assert not (tmp_path / "export").exists()


# --- every other verb ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    """A run whose recipe asks for fp16 files and nothing else, exported by its recipe's word."""
    folder = tmp_path_factory.mktemp("run")
    data = class_folders(folder / "pictures")
    asking = recipe(folder / "small.yaml", data)
    asking.write_text(asking.read_text() + "export: {precisions: [fp16]}\n")
    made = SmallRun(data, asking, folder / "runs/small", folder / "runs/small/export/first")
    train(made.recipe, root=folder / "runs")
    left = command("export", made.run, "--out", made.export)
    assert left.code == 0, left.err
    return made


def test_a_recipe_asks_for_fp16(run: SmallRun) -> None:
    names = {f"{target}-fp16" for target in TARGETS}
    assert {path.parent.name for path in run.export.glob("*/manifest.json")} == names
    assert not (run.export / "int8.onnx").exists()
    left = command("verify", run.export)
    assert left.code == 0, left.err
    assert all(name in left.out for name in names)


@pytest.mark.parametrize("target", TARGETS)
def test_eval_and_predict_run_it(run: SmallRun, target: str) -> None:
    file = run.export / f"{target}-fp16"
    left = command("eval", file, "--json")
    assert left.code == 0, left.err
    assert json.loads(left.out)["n"] == 24
    picture = next((run.data / "test").rglob("*.png"))
    left = command("predict", file, picture, "--json")
    assert left.code == 0, left.err


def test_bench_times_it_and_reads_its_precision(run: SmallRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    record = bench(run.export, seconds=0.1)
    assert isinstance(record, BenchRecord)
    assert {(row.target, row.precision) for row in record.rows} == {(target, "fp16") for target in TARGETS}


@pytest.mark.parametrize("target", TARGETS)
def test_inspect_finds_nothing_slow_in_it(run: SmallRun, target: str) -> None:
    """The DEQUANTIZE of TFLite's fp16 weights, and ONNX's two Casts, are no operations off the fast path."""
    found = inspect(run.export / f"{target}-fp16")
    assert isinstance(found, FileInspectRecord)
    assert not [finding for finding in found.findings if finding.rule in ("float_islands", "off_the_fast_path")]


@pytest.mark.parametrize("target", TARGETS)
def test_the_camera_runs_it(run: SmallRun, target: str) -> None:
    file = run.export / f"{target}-fp16"
    left = command("camera", file, "--source", run.data / "test", "--view", "none", "--frames", "3", "--json")
    assert left.code == 0, left.err

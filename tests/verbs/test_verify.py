"""verify on the packaged model: it passes as it is, and every planted fault turns it red, with the layer's name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgecnn.cli import main
from edgecnn.errors import UnusableFile
from edgecnn.graph.edit import from_onnx
from edgecnn.graph.program import read_program
from edgecnn.graph.reference import Reference
from edgecnn.packaged import find_model
from edgecnn.verbs.verify import verify
from tests.verbs.plant import PLANTERS
from tests.verbs.small_runs import edgecnn

LAYERS = {
    "weight scale doubled": "block4_pointwise",
    "zero point moved": "block3/pointwise",
    "padding changed": "block4_depthwise",
    "channels permuted": "block5/pointwise",
}


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """The packaged model's export, on the bundled pictures instead of the whole of CIFAR-10."""
    source = find_model("cifar10-ds")
    assert source is not None
    folder = tmp_path / "export"
    shutil.copytree(source, folder)
    about = json.loads((folder / "export.json").read_text())
    about["data"]["source"] = "cifar10_mini"
    about["limits"] = {"drop_pp": 1.0, "agreement": 0.99}  # the recipe's 0.3 points would be 3 of these 1,000 pictures
    (folder / "export.json").write_text(json.dumps(about))
    return folder


def only(folder: Path, *names: str) -> None:
    """Leave only some artifacts in an export."""
    about = json.loads((folder / "export.json").read_text())
    about["artifacts"] = list(names)
    (folder / "export.json").write_text(json.dumps(about))


@pytest.mark.slow
def test_packaged_model_passes_on_the_bundled_pictures(export: Path) -> None:
    certificate = verify(export)
    assert certificate.passed, certificate.failures
    assert certificate.n == 1000
    assert json.loads((export / "certificate.json").read_text())["passed"] is True
    grid = certificate.logit_grid
    assert grid is not None
    assert grid.levels >= 64
    for pair in certificate.parity:
        if "openvino-int8" not in (pair.a, pair.b):
            assert pair.within_1 >= 0.9999
            assert pair.max_steps <= 2
            assert pair.top1_agreement >= 0.999


@pytest.mark.slow
@pytest.mark.parametrize("target", sorted(PLANTERS))
@pytest.mark.parametrize("fault", sorted(LAYERS))
def test_planted_fault_is_named(export: Path, target: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    layer = LAYERS[fault]
    only(export, f"{target}-int8")
    PLANTERS[target][fault](export / f"{target}-int8", layer)
    with pytest.raises(SystemExit) as left:
        main(["verify", str(export), "--json"])
    assert left.value.code == 7
    answer = json.loads(capsys.readouterr().out)
    assert answer["passed"] is False
    first = next(layer for layer in answer["layers"][0]["layers"] if layer["reason"] is not None)
    assert first["layer"] == layer
    assert any(f"layer '{layer}'" in failure for failure in answer["failures"])


def test_faults_lie_where_the_grid_is_used(export: Path) -> None:
    """A fault in a layer that uses few levels could hide in rounding; these use 64 and more."""
    graph = from_onnx(onnx.load(export / "int8.onnx"))
    by_name = {op.name: op.output.value for op in read_program(graph).ops}
    with np.load(export / "reference.npz") as kept:
        values = Reference(graph, [by_name[name] for name in LAYERS.values()]).values(kept["images"][:8])
    assert all(len(np.unique(found)) >= 64 for found in values.values())


def test_other_pictures_leave_the_test_split_s_certificate(export: Path) -> None:
    """It is what `bench` takes a model's accuracy from."""
    only(export, "tflite-int8")
    before = (export / "certificate.json").read_bytes()
    said: list[str] = []
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
    verify(export, pictures, np.array([0, 1]), message=said.append)
    assert (export / "certificate.json").read_bytes() == before
    assert json.loads((export / "certificate-given.json").read_text())["n"] == 2
    assert f"certificate: {export / 'certificate-given.json'}" in said


def test_a_picture_that_hides_the_classes_is_named(
    export: Path, sample_pictures: dict[str, Path], tmp_path: Path
) -> None:
    only(export, "tflite-int8")
    for label, path in sample_pictures.items():
        (tmp_path / label).mkdir()
        shutil.copy(path, tmp_path / label)
    assert verify(export, tmp_path).scope == "accuracy and parity"
    shutil.copy(sample_pictures["cat"], tmp_path / "stray.png")
    (tmp_path / "a.heic").touch()
    certificate = verify(export, tmp_path)
    assert certificate.scope == "parity only"
    assert any("stray.png lies in no folder that is called as a class" in note for note in certificate.notes)
    assert any("1 .heic: convert" in note for note in certificate.notes)


def test_one_file_has_no_table_of_pairs(export: Path) -> None:
    only(export, "tflite-int8")
    assert "int8 against int8" not in edgecnn("verify", export).out
    only(export, "tflite-int8", "onnx-int8")
    assert "int8 against int8" in edgecnn("verify", export).out


def test_what_is_for_devices_is_refused_here(export: Path) -> None:
    for flag, value in (("--sample", "5"), ("--runtime", "litert")):
        left = edgecnn("verify", export, flag, value)
        assert left.code == 2
        assert f"{flag} is for --device" in left.err


def test_few_pictures_are_said_to_prove_little(export: Path) -> None:
    """0.95^59 = 0.05: were 5 % of all pictures different, 59 would show none of them one time in twenty."""
    only(export, "tflite-int8")
    pictures = np.random.default_rng(0).integers(0, 256, (59, 32, 32, 3)).astype(np.uint8)
    said: list[str] = []
    certificate = verify(export, pictures, message=said.append)
    note = "59 pictures can prove little: where all agree, up to 5 % of others may not"
    assert certificate.notes == (note,)
    assert f"note: {note}" in said
    assert verify(export, pictures[:2]).notes[0].startswith("2 pictures can prove little: where all agree, up to 78 %")


def test_a_machine_without_vnni_is_noted(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(export, "tflite-int8")
    pictures = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3)).astype(np.uint8)
    assert verify(export, pictures).notes == ()
    monkeypatch.setattr("edgecnn.verbs.verify.instruction_sets", lambda: ("avx2", "ssse3"))
    said: list[str] = []
    certificate = verify(export, pictures, message=said.append)
    (note,) = certificate.notes
    assert note.startswith("this x86 machine has no VNNI")
    assert f"note: {note}" in said
    assert certificate.machine["instruction_sets"] == "avx2 ssse3"
    assert {sums.type for sums in certificate.saturation if sums.saturates} == {"Conv", "Gemm"}


def test_changed_graph_is_refused(export: Path) -> None:
    path = export / "int8.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(UnusableFile, match=r"int8\.onnx: is not the file that was exported"):
        verify(export)


def test_file_that_cannot_be_opened_is_exit_3(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only(export, "tflite-int8")
    (export / "tflite-int8" / "model.tflite").write_bytes(b"not a model at all")
    with pytest.raises(SystemExit) as left:
        main(["verify", str(export)])
    assert left.value.code == 3
    assert "model.tflite" in capsys.readouterr().err

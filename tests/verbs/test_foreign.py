"""Networks from elsewhere: a torch module and an .onnx file through export and verify, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import edgecnn
from edgecnn.data import DataSpec, open_dataset
from edgecnn.errors import UnusableFile, UsageError
from edgecnn.graph.foreign import ForeignModel
from edgecnn.storage import sha256_file
from edgecnn.verbs.folders import read_export
from tests.verbs.small_runs import LABELS, bundled, class_folders
from tests.verbs.small_runs import edgecnn as command

NAMES = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop")).labels
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
SIZE = 32


class Small(nn.Module):
    """A word of each family: batch norm, swish, squeeze and excitation, branches, a shuffle between groups."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Sigmoid()
        )
        self.one, self.three = nn.Conv2d(8, 6, 1), nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(12, 10))

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.stem(pictures)
        x = x * self.gate(x)
        x = torch.cat([self.one(x).relu(), self.three(x).relu()], 1)
        n, c, h, w = x.shape
        return self.head(x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w))  # ShuffleNet's


@pytest.fixture(scope="module")
def module() -> nn.Module:
    torch.manual_seed(3)
    made = Small()
    with torch.no_grad():
        made.train()(planes(bundled("train").images[:64]))  # batch-norm statistics
    return made.eval()


def planes(images: Any) -> Tensor:
    """What the network was made for, by torch itself."""
    pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255.0
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


@pytest.fixture(scope="module")
def file(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As torch's exporter before dynamo wrote it, with an open batch and another opset."""
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    example = (torch.zeros(1, 3, SIZE, SIZE),)
    open_sizes = {"pictures": {0: "n", 2: "h", 3: "w"}}
    torch.onnx.export(
        module, example, path, dynamo=False, opset_version=17, input_names=["pictures"], dynamic_axes=open_sizes
    )
    return path


@pytest.fixture(scope="module")
def exported(module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return edgecnn.export(
        module,
        input_size=SIZE,
        calibration=bundled("train").images[:128],
        labels=NAMES,
        mean=MEAN,
        std=STD,
        int8=True,
        fp32=True,
        out=tmp_path_factory.mktemp("module") / "export",
    )


def test_six_files_that_answer_as_the_module_does(module: nn.Module, exported: Any) -> None:
    assert {(made.target, made.precision) for made in exported} == {
        (target, precision) for target in ("tflite", "onnx", "openvino") for precision in ("fp32", "int8")
    }
    images = bundled("val").images[:50]
    with torch.inference_mode():
        expected = module(planes(images)).numpy()
    for made in exported:
        opened = edgecnn.load(made.path)
        found = opened.values(opened.raw(images))
        tolerance = 1e-4 if made.precision == "fp32" else 0.1
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max(), made.path.name
        assert opened.manifest.labels == tuple(NAMES)


def test_verify_with_classes_measures_accuracy(exported: Any) -> None:
    pictures = bundled("val").take(np.arange(60))
    certificate = edgecnn.verify(exported, images=pictures.images, labels=pictures.classes)
    assert certificate.scope == "accuracy and parity"
    assert certificate.n == 60
    expected = edgecnn.load(exported[0].path)
    right = expected.raw(pictures.images).argmax(1) == pictures.classes
    assert certificate.accuracy[exported[0].path.name] == pytest.approx(right.mean())
    assert all(check.reason is None for report in certificate.layers for check in report.layers)


def test_verify_without_classes_is_parity_only(exported: Any) -> None:
    certificate = edgecnn.verify(exported, bundled("val").images[:40])
    assert certificate.scope == "parity only"
    assert not certificate.accuracy
    assert {pair.n for pair in certificate.parity} == {40}
    assert set(certificate.float_apart) == {"fp32", "tflite-fp32", "onnx-fp32", "openvino-fp32"}


def test_verify_sees_another_normalisation(exported: Any, tmp_path: Path) -> None:
    """A fault: the graph was made with another mean than the source's answers."""
    import shutil

    folder = tmp_path / "export"
    shutil.copytree(exported[0].path.parent, folder)
    with np.load(folder / "reference.npz") as kept:
        np.savez(tmp_path / "moved.npz", images=kept["images"], logits=kept["logits"] * 1.01)
    shutil.copyfile(tmp_path / "moved.npz", folder / "reference.npz")
    text = (folder / "export.json").read_text()
    (folder / "export.json").write_text(
        text.replace(read_export(folder).reference, sha256_file(folder / "reference.npz"))
    )
    certificate = edgecnn.verify(folder)
    assert not certificate.passed
    assert "fp32.onnx differs from its source" in certificate.failures[0]


def test_an_onnx_file_gives_the_graph_that_the_module_gives(exported: Any, file: Path, tmp_path: Path) -> None:
    images = bundled("train").images[:128]
    made = edgecnn.export(
        file, input_size=SIZE, calibration=images, mean=MEAN, std=STD, targets=["onnx"], out=tmp_path / "export"
    )
    ours, theirs = (edgecnn.load(record.path.parent / "onnx-int8") for record in (made[0], exported[0]))
    pictures = bundled("val").images[:100]
    assert ours.manifest.parents["small.onnx"] == sha256_file(file)
    assert np.abs(ours.raw(pictures).astype(int) - theirs.raw(pictures).astype(int)).max() <= 2
    session = onnxruntime.InferenceSession(file)
    expected = session.run(None, {"pictures": planes(pictures).numpy()})[0]
    floats = edgecnn.load(made[0].path.parent / "onnx-fp32").raw(pictures)
    assert np.abs(floats - expected).max() <= 1e-4 * np.abs(expected).max()


def test_from_the_command_line(file: Path, tmp_path: Path) -> None:
    photos = class_folders(tmp_path / "photos", train=12, test=6)
    names = tmp_path / "labels.txt"
    names.write_text("".join(f"{label}\n" for label in NAMES))
    numbers = [",".join(map(str, values)) for values in (MEAN, STD)]
    asked = ["--calibration", photos / "train", "--mean", numbers[0], "--std", numbers[1], "--input-size", SIZE]
    left = command("export", file, *asked, "--labels", names, "--target", "tflite", "--out", tmp_path / "out", "--json")
    assert left.code == 0, left.err
    made = [entry["path"] for entry in json.loads(left.out)["artifacts"]]
    assert [Path(path).name for path in made] == ["tflite-fp32", "tflite-int8"]
    left = command("verify", tmp_path / "out", "--images", photos / "test", "--json")
    assert json.loads(left.out)["scope"] == "accuracy and parity"
    assert json.loads(left.out)["n"] == 6 * len(LABELS)
    left = command("verify", tmp_path / "out", "--json")
    assert json.loads(left.out)["scope"] == "parity only"
    assert json.loads(left.out)["split"] == "calibration"


# --- what is refused --------------------------------------------------------------------------------------------------


GREY = np.zeros((4, 32, 32, 1), np.uint8)


def asked(**changed: Any) -> dict[str, Any]:
    return {"input_size": SIZE, "calibration": bundled("train").images[:16], "mean": MEAN, "std": STD, **changed}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"mean": None}, "say what pixels it wants with mean and std"),
        ({"mean": (124.0, 117.0, 104.0)}, "divide by 255"),
        ({"std": (0.2, 0.0, 0.2)}, "std above 0"),
        ({"mean": (0.5,), "std": (0.5,)}, r"uint8 \[N, 32, 32, 1\] grey, got uint8 \[16, 32, 32, 3\]"),
        ({"mean": (0.5,), "std": (0.5,), "calibration": GREY}, "takes no pictures of 32x32 with 1 channels"),
        ({"mean": (0.5, 0.5), "std": (0.5, 0.5)}, r"three numbers each \(RGB\) or one \(grey\), got 2"),
        ({"calibration": None}, "give some hundred with --calibration"),
        ({"calibration": np.zeros((4, 32, 32, 3), np.float32)}, "images must be uint8"),
        ({"calibration": np.zeros((4, 16, 32, 3), np.uint8)}, r"uint8 \[N, 32, 32, 3\]"),
        ({"labels": ["a", "b"]}, "there are 2 labels, and the network tells 10 classes apart"),
        ({"labels": [*NAMES[:9], "two\nlines"]}, "the label 'two.*lines' has a line break in it"),
        ({"input_size": None}, "does not say its input_size"),
        ({"resize": "squash"}, "no resize rule 'squash'"),
        ({"targets": ["tflight"]}, "tflight"),
    ],
)
def test_a_module_with_something_missing(module: nn.Module, tmp_path: Path, changed: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        edgecnn.export(module, **asked(**changed), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- one channel ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grey_module() -> nn.Module:
    torch.manual_seed(5)
    made = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10)
    )
    return made.eval()


@pytest.fixture(scope="module")
def grey_pictures() -> Any:
    return np.ascontiguousarray(bundled("val").images[:64, :, :, 1:2])


@pytest.mark.parametrize("as_file", [False, True])
def test_a_grey_network_of_another_mean(
    as_file: bool, grey_module: nn.Module, grey_pictures: Any, tmp_path: Path
) -> None:
    given: Any = grey_module
    if as_file:
        given = tmp_path / "grey.onnx"
        example = (torch.zeros(1, 1, SIZE, SIZE),)
        torch.onnx.export(grey_module, example, given, dynamo=False, opset_version=17)
    made = edgecnn.export(
        given,
        input_size=SIZE,
        calibration=grey_pictures,
        mean=(0.1307,),
        std=(0.3081,),
        int8=True,
        fp32=True,
        out=tmp_path / "out",
    )
    with torch.inference_mode():
        planes = torch.from_numpy(grey_pictures).permute(0, 3, 1, 2).float() / 255.0
        expected = grey_module((planes - 0.1307) / 0.3081).numpy()
    assert len(made) == 6
    for one in made:
        opened = edgecnn.load(one.path)
        found = opened.values(opened.raw(grey_pictures))
        tolerance = 1e-4 if one.precision == "fp32" else 0.1
        assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max(), one.path.name
        assert (opened.manifest.input.channels, opened.manifest.input.color) == (1, "grey")
    assert edgecnn.verify(made).passed


def test_a_grey_network_and_means_of_three(grey_module: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "grey.onnx"
    torch.onnx.export(grey_module, (torch.zeros(1, 1, SIZE, SIZE),), path, dynamo=False, opset_version=17)
    with pytest.raises(UsageError, match="takes 1 channels; mean and std are one number for each"):
        edgecnn.export(path, **asked(calibration=GREY), out=tmp_path / "out")


def test_grey_calibration_from_a_folder_of_colours(grey_module: nn.Module, tmp_path: Path) -> None:
    folder = class_folders(tmp_path / "pictures")
    made = edgecnn.export(
        grey_module,
        input_size=SIZE,
        calibration=folder / "train",
        mean=(0.5,),
        std=(0.5,),
        targets=["tflite"],
        int8=True,
        out=tmp_path / "out",
    )
    certificate = edgecnn.verify(made, images=folder / "test")
    assert certificate.passed, certificate.failures


def test_a_module_in_training_mode(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"call module.eval\(\)"):
        edgecnn.export(Small().train(), **asked(), out=tmp_path / "out")


def test_a_folder_without_pictures(module: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(UnusableFile, match="holds no picture that can be read"):
        edgecnn.export(module, **asked(calibration=tmp_path), out=tmp_path / "out")


def test_a_run_says_all_that_by_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a run knows its own mean"):
        edgecnn.export(tmp_path, mean=MEAN)


def test_external_data_is_refused(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "split.onnx"
    onnx.save(onnx.load(file), path, save_as_external_data=True, size_threshold=0)
    with pytest.raises(UnusableFile, match="keeps its weights in another file"):
        ForeignModel(path, (SIZE, SIZE))


def test_a_quantized_file_is_refused(exported: Any) -> None:
    with pytest.raises(UsageError, match="is quantized already"):
        ForeignModel(exported[0].path.parent / "int8.onnx")


def test_open_sizes_must_be_given(file: Path) -> None:
    with pytest.raises(UsageError, match="leaves the picture's size open; give it with --input-size"):
        ForeignModel(file)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07\x12\x04"])
def test_what_is_no_onnx_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(UnusableFile, match=r"broken.onnx: is no whole ONNX file"):
        ForeignModel(path)


def test_a_truncated_onnx_file(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    path.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UnusableFile, match=r"half.onnx: is no whole ONNX file"):
        ForeignModel(path)

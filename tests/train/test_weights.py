"""First weights: taken by name and shape, but for a classifier of other classes; what does not fit is refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edgecnn.errors import UnusableFile
from edgecnn.nn.network import plan_network
from edgecnn.recipe.layers import Dense, Layer
from edgecnn.recipe.schema import Model
from edgecnn.storage import sha256_file
from edgecnn.train.weights import classifier_of, take_weights
from tests.train.nets import PLAIN, net


def saved(folder: Path, tensors: dict[str, Tensor]) -> Path:
    path = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


def of_classes(units: int, seed: int = 7, layers: tuple[Layer, ...] = PLAIN) -> nn.Module:
    torch.manual_seed(seed)
    changed = (*layers[:-1], Dense(units=units))
    return plan_network(Model(layers=changed), (3, 32, 32), units).build()


def test_the_same_network_takes_everything(tmp_path: Path) -> None:
    given, model = net(seed=1), net(seed=2)
    path = saved(tmp_path, given.state_dict())
    taken = take_weights(path, model)
    assert (taken.tensors, taken.left, taken.sha256) == (len(given.state_dict()), (), sha256_file(path))
    for name, value in model.state_dict().items():
        assert torch.equal(value, given.state_dict()[name]), name


@pytest.mark.parametrize("missing", [False, True], ids=["other classes", "no classifier"])
def test_a_classifier_of_other_classes_starts_anew(tmp_path: Path, missing: bool) -> None:
    given, model = net(seed=1).state_dict(), of_classes(4)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    head = ("dense_6.dense.weight", "dense_6.dense.bias")
    if missing:
        given = {name: value for name, value in given.items() if name not in head}
    taken = take_weights(saved(tmp_path, given), model)
    assert taken.left == head
    assert taken.tensors == len(before) - 2
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name] if name in head else given[name]), name


def test_another_memory_order_and_half_precision_are_taken(tmp_path: Path) -> None:
    given = {n: v.half() if v.is_floating_point() else v for n, v in net(seed=1).state_dict().items()}
    model = net(seed=2).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    take_weights(saved(tmp_path, given), model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, given[name].to(value.dtype)), name


def test_another_width_is_refused_in_one_sentence_and_nothing_is_taken(tmp_path: Path) -> None:
    networks = [plan_network(Model(arch="ds_cnn", width=width), (3, 32, 32), 10).build() for width in (0.5, 1.0)]
    before = {name: value.clone() for name, value in networks[1].state_dict().items()}
    path = saved(tmp_path, networks[0].state_dict())
    with pytest.raises(UnusableFile) as error:
        take_weights(path, networks[1])
    said = str(error.value)
    counts = [tuple(v.shape) for v in networks[0].state_dict().values()], [tuple(v.shape) for v in before.values()]
    differing = sum(a != b for a, b in zip(*counts, strict=True)) - 1  # the classifier's weight may differ
    assert said.startswith(f"{path}: {differing} tensors do not fit the recipe's model: ")
    assert said.count(" instead of ") == 3
    assert f"and {differing - 3} more; set 'model' to" in said
    assert "\n" not in said
    for name, value in networks[1].state_dict().items():
        assert torch.equal(value, before[name]), name


def test_each_kind_of_misfit_is_named(tmp_path: Path) -> None:
    given = net(seed=1).state_dict()
    given["extra.weight"] = torch.zeros(2)
    del given["conv_1.conv.weight"]
    given["conv_1.norm.running_mean"] = torch.zeros(8, dtype=torch.int64)
    with pytest.raises(UnusableFile) as error:
        take_weights(saved(tmp_path, given), net())
    for said in (
        ": 3 tensors do not fit",
        "conv_1.conv.weight is missing",
        "conv_1.norm.running_mean is torch.int64 instead of torch.float32",
        "extra.weight has no place",
    ):
        assert said in str(error.value)


def test_torchvision_s_old_files_have_no_counts(tmp_path: Path) -> None:
    from torchvision.models import mobilenet_v2

    given = {n: v for n, v in mobilenet_v2(num_classes=10).state_dict().items() if "num_batches" not in n}
    model = mobilenet_v2(num_classes=3)
    taken = take_weights(saved(tmp_path, given), model)
    assert taken.left == ("classifier.1.weight", "classifier.1.bias")
    assert taken.tensors == len(given) - 2
    assert torch.equal(model.state_dict()["features.3.conv.0.0.weight"], given["features.3.conv.0.0.weight"])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("w.safetensors", None, "there is no such file"),
        ("w.safetensors", b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "is damaged or no safetensors file"),
        ("w.safetensors", b"", "is damaged or no safetensors file"),
        ("w.pth", b"\x80\x02}q\x00.", r"is no .safetensors file; .* convert it with safetensors.torch.save_file"),
    ],
)
def test_files_that_can_not_be_used(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnusableFile, match=said):
        take_weights(tmp_path / name, net())


def test_the_classifier_is_the_last_layer_with_weights_and_its_norm() -> None:
    layers = (*PLAIN[:-1], Dense(units=10, batch_norm=True))
    model = plan_network(Model(layers=layers), (3, 32, 32), 10).build()
    found = classifier_of(model.state_dict())
    assert found[0] == "dense_6.dense.weight"
    assert found[-1] == "dense_6.norm.num_batches_tracked"
    assert len(found) == 6

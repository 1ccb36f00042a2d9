"""Frozen layers stay to the bit, statistics included, whatever trains beside them; the others move."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgecnn.errors import Interrupted, UsageError
from edgecnn.train.freeze import freeze
from edgecnn.train.step import Learner
from tests.train.nets import DROPPING, PLAIN, SETTINGS, Heard, net, trainer

LAYERS = ("conv_1", "separable_conv_2", "batch_norm_3", "relu_4", "global_average_pool_5", "dense_6")


def moved(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """The layers in which a value changed."""
    return {name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("what", "learning"),
    [
        (None, {"conv_1", "separable_conv_2", "batch_norm_3", "dense_6"}),
        (1, {"separable_conv_2", "batch_norm_3", "dense_6"}),
        ("separable_conv_2", {"batch_norm_3", "dense_6"}),
        (3, {"dense_6"}),
        ("relu_4", {"dense_6"}),
        ("backbone", {"dense_6"}),
    ],
)
def test_only_what_is_not_frozen_moves(tmp_path: Path, what: int | str | None, learning: set[str]) -> None:
    model = net()
    before = copied(model)
    made = trainer(tmp_path, model, freeze=what, epochs=2, ema=0.9, weight_decay=0.1)
    list(made.run())
    assert moved(model, before) == learning
    assert made.average is not None
    assert moved(made.average.model, before) == learning
    decayed = [p for group in made.learner.optimizer.param_groups for p in group["params"]]
    assert len(decayed) == sum(p.requires_grad for p in model.parameters())


def test_statistics_that_move_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: batch norms of frozen layers in training mode."""
    model = net()
    before = copied(model)
    made = trainer(tmp_path, model, freeze="backbone", epochs=1)
    monkeypatch.setattr(made.learner, "_still", ())
    list(made.run())
    assert moved(model, before) == {"conv_1", "batch_norm_3", "dense_6"}


def test_a_frozen_backbone_is_a_fixed_function(tmp_path: Path) -> None:
    """The head that comes out is the one that plain SGD on the backbone's features comes to."""
    model, plain = net(seed=1), net(seed=1)
    made = trainer(tmp_path, model, freeze="backbone", epochs=1, augment=(), batch=300, warmup_epochs=0.0)
    images, classes = made.loader.load(made._batch(np.arange(300), 0))
    with torch.no_grad():
        features = nn.Sequential(*list(plain.children())[:-1]).eval()(images)
    head = plain.dense_6.dense
    decay = [{"params": [head.weight], "weight_decay": 1e-3}, {"params": [head.bias], "weight_decay": 0.0}]
    sgd = torch.optim.SGD(decay, lr=0.1, momentum=0.9, nesterov=True)
    nn.functional.cross_entropy(head(features), classes, label_smoothing=0.1).backward()
    sgd.step()
    next(made.run())
    assert torch.allclose(model.dense_6.dense.weight, head.weight, rtol=1e-4, atol=1e-6)
    assert torch.allclose(model.dense_6.dense.bias, head.bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("dtype", "layers"), [("bfloat16", PLAIN), ("float32", DROPPING)])
def test_a_resumed_run_comes_to_the_same_weights(tmp_path: Path, dtype: str, layers: Any) -> None:
    changed: dict[str, Any] = {"freeze": 1, "ema": 0.8, "epochs": 2, "dtype": dtype}
    list(trainer(tmp_path / "whole", net(layers), **changed).run())
    with pytest.raises(Interrupted):
        list(trainer(tmp_path / "parts", net(layers), Heard(stop_after=13), **changed).run())
    second = trainer(tmp_path / "parts", net(layers, seed=5), **changed)
    assert second.resume()
    list(second.run())
    for file in ("last/model", "last/optimizer", "last/average", "best/model"):
        whole, parts = (tmp_path / kind / f"{file}.safetensors" for kind in ("whole", "parts"))
        assert whole.read_bytes() == parts.read_bytes()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("conv_2", "there is no layer 'conv_2'; did you mean 'conv_1'?"),
        ("backbon", "did you mean 'backbone'?"),
        (7, "can't freeze 7 layers: the model has 6, conv_1 to dense_6"),
        (6, "freezing 6 leaves nothing to learn; `freeze: backbone` leaves the classifier"),
        ("dense_6", "leaves nothing to learn"),
    ],
)
def test_what_can_not_be_frozen(what: int | str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        freeze(net(), what)
    assert said in str(error.value)


def test_torchvision_s_layers_have_torchvision_s_names() -> None:
    from torchvision.models import mobilenet_v2, resnet18

    model = resnet18(num_classes=3)
    freeze(model, "layer2.0")
    learning = {
        name.split(".")[0] + "." + name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad
    }
    assert "layer2.0" not in learning
    assert {"layer2.1", "layer3.0", "fc.weight"} <= learning
    model = mobilenet_v2(num_classes=3)
    freeze(model, "backbone")
    assert [n for n, p in model.named_parameters() if p.requires_grad] == ["classifier.1.weight", "classifier.1.bias"]


@pytest.mark.slow
@pytest.mark.long
def test_compiled_it_is_the_same() -> None:
    images, classes = torch.randn(8, 3, 32, 32), torch.arange(8) % 10
    found = []
    for compiled in (False, True):
        model = net()
        learner = Learner(model, replace(SETTINGS, batch=8, freeze=3, compile=compiled))
        learner.train()
        for _ in range(3):
            learner.step(images, classes, 0.1)
        found.append(model.state_dict())
    for name, value in found[0].items():
        assert torch.allclose(value, found[1][name], rtol=1e-4, atol=1e-5), name

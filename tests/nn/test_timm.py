"""timm's classifiers by name: against a small timm in its place, and (long) against timm itself."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

import pytest
import torch

from edgecnn.errors import MissingExtra, UsageError
from edgecnn.nn import timm
from edgecnn.nn.network import plan_network
from edgecnn.recipe.schema import Model
from tests.environments import make_environment, run_script
from tests.nn.small_timm import MEAN, STD, small_timm
from tests.nn.test_layers import multiply_adds

ROOT = Path(__file__).parents[2]
THE_REAL_ONE = """
import json
from edgecnn.nn.network import plan_network
from edgecnn.recipe.schema import Model
import timm, torch
found = {}
for name in ("test_efficientnet", "test_resnet", "test_convnext", "test_byobnet", "test_vit"):
    net = plan_network(Model(timm=name), (3, 64, 64), 7)
    module = net.build().eval()
    assert tuple(module(torch.zeros(2, 3, 64, 64)).shape) == (2, 7), name
    assert net.params == sum(value.numel() for value in module.parameters()), name
    found[name] = [net.macs, net.params - sum(row.params for row in net.rows())]
wants = plan_network(Model(timm="test_efficientnet", mean=(0.5,), std=(0.5,)), (1, 64, 64), 7)
assert [row.name for row in wants.rows()][:2] == ["normalise", "conv_stem"]
print(json.dumps(found))
"""


def test_a_classifier_of_our_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    net = plan_network(Model(timm="small_net"), (1, 32, 48), 7)
    module = net.build().eval()
    assert multiply_adds(module, torch.zeros(1, 1, 32, 48)) == ((7,), net.macs)
    assert sum(row.params for row in net.rows()) == net.params == sum(p.numel() for p in module.parameters())


def test_its_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    rows = plan_network(Model(timm="small_net"), (3, 32, 32), 7).rows()
    assert [(row.name, row.type, row.inputs) for row in rows] == [
        ("conv_stem", "conv", ("picture",)),
        ("bn1", "batch_norm", ("conv_stem",)),
        ("conv_dw", "depthwise_conv", ("bn1",)),
        ("bn2", "batch_norm", ("conv_dw",)),
        ("mean", "global_average_pool", ("bn2",)),
        ("gate", "conv", ("mean",)),
        ("mul", "multiply", ("bn2", "gate")),
        ("add", "add", ("mul", "bn1")),
        ("conv_head", "conv", ("add",)),
        ("bn3", "batch_norm", ("conv_head",)),
        ("mean_1", "global_average_pool", ("bn3",)),
        ("classifier", "dense", ("mean_1",)),
    ]
    assert rows[2].receptive_field == (7, 7)


def test_what_trained_weights_want(monkeypatch: pytest.MonkeyPatch) -> None:
    small_timm(monkeypatch)
    assert (timm.statistics("small_net", 3).mean, timm.statistics("small_net", 3).std) == (MEAN, STD)
    grey = timm.statistics("small_net", 1)
    assert grey.mean == pytest.approx((0.449,))
    with pytest.raises(UsageError, match="no trained weights for small_net_untrained; set model"):
        timm.statistics("small_net_untrained", 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("smal_net", "timm has no classifier 'smal_net'; did you mean 'small_net'"),
        ("hf-hub:owner/small_net", "timm has no classifier 'hf-hub:owner/small_net'"),
        ("zzz", r"timm has no classifier 'zzz'; timm\.list_models\(\) lists them"),
        ("small_net.v9", "timm has no trained weights 'small_net.v9'"),
        ("small_fixed", "timm can't make small_fixed for pictures of 2x2 with 3 channels: the size must be 32"),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    small_timm(monkeypatch)
    with pytest.raises(UsageError, match=said):
        plan_network(Model(timm=name), (3, 2, 2), 10)


def test_without_timm_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingExtra, match=r"timm, which is not installed: pip install 'edgecnn\[timm\]'"):
        plan_network(Model(timm="resnet18"), (3, 32, 32), 10)


@pytest.mark.slow
@pytest.mark.long
def test_timm_itself(tmp_path: Path) -> None:
    """Of its own small test models; in an environment that has timm beside this one's libraries."""
    python = make_environment(tmp_path / "timm", "--no-deps", "timm")
    here = os.pathsep.join([str(ROOT), *site.getsitepackages()])
    found = run_script(python, THE_REAL_ONE, PYTHONPATH=here, HOME=str(tmp_path))
    for name, (macs, apart) in found.items():
        assert macs > 1e6, name
        assert name in ("test_vit", "test_convnext") or apart == 0, name

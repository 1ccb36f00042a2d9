"""tools/photo_backbone: what is learned from, the losses, and a whole small training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from edgecnn.data import Pictures
from tests.scripts import script

tool = script("photo_backbone")
RANDOM = np.random.default_rng(0)


def pictures(count: int, side: int, classes: int) -> Pictures:
    """Bright on the left in even classes, on the right in odd ones."""
    labels = np.arange(count) % classes
    images = RANDOM.integers(0, 60, (count, side, side, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        half = slice(None, side // 2) if label % 2 == 0 else slice(side // 2, None)
        image[half] += 120
    return Pictures(images, labels, tuple(map(str, range(count))))


@pytest.fixture
def taught() -> object:
    return tool.Taught(pictures(64, 128, 2), pictures(20, 96, 2), pictures(64, 32, 10))


def test_the_teacher_is_a_resnet_whose_blocks_add_nothing_at_first() -> None:
    body, features = tool.bare({"model.arch": "resnet18_d", "model.width": 0.125})
    assert body.eval()(torch.zeros(2, 3, 96, 96)).shape == (2, 64) == (2, features)
    tool.nothing_at_first(body)
    image = torch.rand(1, 8, 6, 6)
    assert torch.equal(body.get_submodule("stage1_block2")(image), image)


def test_the_backbone_is_the_recipes_network_without_its_classifier() -> None:
    body, features = tool.bare({})
    assert features == 128
    assert body(torch.zeros(2, 3, 96, 96)).shape == (2, 128)


def test_the_loss_is_the_true_classes_alone_without_a_teacher_and_mostly_its_answers_with_one() -> None:
    model = tool.Both(torch.nn.Identity(), 3, 7)
    mine = tool.Said(torch.rand(4, 3), torch.rand(4, 6))
    shares = functional.one_hot(torch.tensor([0, 1, 2, 3]), 6).float()
    true = functional.cross_entropy(mine.logits, shares, label_smoothing=0.1)
    assert torch.equal(tool.loss_of_one(model, mine, None, shares, 0.1), true)
    theirs = tool.Said(torch.rand(4, 7), mine.logits)
    spread = (theirs.features - theirs.features.mean(0)) / (theirs.features.std(0) + 0.01)
    features = ((model.as_teacher(mine.features) - spread) ** 2).mean()
    agreed = tool.loss_of_one(model, mine, theirs, shares, 0.1)
    assert torch.allclose(agreed, tool.TRUTH * true + tool.FEATURES * features)
    other = tool.Said(theirs.features, theirs.logits.flip(1))
    assert tool.loss_of_one(model, mine, other, shares, 0.1) > agreed


def test_both_are_learned_and_the_weights_keep_their_names(
    taught: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "SEEN", ("a", "b"))
    how = replace(tool.HOW, epochs=6, batch=16, warmup_epochs=1, fused=False, threads=1, augment=("flip",))
    torch.manual_seed(0)
    teacher = tool.Both(*tool.bare({"model.arch": "resnet18_d", "model.width": 0.125}))
    weights = tool.learn(teacher, taught, how, None, 6, tmp_path / "a.partial")
    teacher.load_state_dict(weights)
    assert tool.top1(teacher.eval(), taught.val) > 0.9  # type: ignore[attr-defined]
    student = tool.Both(*tool.bare({"model.width": 0.125}), 64)
    names = list(student.state_dict())
    assert list(tool.learn(student, taught, how, teacher, 4, tmp_path / "b.partial")) == names


def test_what_was_broken_off_goes_on_to_the_same_weights(
    taught: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "SEEN", ("a", "b"))
    how = replace(tool.HOW, epochs=3, batch=16, warmup_epochs=1, fused=False, threads=1, augment=("flip",))

    def learned(partial: Path) -> Any:
        torch.manual_seed(0)
        return tool.learn(tool.Both(*tool.bare({"model.width": 0.125})), taught, how, None, 3, partial)

    whole, measure, left = learned(tmp_path / "whole.partial"), tool.top1, [True, False]

    def broken_off(*given: Any) -> Any:
        if not left.pop(0):
            raise KeyboardInterrupt
        return measure(*given)

    with monkeypatch.context() as patch:
        patch.setattr(tool, "top1", broken_off)
        with pytest.raises(KeyboardInterrupt):
            learned(tmp_path / "parts.partial")
    parts = learned(tmp_path / "parts.partial")
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_statistics_are_of_photos_alone_and_weights_stay(taught: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool, "HOW", replace(tool.HOW, batch=32, augment=()))
    norm = torch.nn.BatchNorm2d(3)
    model = tool.Both(torch.nn.Sequential(norm, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), 3)
    norm.running_mean += 7
    before = [value.clone() for value in model.parameters()]
    tool.settle(model, taught.photos)  # type: ignore[attr-defined]
    mean = torch.from_numpy(taught.photos.images).float().mean((0, 1, 2))  # type: ignore[attr-defined]
    assert torch.allclose(norm.running_mean, (mean - 128) / 128, atol=0.01)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert not model.training


def test_photos_are_linked_by_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in (*tool.SEEN, "tench"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
    for _ in range(2):
        tool.link(tmp_path / "set", tmp_path / "photos-6")
    assert sorted(path.name for path in (tmp_path / "photos-6/test").iterdir()) == sorted(tool.SEEN)
    assert (tmp_path / "photos-6/test/church").resolve() == tmp_path / "set/val/church"


def test_the_backbone_learns_from_the_weights_that_the_teachers_training_gave(
    taught: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are a moving average, not those that the last step left; and a teacher that lies there is not trained."""
    trained: list[tuple[object, torch.Tensor | None]] = []

    def learn(model: torch.nn.Module, __: object, how: object, teacher: Any, *_: object) -> dict[str, torch.Tensor]:
        trained.append((how, None if teacher is None else teacher.photos.bias.clone()))
        return {name: torch.full_like(value, 0.5) for name, value in model.state_dict().items()}

    monkeypatch.setattr(tool, "learn", learn)
    monkeypatch.setattr(tool.Taught, "found", lambda *_: taught)
    monkeypatch.setenv("EDGECNN_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["photo_backbone", str(tmp_path / "out")])
    threads = torch.get_num_threads()
    tool.main()
    tool.main()
    torch.set_num_threads(threads)
    assert [teacher is None for _, teacher in trained] == [True, False, False]
    assert all(teacher is None or (teacher == 0.5).all() for _, teacher in trained)
    body, _ = tool.bare({})
    assert set(load_file(tmp_path / "out/photos-6-backbone.safetensors")) == set(body.state_dict())

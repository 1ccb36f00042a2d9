"""What is chosen for which pictures, and that the recipe that says so is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgecnn import packaged
from edgecnn.nn.network import plan_network
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.train.weights import take_weights
from edgecnn.verbs.fitted import BATCHES, EPOCHS, Pictures, Places, fit, recipe_text
from edgecnn.verbs.weights import find_weights

PLACES = Places("photos", "photos.splits.csv", None, skip_broken=False)


def pictures(
    sides: tuple[int, int] = (128, 171), count: int = 160, labels: tuple[str, ...] = ("cat", "dog"), train: int = 112
) -> Pictures:
    """So many pictures of one height and width."""
    return Pictures(labels, np.array([sides] * count, np.int64), {"train": train, "val": 24, "test": 24})


def written(folder: Path, seen: Pictures, places: Places = PLACES, name: str = "photos") -> tuple[Recipe, str]:
    text = recipe_text(name, places, seen, fit(seen))
    (folder / "recipe.yaml").write_text(text)
    return load_recipe(folder / "recipe.yaml"), text


@pytest.fixture(autouse=True)
def without_a_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "model_names", lambda: ["cifar10-ds"])


@pytest.mark.parametrize(
    ("sides", "size", "arch"),
    [
        ((32, 32), 32, "ds_cnn"),
        ((47, 300), 32, "ds_cnn"),
        ((60, 60), 96, "mobilenet_v2"),
        ((3000, 4000), 96, "mobilenet_v2"),
    ],
)
def test_the_size_and_the_network_fit_the_pictures(
    sides: tuple[int, int], size: int, arch: str, tmp_path: Path
) -> None:
    recipe, _ = written(tmp_path, pictures(sides))
    assert recipe.input.size == (size, size)
    assert recipe.model.arch == arch
    assert "random_resized_crop" in recipe.train.augment or size == 32
    plan_network(recipe.model, (3, size, size), 2)


@pytest.mark.parametrize(("far", "resize"), [(0, "crop"), (30, "crop"), (60, "letterbox"), (160, "letterbox")])
def test_many_long_pictures_are_not_cut(far: int, resize: str) -> None:
    sides = np.array([(100, 400)] * far + [(120, 160)] * (160 - far), np.int64)
    assert fit(Pictures(("cat", "dog"), sides, {"train": 112})).resize == resize


@pytest.mark.parametrize("train", [12, 40, 112, 500, 3000, 50_000])
def test_steps_and_batch_fit_the_number(train: int, tmp_path: Path) -> None:
    recipe, text = written(tmp_path, pictures(train=train))
    batch, epochs = recipe.train.batch, recipe.train.epochs
    assert batch in BATCHES
    assert batch <= max(train / 4, BATCHES[-1])
    assert epochs <= EPOCHS[1]
    assert f"there are {train:,} training pictures" in text
    if 112 <= train <= 500:
        assert 1000 <= train // batch * epochs <= 2000


@pytest.mark.parametrize("tested", [0, 1, 2, 3, 7, 24, 30, 150, 199, 200, 201, 5000])
def test_of_few_test_pictures_two_may_change_sides(tested: int, tmp_path: Path) -> None:
    seen = Pictures(("cat", "dog"), pictures().sides, {"train": 112, "val": 24, "test": tested})
    recipe, text = written(tmp_path, seen)
    limits, measured = recipe.limits, tested or 24  # val, where there is no test
    assert limits.drop_pp >= min(100, 200 / measured)
    assert limits.agreement <= max(0, 1 - 2 / measured)
    assert ("may change sides" in text) is (measured < 200)
    if 4 <= measured <= 99:
        assert limits.drop_pp < 300 / measured, "three may not"
        assert limits.agreement > 1 - 3 / measured
    if measured >= 200:
        assert (limits.drop_pp, limits.agreement) == (1.0, 0.99)


@pytest.mark.parametrize(
    ("labels", "flips"),
    [
        (("cat", "dog"), True),
        (("copyright", "leftovers", "alphabet"), True),
        (("turn_left", "turn_right"), False),
        (("Arrow up", "stop"), False),
        (("0", "1", "12"), False),
        (("A", "B"), False),
    ],
)
@pytest.mark.parametrize("sides", [(32, 32), (128, 171)])
def test_what_has_a_side_is_not_mirrored(
    labels: tuple[str, ...], flips: bool, sides: tuple[int, int], tmp_path: Path
) -> None:
    recipe, text = written(tmp_path, pictures(sides, labels=labels))
    assert ("flip" in recipe.train.augment) is flips
    assert ("no flip: the mirror image of" in text) is not flips


def test_the_packaged_backbone_is_taken_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "model_names", lambda: ["cifar10-ds", "photos-96"])
    recipe, text = written(tmp_path, pictures())
    assert (recipe.model.weights, recipe.train.freeze) == ("photos-96", None)
    assert "model: {arch: resnet18, width: 0.25, weights: photos-96}  # fine-tuned from photos-96\n" in text
    assert "  lr0: 0.03" in text
    assert "  freeze: null" in text
    teacher = recipe.teacher
    assert teacher is not None
    assert (teacher.model.arch, teacher.model.weights) == ("resnet18_d", "photos-96-teacher")
    assert (recipe.train.epochs, teacher.epochs) == (257, 64), "of 7 steps each"
    small = pictures((32, 32))
    assert "photos-96" not in recipe_text("photos", PLACES, small, fit(small))


def test_the_teacher_s_weights_are_packaged_and_fit_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halved matrices become float32 as they are taken; norms are whole."""
    monkeypatch.setattr(packaged, "model_names", lambda: ["photos-96"])
    recipe, _ = written(tmp_path, pictures())
    assert recipe.teacher is not None
    assert recipe.teacher.model.weights is not None
    path = find_weights(recipe.teacher.model.weights)
    assert path == packaged.folder("weights") / "photos-96-teacher.safetensors"
    model = plan_network(recipe.teacher.model, (3, 96, 96), 3).build()
    taken = take_weights(path, model)
    assert taken.left == ("classifier.dense.weight", "classifier.dense.bias")
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}
    assert (path.stat().st_size / 2**20) < 6


@pytest.mark.parametrize("name", ["photos", "2024", "null", "1e3", "my.photos-2"])
@pytest.mark.parametrize(
    "folder", ["photos", "2024", ".", ".5", "~", "no", "a b#c: 'd' \"e\"", "a\\b", "Fotos/Kätzchen", "- x", "/a/b"]
)
def test_any_name_is_read_back(name: str, folder: str, tmp_path: Path) -> None:
    recipe, _ = written(tmp_path, pictures(), Places(folder, f"{name}.splits.csv", folder, skip_broken=True), name)
    assert recipe.name == name
    assert (recipe.data.folder, recipe.data.background) == (folder, folder)
    assert recipe.data.splits == f"{name}.splits.csv"
    assert recipe.data.broken == "skip"


def test_every_choice_has_its_reason(tmp_path: Path) -> None:
    _, text = written(tmp_path, pictures())
    lines = text.splitlines()
    assert lines[0] == "# 160 pictures of 2 classes, looked at by `edgecnn new`. All of it may be changed."
    for key in ("splits", "size", "resize", "model", "epochs", "batch", "lr0"):
        (line,) = [line for line in lines if line.strip().startswith(f"{key}:")]
        assert "  # " in line
    assert max(map(len, lines)) <= 120

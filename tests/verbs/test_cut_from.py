"""What random_resized_crop cuts from: photos a third larger than the net's input, of folders alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecnn.run import Run
from edgecnn.train.loader import Split
from edgecnn.verbs import train as verb
from edgecnn.verbs.train import train
from tests.verbs.small_runs import class_folders, of_class, recipe


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Split]:
    """The pictures of the trainings that follow."""
    kept: list[Split] = []
    original = verb.choose

    def choose(*given: object) -> object:
        kept.append(given[2])  # type: ignore[arg-type]
        return original(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(verb, "choose", choose)
    return kept


def test_photos_are_kept_larger_to_be_cut_from(tmp_path: Path, seen: list[Split]) -> None:
    """24 for the net, 32 to cut from, which is the size of the files: their very pixels are there."""
    path = recipe(
        tmp_path / "a.yaml", class_folders(tmp_path / "photos"), size=24, train_more="augment: [random_resized_crop]"
    )
    record = train(path, root=tmp_path / "runs")
    assert (seen[0].train.images.shape[1:3], seen[0].val.images.shape[1:3]) == ((32, 32), (24, 24))
    kept = {image.tobytes() for image in seen[0].train.images}
    assert kept <= {image.tobytes() for label in seen[0].labels for image in of_class("train", label)}
    assert len(seen[0].train) + len(seen[0].val) == 120
    assert not set(seen[0].train.names) & set(seen[0].val.names)
    assert len(Run(record.run).metrics.read()) == 2


@pytest.mark.parametrize("augment", ["[flip, color_jitter]", "[]"])
def test_photos_that_are_not_cut_from_have_the_nets_size(augment: str, tmp_path: Path, seen: list[Split]) -> None:
    path = recipe(tmp_path / "a.yaml", class_folders(tmp_path / "photos"), size=24, train_more=f"augment: {augment}")
    train(path, root=tmp_path / "runs")
    assert seen[0].train.images.shape[1:3] == seen[0].val.images.shape[1:3] == (24, 24)


def test_a_registered_source_has_the_size_that_it_has(tmp_path: Path, seen: list[Split]) -> None:
    """CIFAR-10's 32x32 made larger would only be blurred."""
    text = recipe(tmp_path / "a.yaml", "x", size=32, train_more="augment: [random_resized_crop]").read_text()
    text = text.replace("folder: x", "source: cifar10_mini").replace("units: 3", "units: 10")
    (tmp_path / "a.yaml").write_text(text)
    train(tmp_path / "a.yaml", root=tmp_path / "runs")
    assert seen[0].train.images.shape[1:3] == (32, 32)
    assert np.array_equal(seen[0].size, (32, 32))

"""What is left to the machine, and what a run that goes on is held to."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecnn.errors import Interrupted, RecipeError
from edgecnn.recipe.schema import Train
from edgecnn.run import Run
from edgecnn.train import choice
from edgecnn.verbs.choices import _open
from edgecnn.verbs.listener import Listener
from edgecnn.verbs.train import train
from tests.verbs.small_runs import class_folders, recipe, tree


class StoppedAfter(Listener):
    """Asks to stop before a step, counted from 0."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stop_requested(self) -> bool:
        self.left -= 1
        return self.left == -1


def test_a_run_that_is_older_than_the_kernels_goes_on_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its resolved.yaml doesn't name them; timing them now could change what it ends with."""
    path = recipe(tmp_path / "small.yaml", class_folders(tmp_path / "pictures"))
    train(path, root=tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(path, root=tmp_path / "parts", listener=StoppedAfter(3))
    run = Run(tmp_path / "parts/small")
    lines = run.resolved.read_text().splitlines(keepends=True)
    run.resolved.write_text("".join(line for line in lines if "fused" not in line))
    assert run.resolved.read_text().count("\n") == len(lines) - 1

    def timed(*_: object) -> object:
        raise AssertionError("nothing is left to choose")

    monkeypatch.setattr(choice, "_timed", timed)
    train(run.path)
    whole, parts = (tree(tmp_path / name / "small/checkpoints") for name in ("whole", "parts"))
    assert whole["last/model.safetensors"] == parts["last/model.safetensors"]


@pytest.mark.parametrize(
    ("given", "sharing", "expected"),
    [
        ({}, 1, (False, True)),
        ({}, 2, (False,)),
        ({"layout": "contiguous"}, 1, (False,)),
        ({"compile": True}, 1, (False,)),
        ({"device": "cuda"}, 1, (False,)),
        ({"fused": True}, 1, (True,)),
        ({"fused": False}, 1, (False,)),
    ],
)
def test_when_our_kernels_are_tried(given: dict[str, object], sharing: int, expected: tuple[bool, ...]) -> None:
    asked = Train.model_validate({"device": "cpu", **given})
    assert _open(asked, sharing).fused == expected
    if asked.fused is True:
        assert _open(asked, sharing).compile == (False,)


def test_a_recipe_cannot_have_both_kinds_of_kernels(tmp_path: Path) -> None:
    path = recipe(tmp_path / "small.yaml", class_folders(tmp_path / "pictures"))
    with pytest.raises(RecipeError, match="'fused' and 'compile' don't go together"):
        train(path, {"train.fused": True, "train.compile": True}, root=tmp_path)

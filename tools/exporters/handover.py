"""What the exporters get and are measured on: a packaged model's network, and the pictures of its recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecnn.data import Dataset, Pictures, open_dataset
from edgecnn.packaged import HERE
from edgecnn.recipe import Recipe, load_recipe
from edgecnn.storage import sha256_file, whole_folder
from edgecnn.verbs.pictures import data_spec
from tools.exporters.exporter import Given

FROM = "checkpoint.sha256"


@dataclass(frozen=True)
class Packaged:
    """A packaged model."""

    name: str

    @property
    def folder(self) -> Path:
        """Where its checkpoint, recipe and artifacts lie."""
        return HERE / "models" / self.name

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by."""
        return load_recipe(self.folder / "recipe.yaml")

    def dataset(self) -> Dataset:
        """Its pictures."""
        return open_dataset(data_spec(self.recipe))

    def test(self) -> Pictures:
        """The 10,000 test pictures."""
        return self.dataset().load("test")


def hand_over(model: Packaged, folder: Path) -> Given:
    """Write the network and the calibration pictures that `edgecnn export` takes, where that is not done yet."""
    made_from, digest = folder / FROM, sha256_file(model.folder / "checkpoint/model.safetensors")
    if not (made_from.is_file() and made_from.read_text() == digest):
        with whole_folder(folder) as made:
            _write(model, Given(made))
            (made / FROM).write_text(digest)
    return Given(folder)


def _write(model: Packaged, given: Given) -> None:
    import torch

    from edgecnn.nn.network import plan_network
    from edgecnn.train.checkpoint import load_model
    from edgecnn.verbs.network import calibration_pictures

    recipe, dataset = model.recipe, model.dataset()
    shape = (recipe.input.channels, *recipe.input.size)
    module = plan_network(recipe.model, shape, len(dataset.labels)).build()
    load_model(model.folder / "checkpoint", module)
    example = (torch.zeros(1, *shape),)
    torch.export.save(torch.export.export(module.eval(), example), given.program)
    torch.onnx.export(
        module, example, given.onnx, dynamo=True, external_data=False, input_names=["image"], output_names=["logits"]
    )
    chosen = calibration_pictures(dataset.load("train"), recipe.quantize.calibration.images)
    np.save(given.folder / "calibration.npy", chosen.images)

"""What tests in several folders share: real pictures, bundled or full."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import pytest
from hypothesis import settings

from edgecnn.data import DataSpec, open_dataset
from edgecnn.data.sources import fashion_mnist
from edgecnn.data.sources.cifar10 import SOURCE
from tests.virtual_pi import virtual_pi as virtual_pi  # one fixture for all modules, not one for each

# The machine is shared: how long one example takes says nothing about the code. The same examples in every run.
settings.register_profile("edgecnn", deadline=None, derandomize=True)
settings.load_profile("edgecnn")


@pytest.fixture(scope="session")
def cifar10_dir() -> Path:
    """The folder of the full CIFAR-10 in its binary layout; the test is skipped, with the reason, without it."""
    folder = SOURCE.locate(None)
    if folder is None:
        pytest.skip("needs the full CIFAR-10: set EDGECNN_DATA to the folder that holds cifar-10-batches-bin")
    return folder


@pytest.fixture(scope="session")
def fashion_mnist_dir() -> Path:
    """The folder of the full Fashion-MNIST; without it the test is skipped, with the reason, or fails where CI is set:
    a Debian package has it.
    """
    folder = fashion_mnist.SOURCE.locate(None)
    if folder is None:
        reason = f"needs the full Fashion-MNIST: {fashion_mnist.SOURCE.how_to_get}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def sample_pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A PNG file of each class: label -> path. The first bundled test picture of the class, pixel for pixel."""
    dataset = open_dataset(DataSpec("cifar10_mini", None, 0.1, 32, 32, "crop"))
    pictures = dataset.load("test")
    folder = tmp_path_factory.mktemp("sample_pictures")
    written = {}
    for number, label in enumerate(dataset.labels):
        first = pictures.images[(pictures.classes == number).argmax()]
        written[label] = folder / f"{label}.png"
        assert cv2.imwrite(str(written[label]), first[:, :, ::-1])
    return written

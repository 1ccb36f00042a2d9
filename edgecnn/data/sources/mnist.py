"""MNIST in its IDX files: 60,000 training and 10,000 test pictures of written digits, 28x28, grey.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proc. IEEE 86(11), 1998.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn.data import idx
from edgecnn.data.pictures import Pictures
from edgecnn.data.places import search_dirs
from edgecnn.data.sources import Archive

LABELS = tuple("0123456789")
FOLDERS = ("mnist", "MNIST/raw")
"""Where it lies below a folder of data sets; the second as torchvision puts it."""


@dataclass(frozen=True)
class Mnist:
    """The full set."""

    name: str = "mnist"
    summary: str = "MNIST: 60,000 training and 10,000 test pictures of written digits, 28x28, grey"
    labels: tuple[str, ...] = LABELS
    archive: Archive | None = None
    how_to_get: str = (
        "put its four IDX files (train-images-idx3-ubyte.gz ...) into DIR/mnist; "
        "torchvision.datasets.MNIST('DIR', download=True) fetches them"
    )

    def locate(self, data_dir: Path | None) -> Path | None:
        """DIR/mnist or DIR/MNIST/raw, for each folder DIR that is searched; DIR itself where it is called so."""
        return idx.find(FOLDERS, search_dirs(data_dir))

    def read(self, folder: Path, part: str) -> Pictures:
        """images uint8 [60000 or 10000, 28, 28, 1]; UnusableFile when a file is missing, cut or damaged."""
        return idx.read_part(folder, part, 28, len(LABELS), f"to get them anew: {self.how_to_get}")


SOURCE = Mnist()

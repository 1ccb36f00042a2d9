"""Fashion-MNIST in its IDX files: 60,000 training and 10,000 test pictures of clothes, 28x28, grey.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747; the classes' names are those of its table 1, with underscores.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecnn.data import idx
from edgecnn.data.pictures import Pictures
from edgecnn.data.places import search_dirs
from edgecnn.data.sources import Archive

LABELS = (
    "t-shirt_top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle_boot",
)
FOLDERS = ("fashion-mnist", "FashionMNIST/raw")
"""Where it lies below a folder of data sets; the second as torchvision puts it."""
DEBIAN = Path("/usr/share/datasets")
"""Where Debian's packages put theirs."""


@dataclass(frozen=True)
class FashionMnist:
    """The full set."""

    name: str = "fashion_mnist"
    summary: str = "Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes, 28x28, grey"
    labels: tuple[str, ...] = LABELS
    archive: Archive | None = None
    how_to_get: str = (
        "install them with: sudo apt install dataset-fashion-mnist, or put the four IDX files "
        "(train-images-idx3-ubyte.gz ...) into DIR/fashion-mnist"
    )

    def locate(self, data_dir: Path | None) -> Path | None:
        """DIR/fashion-mnist or DIR/FashionMNIST/raw, for each folder DIR that is searched; then Debian's package."""
        return idx.find(FOLDERS, (*search_dirs(data_dir), DEBIAN))

    def read(self, folder: Path, part: str) -> Pictures:
        """images uint8 [60000 or 10000, 28, 28, 1]; UnusableFile when a file is missing, cut or damaged."""
        return idx.read_part(folder, part, 28, len(LABELS), f"to get them anew: {self.how_to_get}")


SOURCE = FashionMnist()

"""Fashion-MNIST in its IDX files: 60,000 training and 10,000 test pictures of clothes, 28x28, grey.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
Algorithms", arXiv:1708.07747; the classes' names are those of its table 1, with underscores.
"""

from __future__ import annotations

from edgecnn.data.idx import IdxSource

SOURCE = IdxSource(
    name="fashion_mnist",
    summary="Fashion-MNIST: 60,000 training and 10,000 test pictures of clothes, 28x28, grey",
    labels=(
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
    ),
    folders=("fashion-mnist", "FashionMNIST/raw"),  # the second as torchvision puts it
    how_to_get=(
        "install them with: sudo apt install dataset-fashion-mnist, or put the four IDX files "
        "(train-images-idx3-ubyte.gz ...) into DIR/fashion-mnist"
    ),
    packaged=True,
)

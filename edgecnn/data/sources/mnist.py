"""MNIST in its IDX files: 60,000 training and 10,000 test pictures of written digits, 28x28, grey.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proc. IEEE 86(11), 1998.
"""

from __future__ import annotations

from edgecnn.data.idx import IdxSource

SOURCE = IdxSource(
    name="mnist",
    summary="MNIST: 60,000 training and 10,000 test pictures of written digits, 28x28, grey",
    labels=tuple("0123456789"),
    folders=("mnist", "MNIST/raw"),  # the second as torchvision puts it
    how_to_get=(
        "put its four IDX files (train-images-idx3-ubyte.gz ...) into DIR/mnist; "
        "torchvision.datasets.MNIST('DIR', download=True) fetches them"
    ),
)

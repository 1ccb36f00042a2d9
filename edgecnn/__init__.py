"""edgecnn: from a recipe to int8 models that behave the same on every runtime, with proof.

    run = edgecnn.train("recipes/quickstart.yaml")
    artifacts = edgecnn.export(run)
    certificate = edgecnn.verify(artifacts)
    edgecnn.load(artifacts[0].path).predict(image)

Importing does nothing: each name is loaded when it is first used.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "new": "edgecnn.verbs.new",
    "train": "edgecnn.verbs.train",
    "export": "edgecnn.verbs.export",
    "verify": "edgecnn.verbs.verify",
    "evaluate": "edgecnn.verbs.eval",
    "predict": "edgecnn.verbs.predict",
    "inspect": "edgecnn.verbs.inspect",
    "bench": "edgecnn.verbs.bench",
    "compare": "edgecnn.verbs.compare",
    "load": "edgecnn.edge.artifact",
}
__all__ = [
    "__version__",
    "bench",
    "compare",
    "evaluate",
    "export",
    "inspect",
    "load",
    "new",
    "predict",
    "train",
    "verify",
]


with contextlib.suppress(ModuleNotFoundError):  # a device has no such room
    # Loading a package puts it into its parent, once. `train` names a room and a verb: the room is loaded (it is empty
    # by itself) and taken out again now, so that it doesn't take the verb's place when training imports it.
    importlib.import_module("edgecnn.train")
    del globals()["train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'edgecnn' has no attribute '{name}'")

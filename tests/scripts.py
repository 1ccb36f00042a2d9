"""The scripts in tools/, which have no .py in their names, as modules."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[1] / "tools"


def script(name: str) -> Any:
    """A new module of tools/NAME; nothing else in this process sees it."""
    loader = SourceFileLoader(name, str(TOOLS / name))
    spec = spec_from_loader(name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, name, module)  # dataclasses look their module up
        loader.exec_module(module)
    return module

"""A folder is a registry: each of its files holds one thing of a kind, found by looking into the folder."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from edgecnn.errors import EdgecnnError, UsageError, nearest


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str: ...


Thing = TypeVar("Thing", bound=Named)


@cache
def discover(package: str, attribute: str) -> Mapping[str, Any]:
    """What the files of a package call `attribute`, by its name; EdgecnnError where two have one name."""
    folder = importlib.import_module(package).__path__
    modules = (importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(folder))
    return by_name(getattr(module, attribute) for module in modules)


def by_name(things: Iterable[Thing]) -> Mapping[str, Thing]:
    """Things by their names; EdgecnnError where two have the same."""
    found: dict[str, Thing] = {}
    for thing in things:
        if thing.name in found:
            raise EdgecnnError(f"'{thing.name}' is registered twice")
        found[thing.name] = thing
    return MappingProxyType(found)


def look_up(kind: str, name: str, known: Mapping[str, Thing]) -> Thing:
    """The thing of a name; UsageError with the nearest name where there is none."""
    if name not in known:
        raise UsageError(f"unknown {kind} '{name}'{nearest(name, known)}")
    return known[name]

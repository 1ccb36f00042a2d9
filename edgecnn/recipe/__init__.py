"""Human-written YAML -> Recipe: every problem at once, each with file, line and column."""

from __future__ import annotations

from edgecnn.recipe.read import dump_recipe, load_recipe, position
from edgecnn.recipe.schema import Recipe

__all__ = ["Recipe", "dump_recipe", "load_recipe", "position"]

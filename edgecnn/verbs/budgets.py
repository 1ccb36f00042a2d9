"""The budget of a run's recipe, for the models that are measured."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecnn.errors import UsageError
from edgecnn.measuring.subject import Subject
from edgecnn.recipe import load_recipe
from edgecnn.recipe.schema import Budget
from edgecnn.run import Run
from edgecnn.verbs.recipes import at
from edgecnn.verbs.subjects import run_of


@dataclass(frozen=True)
class Found:
    """A budget, and the recipe that it stands in."""

    budget: Budget
    path: Path

    def check_device(self, names: Collection[str]) -> None:
        """RecipeError where the budget is for another device than the one of these names."""
        asked = self.budget.device
        if asked is None or asked in names:
            return
        with at(self.path, None, "budget", "device"):
            raise UsageError(
                f"the budget is for {asked}, and this is {' or '.join(sorted(names))}: measure there, with "
                f"--device {asked}"
            )


def find_budget(subjects: Sequence[Subject]) -> Found:
    """The budget in the resolved recipe of the run that all models are in; UsageError where there is no such thing."""
    found = {run_of(subject.path) for subject in subjects}
    run = found.pop() if len(found) == 1 else None
    if run is None:
        raise UsageError(
            "--check holds the models of one run against its recipe's budget; name a run, or artifacts of one"
        )
    path = Run(run).resolved
    budget = load_recipe(path).budget
    if budget is None:
        raise UsageError(f"{path}: has no budget to check; add one to it, such as `budget: {{p90_ms: 8}}`")
    return Found(budget, path)

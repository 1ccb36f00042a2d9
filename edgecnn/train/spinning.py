"""How long the threads of a step wait for each other awake."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

SPINS = "10000"
"""Some microseconds. GNU OpenMP's own is 300,000 (libgomp's manual, GOMP_SPINCOUNT): while one thread has lost its core
to another process, the others then burn theirs instead of leaving it to them. Two threads on two cores with a third
process beside them train ten times slower for it (`tools/bench_training --busy 1`)."""
SAID = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Where a user says otherwise."""


def spin_briefly(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have GNU OpenMP sleep sooner, unless the environment says otherwise. It looks there once, as torch is loaded: to
    be called before."""
    if not any(name in environment for name in SAID):
        environment["GOMP_SPINCOUNT"] = SPINS

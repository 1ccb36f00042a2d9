"""The C++ compiler on this machine, which makes training kernels: ours (train/fused), and torch.compile's for a CPU."""

from __future__ import annotations

import os
import shutil

NAMES = (os.environ.get("CXX", "c++"), "g++", "clang++")
WANTED = "there is no C++ compiler; install one, such as g++"


def cxx() -> str | None:
    """Its path: that of CXX, or of what is usual; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)

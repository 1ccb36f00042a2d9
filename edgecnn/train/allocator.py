"""How the C library hands out memory while training runs on a CPU."""

from __future__ import annotations

import ctypes
import ctypes.util

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Have glibc keep what is freed instead of giving it back to the kernel; whether it could be told so.

    Activations of some megabytes come and go each step. By default each is mapped anew, and the kernel clears its pages
    first: 1.3 to 1.7 times the time of a whole step. The process keeps its peak, which the next step needs anyway.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl, macOS
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))

"""The command line: flags -> verb -> print. Only this room makes exit codes.

Verbs are imported when they are called: `edgecnn --help` needs click and nothing else.
"""

from __future__ import annotations

from edgecnn.cli.main import main

__all__ = ["main"]

"""`python -m edgecnn.edge`: what a process that has only floor 0 and edge/ can be asked to do.

call ANSWER PULSE     edgecnn.edge.child's other side
"""

from __future__ import annotations

import sys

from edgecnn.edge.child import call


def main(arguments: list[str]) -> None:
    """Do what the first word says."""
    verb, *rest = arguments
    if verb == "call":
        call(int(rest[0]), int(rest[1]))
    else:
        raise SystemExit(f"'{verb}' is nothing that edgecnn.edge does")


if __name__ == "__main__":
    main(sys.argv[1:])

"""`python -m edgecnn.edge`: what a process that has only floor 0 and edge/ can be asked to do.

call ANSWER PULSE     edgecnn.edge.child's other side
bench                 edgecnn.edge.measure.process: requests on stdin, answers on stdout
camera                edgecnn.edge.camera.distant: a session for a person at another machine
watch                 edgecnn.edge.measure.watch: requests on stdin, a device's readings on stdout
capture, infer        edgecnn.edge.camera.capture and .inference: a request on stdin, answers on stdout
"""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    """Do what the first word says."""
    verb, *rest = arguments
    if verb == "call":
        from edgecnn.edge.child import call

        call(int(rest[0]), int(rest[1]))
    elif verb == "bench":
        from edgecnn.edge.measure.process import serve

        serve()
    elif verb == "camera":
        from edgecnn.edge.camera import distant

        distant.serve()
    elif verb == "watch":
        from edgecnn.edge.measure import watch

        watch.serve()
    elif verb == "capture":
        from edgecnn.edge.camera import capture

        capture.serve()
    elif verb == "infer":
        from edgecnn.edge.camera import inference

        inference.serve()
    else:
        raise SystemExit(f"'{verb}' is nothing that edgecnn.edge does")


if __name__ == "__main__":
    main(sys.argv[1:])

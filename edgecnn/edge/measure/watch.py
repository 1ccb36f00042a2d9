"""`python -m edgecnn.edge watch`: a device's readings, whenever they are asked for.

A request is a line of JSON on stdin, an answer a line of JSON on stdout:

    {"do": "use", "sensors": {NAME: Sensor}}        -> {"answer": null}: from now on these commands are asked
    {"do": "read"}                                  -> {"answer": Readings}

With the end of stdin the process ends. Its own process, and one without numpy or an engine: it stays for as long as
anything is measured, and what it holds and does must not be measured with it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from edgecnn.edge.measure.readings import Gauges, Sensor
from edgecnn.records import from_json, to_json


def serve() -> None:
    """Answer requests until there are no more."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    gauges = Gauges()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        answer = None
        if request["do"] == "use":
            gauges = Gauges(_sensors(request["sensors"]))
        else:
            answer = to_json(gauges.read())
        out.write(json.dumps({"answer": answer}).encode() + b"\n")
        out.flush()


def _sensors(given: Mapping[str, Any]) -> dict[str, Sensor]:
    return {name: from_json(Sensor, sensor, name) for name, sensor in given.items()}

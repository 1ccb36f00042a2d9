"""One conversion, in the exporter's own environment: python -m tools.exporters.convert EXPORTER SETTING GIVEN OUT

The last line of its output is JSON: the model file, and the packages that are installed.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import distributions
from pathlib import Path

from tools.exporters.exporter import Given, find_exporter


def main() -> None:
    """Convert, and say what was made."""
    exporter, setting, given, out = sys.argv[1:]
    model = find_exporter(exporter).setting(setting).convert(Given(Path(given)), Path(out))
    versions = {found.metadata["Name"]: found.version for found in distributions()}
    print("\n" + json.dumps({"model": str(model), "versions": dict(sorted(versions.items()))}), flush=True)


if __name__ == "__main__":
    main()

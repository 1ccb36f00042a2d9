"""A file made by an exporter, in its own environment: how long that takes, and what it gives."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecnn.errors import EdgecnnError
from edgecnn.storage import sha256, sha256_file
from tools.exporters.environment import Environment
from tools.exporters.exporter import ROOT, Exporter, Given, Setting
from tools.exporters.journal import Converted, Key

CONVERSIONS = 3


@dataclass(frozen=True)
class Conversion:
    """What is to be made, from what, and into which folder."""

    model: str
    exporter: Exporter
    setting: Setting
    given: Given
    out: Path

    @property
    def key(self) -> Key:
        """How its file is called in the journal."""
        return Key(self.model, self.exporter.name, self.setting.name)


def convert(of: Conversion, place: Environment) -> Converted:
    """Make the file, as often as `CONVERSIONS` says; EdgecnnError where the exporter fails."""
    runs = [_run(of, place.python) for _ in range(CONVERSIONS)]
    answer = runs[-1][0]
    model = Path(answer["model"])
    parts = [path for path in (model, model.with_suffix(".bin")) if path.is_file()]
    return Converted(
        key=of.key,
        form=of.setting.form,
        path=str(model.relative_to(ROOT)),
        bytes=sum(part.stat().st_size for part in parts),
        sha256=sha256("".join(map(sha256_file, parts)).encode()),
        seconds=statistics.median(seconds for _, seconds in runs),
        n=len(runs),
        installed_mb=place.installed_mb,
        torch_mb=place.torch_mb,
        versions=answer["versions"],
    )


def _run(of: Conversion, python: Path) -> tuple[dict[str, Any], float]:
    """What a conversion answers, and the seconds of its process."""
    shutil.rmtree(of.out, ignore_errors=True)
    of.out.mkdir(parents=True)
    words = [of.exporter.name, of.setting.name, str(of.given.folder), str(of.out)]
    command = [str(python), "-m", "tools.exporters.convert", *words]
    log = of.out / "log.txt"
    began = time.perf_counter()
    with log.open("w") as written:
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=written, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise EdgecnnError(f"{of.exporter.name}, {of.setting.name}: failed ({done.returncode}); its words are in {log}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer, seconds

"""`edgecnn train` on a disk that fills up right before each of its writes: nothing is lost, and it goes on after."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecnn.train.checkpoint import Checkpoints
from edgecnn.verbs.listener import Listener
from edgecnn.verbs.train import train
from tests.small_disk import edgecnn_on_full_disk, free, small_disk
from tests.train.test_checkpoint import silent, whole
from tests.verbs.small_runs import class_folders, edgecnn, recipe, tree

EPOCHS = 8
QUICK = (7, 20)
"""Writes that tools/test looks at; .ci/run looks at all twenty."""


@dataclass(frozen=True)
class Begun:
    """A run of which one epoch is done, and the weights that it comes to by itself."""

    run: Path
    last: bytes
    best: bytes


class Copier(Listener):
    """Copies the run as it is after its first epoch."""

    def __init__(self, to: Path) -> None:
        self._to, self._run = to, Path()

    def started(self, run: Path) -> None:
        self._run = run

    def epoch(self, epoch: object) -> None:
        if not self._to.exists():
            shutil.copytree(self._run, self._to)


def weights(run: Path, name: str) -> bytes:
    return (run / "checkpoints" / name / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Begun:
    folder = tmp_path_factory.mktemp("begun")
    path = recipe(folder / "small.yaml", class_folders(folder / "pictures"))
    copier = Copier(folder / "begun")
    run = train(path, {"train.epochs": EPOCHS}, root=folder / "runs", listener=copier).run
    return Begun(folder / "begun", weights(run, "last"), weights(run, "best"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "write", [pytest.param(write, marks=() if write in QUICK else pytest.mark.long) for write in range(1, 21)]
)
def test_a_disk_that_fills_up(write: int, begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "disk", mib=8) as disk:
        run = disk / "runs/small"
        shutil.copytree(begun.run, run)
        before = tree(run / "checkpoints/last")
        left = edgecnn_on_full_disk(write, disk, "train", run, cwd=tmp_path)
        assert left.returncode == 5, left.stderr
        assert "Traceback" not in left.stderr
        assert "free some space" in left.stderr.splitlines()[-1]
        free(disk)
        assert [path for path in disk.rglob("*") if path.name.startswith(".") or path.name.endswith(".tmp")] == []

        for name in {"last", "best", "previous"} & {path.name for path in (run / "checkpoints").iterdir()}:
            whole(run / "checkpoints" / name)
        read = Checkpoints(run / "checkpoints").newest(silent)
        assert read is not None
        assert read[1].epoch > 1 or tree(run / "checkpoints/last") == before

        monkeypatch.chdir(tmp_path)
        done = edgecnn("train", run)
        assert done.code == 0, done.err
        assert (weights(run, "last"), weights(run, "best")) == (begun.last, begun.best)
        monkeypatch.chdir("/")

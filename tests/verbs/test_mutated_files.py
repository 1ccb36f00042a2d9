"""Damaged model files end in one sentence and exit code 3, or run: a sample of what tools/fuzz_models does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.verbs.mutated import FORMATS, VERBS, Originals, forked, mutated, originals, outcome

FRESH, SAMPLE = 2, 40
"""Files a format that are opened in fresh processes, and in forks."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    return originals(tmp_path_factory.mktemp("originals"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("verb", VERBS)
def test_whole_files_run(whole: Originals, form: str, verb: str, tmp_path: Path) -> None:
    for seed in (0, 2):
        parts = whole.parts(form, seed)
        for name, content in parts.items():
            (tmp_path / name).write_bytes(content)
        found = outcome(verb, tmp_path / next(iter(parts)), whole)
        assert (found.code, found.fault) == (0, ""), found.said


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("form", FORMATS)
def test_mutated_files(whole: Originals, form: str, tmp_path: Path) -> None:
    refused = 0
    with forked():
        for seed in range(SAMPLE):
            model = mutated(whole, form, seed, tmp_path)
            for verb in VERBS:
                found = outcome(verb, model, whole)
                assert not found.fault, f"{form} seed {seed}: {found}"
                refused += found.code != 0
    assert refused > SAMPLE // 2, "the files are not damaged"


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMATS)
def test_mutated_files_in_fresh_processes(whole: Originals, form: str, tmp_path: Path) -> None:
    for seed in range(FRESH):
        model = mutated(whole, form, seed, tmp_path)
        for verb in VERBS:
            found = outcome(verb, model, whole)
            assert not found.fault, f"{form} seed {seed}: {found}"


@pytest.mark.slow
def test_without_a_child_such_a_file_kills_the_process(whole: Originals, tmp_path: Path) -> None:
    """What the children are for: the first file that one of them dies of, opened without one."""
    with forked():
        for seed in range(0, 600, 2):  # those with wrong fields
            model = mutated(whole, "tflite", seed, tmp_path)
            found = outcome("inspect", model, whole)
            if "an engine died of it (SIG" in found.said:
                break
        else:
            pytest.fail("no file is bad enough")
    assert found.code == 3
    request = {"path": str(model), "format": "tflite", "runtime": "litert", "threads": 1, "bytes": 1}
    code = f"from edgecnn.inspection.report import look_through; look_through({request!r})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode < 0

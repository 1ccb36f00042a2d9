"""Damaged model files end in one sentence and exit code 3, or run: a sample of what tools/fuzz_models does."""

from __future__ import annotations

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
    for seed in (0, 1):
        parts = whole.parts(form, seed)
        for name, content in parts.items():
            (tmp_path / name).write_bytes(content)
        found = outcome(verb, tmp_path / next(iter(parts)), whole)
        assert (found.code, found.fault) == (0, ""), found.said


@pytest.mark.slow
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

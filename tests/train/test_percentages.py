"""The temperature against torch's own optimizer, the threshold against counting, and what few pictures can't tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from edgecnn.metrics import nll, softmax
from edgecnn.records import write_json
from edgecnn.train import percentages
from edgecnn.train.percentages import fit_percentages, fit_temperature, read_percentages, unsure_below


def answers(hot: float, n: int = 400, classes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """float32 logits [N, K] that are `hot` times too sure of themselves: classes are drawn by their own softmax."""
    draw = np.random.default_rng(seed)
    honest = draw.normal(0, 2.0, (n, classes))
    right = np.array([draw.choice(classes, p=p) for p in softmax(honest)])
    return (hot * honest).astype(np.float32), right


@pytest.mark.parametrize("hot", [0.2, 0.7, 1.0, 3.0, 9.0])
def test_the_temperature_is_the_one_torch_finds(hot: float) -> None:
    logits, right = answers(hot)
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    given, classes = torch.from_numpy(logits).double(), torch.from_numpy(right)
    search = torch.optim.LBFGS([log_t], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        search.zero_grad()
        value = functional.cross_entropy(given / log_t.exp(), classes)
        value.backward()
        return value

    search.step(loss)
    found = fit_temperature(logits, right)
    assert found == pytest.approx(log_t.exp().item(), rel=1e-5)
    assert found == pytest.approx(hot, rel=0.25), "and it is near the truth"


def test_any_other_temperature_is_worse() -> None:
    """The fault planted: a temperature a tenth off, either way, raises the NLL."""
    logits, right = answers(2.0)
    best = fit_temperature(logits, right)
    for wrong in (0.9 * best, 1.1 * best):
        assert nll(logits / wrong, right) > nll(logits / best, right) + 1e-5


def test_the_ends_of_the_search_hold() -> None:
    logits, right = answers(1.0)
    assert fit_temperature(logits * 1000, right) == pytest.approx(percentages.HOTTEST)
    assert fit_temperature(logits / 1000, right) == pytest.approx(percentages.COLDEST)


def test_overconfident_answers_become_honest() -> None:
    logits, right = answers(4.0, n=2000)
    found = fit_percentages(logits, right, "abc")
    assert found.nll < found.nll_plain
    assert found.ece < 0.04 < 0.1 < found.ece_plain
    assert (found.n, found.checkpoint, found.note) == (2000, "abc", "")


def counted(probabilities: np.ndarray, right: np.ndarray, threshold: float) -> float:
    over = [p.argmax() == c for p, c in zip(probabilities, right, strict=True) if p.max() >= threshold]
    return float(np.mean(over))


@pytest.mark.parametrize("hot", [0.5, 1.0, 2.0])
def test_answers_over_the_threshold_are_right_and_it_is_the_lowest_such(hot: float) -> None:
    logits, right = answers(hot, n=600)
    probabilities = softmax(logits)
    found = unsure_below(probabilities, right)
    lower = [p for p in probabilities.max(axis=1) if percentages.LEAST_SURE < p < found]
    if found < percentages.SUREST:
        assert counted(probabilities, right, found) >= percentages.TRUSTED
    assert all(counted(probabilities, right, p) < percentages.TRUSTED for p in lower)


def two(*sure: float) -> np.ndarray:
    """Probabilities of two classes, of which the first is the likelier."""
    return np.array([[p, 1 - p] for p in sure])


@pytest.mark.parametrize(
    ("sure", "right", "expected"),
    [
        ((0.9, 0.8, 0.7, 0.6), (0, 0, 0, 1), 0.7),
        ((0.9, 0.8, 0.7, 0.6), (0, 1, 0, 0), 0.9),  # only the surest one is certain
        ((0.99, 0.8, 0.7, 0.6), (1, 0, 0, 0), 0.6),  # 95 % is out of reach: three in four is the most there is
        ((0.8, 0.8, 0.7), (0, 1, 1), 0.8),  # equal ones are one threshold
        ((0.99, 0.95), (0, 1), 0.9),  # no further than that
    ],
)
def test_the_threshold_by_hand(sure: tuple[float, ...], right: tuple[int, ...], expected: float) -> None:
    assert unsure_below(two(*sure), np.array(right)) == pytest.approx(expected)


def test_a_low_threshold_is_raised() -> None:
    probabilities = np.full((10, 8), 0.1)
    probabilities[:, 3] = 0.3 - 1e-9
    assert unsure_below(probabilities, np.full(10, 3)) == percentages.LEAST_SURE


def test_where_all_are_right_nothing_is_fitted() -> None:
    """The likelihood would grow without end as T falls: 30 lucky answers would all become 100 %."""
    found = fit_percentages(np.eye(5, dtype=np.float32)[np.arange(30) % 5] * 3, np.arange(30) % 5, "abc")
    assert found.temperature == 1.0
    assert found.nll == found.nll_plain
    assert found.note.startswith("every validation picture is right")


def test_few_pictures_are_said_to_be_few() -> None:
    assert fit_percentages(*answers(1.0, n=99), "").note.startswith("rough: 99 validation pictures are few")
    assert fit_percentages(*answers(1.0, n=100), "").note == ""


def test_few_pictures_make_no_answer_surer() -> None:
    """29 of 30 right, as the luckiest of many checkpoints has it, would make 60 % out to be 99 %."""
    logits, right = np.eye(5, dtype=np.float32)[np.arange(30) % 5] * 1.5, np.arange(30) % 5
    right[0] = 1
    assert fit_temperature(logits, right) < 0.5
    assert fit_percentages(logits, right, "").temperature == 1.0
    assert fit_percentages(*answers(3.0, n=60), "").temperature > 1.5, "less sure they may become"


def test_files_that_give_probabilities_have_no_temperature() -> None:
    logits, right = answers(3.0)
    found = fit_percentages(logits, right, "abc", "probabilities")
    assert found.temperature == 1.0
    assert found.unsure_below == unsure_below(softmax(logits.astype(np.float64)), right)


def test_what_was_fitted_to_another_checkpoint_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "percentages.json"
    assert read_percentages(path, "abc") is None
    written = fit_percentages(*answers(2.0), "abc")
    write_json(path, written)
    assert read_percentages(path, "abc") == written
    assert read_percentages(path, "abd") is None
    path.write_text(path.read_text()[:-20])
    assert read_percentages(path, "abc") is None, "a damaged one is fitted anew"

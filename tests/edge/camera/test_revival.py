"""Pauses that grow while a thing keeps failing, and begin anew when it has done well."""

from __future__ import annotations

from edgecnn.edge.camera.revival import HEALTHY_S, PAUSES_S, Revival


def test_pauses_grow_to_the_longest_and_stay_there() -> None:
    revival = Revival()
    assert [revival.failed(100.0) for _ in range(len(PAUSES_S) + 3)] == [*PAUSES_S, *[PAUSES_S[-1]] * 3]
    assert list(PAUSES_S) == sorted(PAUSES_S)


def test_it_is_due_once_when_the_pause_is_over() -> None:
    revival = Revival()
    assert not revival.is_due(0.0), "nothing has failed"
    revival.failed(100.0)
    assert not revival.is_due(100.0 + PAUSES_S[0] - 0.01)
    assert revival.is_due(100.0 + PAUSES_S[0])
    assert not revival.is_due(1e9)
    assert revival.restarts == 1


def test_after_doing_well_the_pauses_begin_anew() -> None:
    revival = Revival()
    for _ in range(4):
        revival.failed(100.0)
    revival.worked(200.0, 200.0 + HEALTHY_S - 0.1)
    assert revival.failures == 4
    revival.worked(200.0, 200.0 + HEALTHY_S)
    assert revival.failed(300.0) == PAUSES_S[0]

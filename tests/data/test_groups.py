"""Connected components against a search that knows nothing of union and find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgecnn.data.groups import connected, divided

PAIRS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15)


@given(PAIRS)
def test_connected_is_what_can_be_reached(pairs: list[tuple[int, int]]) -> None:
    def reached(start: int) -> tuple[int, ...]:
        found, new = {start}, {start}
        while new:
            new = {b for a, b in pairs if a in new} | {a for a, b in pairs if b in new}
            new -= found
            found |= new
        return tuple(sorted(found))

    assert connected(12, pairs) == tuple(dict.fromkeys(reached(place) for place in range(12)))


def test_divided() -> None:
    groups = ((0, 1), (2, 3, 4), (5,))
    assert divided(groups, ["train", "train", "val", "val", "val", "test"]) == ()
    assert divided(groups, ["train", "val", "val", "val", "test", "test"]) == ((0, 1), (2, 3, 4))

"""Splitting: what is alike stays on one side, every class gets its share, and only the files' content decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecnn.data.groups import connected, divided
from edgecnn.data.pictures import SPLITS
from edgecnn.data.shares import ENOUGH, LIMITS, SHARE, Shares, share_out, split_groups
from edgecnn.data.shots import CUT_S
from edgecnn.data.splits import hold_out
from edgecnn.data.survey import Survey, look_through
from edgecnn.data.unsplit import read_unsplit
from edgecnn.edge.camera.record import file_name
from edgecnn.errors import UnusableFile
from tests.data.photos import photos, plant_bursts, plant_copies, real, write


def shared(root: Path) -> tuple[Survey, Shares]:
    unsplit = read_unsplit(root)
    survey = look_through(unsplit.files)
    return survey, share_out(survey, unsplit.labels)


def sides(survey: Survey, splits: tuple[str, ...], names: set[str]) -> set[str]:
    """The splits in which these pictures are."""
    return {split for name, split in zip(survey.files.names, splits, strict=True) if name in names}


def table(survey: Survey, splits: tuple[str, ...]) -> dict[str, list[int]]:
    """Of each split the pictures of each class."""
    named = np.array(splits)
    return {split: np.bincount(survey.files.classes[named == split]).tolist() for split in SPLITS}


def test_copies_and_bursts_stay_on_one_side_and_a_plain_draw_parts_them(tmp_path: Path) -> None:
    photos(tmp_path)
    planted = plant_copies(tmp_path, "cat", range(8)) + plant_bursts(tmp_path, "ship", 6)
    survey, shares = shared(tmp_path)
    assert [names for names in planted if len(sides(survey, shares.splits, names)) != 1] == []
    assert divided(shares.groups, shares.splits) == ()
    assert len(shares.bursts) == 6 * 3

    # The fault planted: pictures drawn one by one, as validation pictures are where nobody looks at them.
    train, val = hold_out(survey.files.classes, 0.2, ("cat", "ship", "truck"))
    drawn = tuple("train" if place in set(train.tolist()) else "val" for place in range(len(train) + len(val)))
    parted = [names for names in planted if len(sides(survey, drawn, names)) != 1]
    assert len(parted) >= 5
    assert len(divided(shares.groups, drawn)) >= len(parted)


def test_each_class_has_its_share(tmp_path: Path) -> None:
    photos(tmp_path, 40)
    survey, shares = shared(tmp_path)
    assert table(survey, shares.splits) == {"train": [30] * 3, "val": [5] * 3, "test": [5] * 3}
    assert shares.limit == LIMITS[0]


def test_of_few_a_quarter_at_most_is_held_out(tmp_path: Path) -> None:
    photos(tmp_path, 10)
    survey, shares = shared(tmp_path)
    assert table(survey, shares.splits) == {"train": [6] * 3, "val": [2] * 3, "test": [2] * 3}


def test_neither_names_nor_order_matter(tmp_path: Path) -> None:
    def by_content(root: Path) -> dict[str, str]:
        survey, shares = shared(root)
        return {seen.sha256: split for seen, split in zip(survey.seen, shares.splits, strict=True)}

    before = by_content(photos(tmp_path / "a"))
    for path in photos(tmp_path / "b").glob("*/*.png"):
        path.rename(path.with_name(f"{999 - int(path.stem):03} renamed.png"))
    assert by_content(tmp_path / "b") == before


def test_pictures_that_are_added_move_few_of_the_others(tmp_path: Path) -> None:
    photos(tmp_path, 40)
    before = dict(zip(*names_and_splits(tmp_path), strict=True))
    photos(tmp_path, 44)
    after = dict(zip(*names_and_splits(tmp_path), strict=True))
    moved = [name for name, split in before.items() if after[name] != split]
    assert len(moved) <= len(before) / 10, "drawn anew, about half would be in another"


def names_and_splits(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    survey, shares = shared(root)
    return survey.files.names, shares.splits


def test_the_same_file_twice_is_alike_though_it_is_of_one_colour(tmp_path: Path) -> None:
    photos(tmp_path)
    for number in range(6):
        for label in ("cat", "ship"):
            write(tmp_path / label / f"flat{number}.png", np.full((32, 32, 3), 40 * number, np.uint8))
    survey, shares = shared(tmp_path)
    for number in range(6):
        assert len(sides(survey, shares.splits, {f"{label}/flat{number}.png" for label in ("cat", "ship")})) == 1


def test_a_camera_that_stands_still(tmp_path: Path) -> None:
    """One scene with something small in it: at the first limit everything is alike, at a later one there are kinds."""
    scene = np.repeat(np.repeat(real("ship")[0], 2, axis=0), 2, axis=1)
    for label in ("cat", "truck"):
        for number, image in enumerate(real(label)[:30]):
            frame = scene.copy()
            top, left = 4 * (number % 7), 4 * (number % 5)
            frame[top : top + 20, left : left + 20] = image[6:26, 6:26]
            write(tmp_path / label / f"{number:03}.png", frame)
    survey, shares = shared(tmp_path)
    assert shares.limit < LIMITS[0]
    assert min(min(counts) for counts in table(survey, shares.splits).values()) >= 4
    assert divided(shares.groups, shares.splits) == ()


def test_too_few_and_too_alike(tmp_path: Path) -> None:
    photos(tmp_path, 12)
    for number in range(5):
        (tmp_path / f"cat/{number:03}.png").unlink()
    with pytest.raises(UnusableFile, match=r"too few pictures: cat has 7, and a class needs at least 10"):
        shared(tmp_path)
    plant_bursts(tmp_path, "cat", 1, 30)
    for number in range(5, 12):
        (tmp_path / f"cat/{number:03}.png").unlink()
    with pytest.raises(UnusableFile, match=r"^too much alike: the 30 pictures of cat come down to 1, where .* add "):
        shared(tmp_path)


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, int]]]:
    """Classes of 10 to 60 pictures, and pairs that chain some of them."""
    counts = draw(st.lists(st.integers(10, 60), min_size=2, max_size=4))
    classes = [number for number, count in enumerate(counts) for _ in range(count)]
    place = st.integers(0, len(classes) - 1)
    return classes, draw(st.lists(st.tuples(place, place), max_size=40))


@given(grouped())
def test_whatever_is_chained(chained: tuple[list[int], list[tuple[int, int]]]) -> None:
    classes, pairs = chained
    groups = connected(len(classes), pairs)
    splits = np.array(split_groups(groups, np.array(classes), [f"{place}" for place in range(len(classes))]))
    assert divided(groups, splits.tolist()) == ()
    for number in set(classes):
        mine = splits[np.array(classes) == number]
        share = max(ENOUGH, round(SHARE * len(mine)))
        assert (mine == "train").sum() >= len(mine) / 3
        for split in ("val", "test"):
            singles = sum(len(group) == 1 and classes[group[0]] == number for group in groups)
            assert (mine == split).sum() <= max(2 * share, max(map(len, groups)))
            if singles >= 2 * share:
                assert (mine == split).sum() >= min(share, len(mine) // 4)


def test_a_session_that_was_recorded_is_cut_into_bursts(tmp_path: Path) -> None:
    """A frame a second for two minutes, of two classes by turns: one burst, were it not cut."""
    for number, image in enumerate(real("ship")[:120]):
        name = file_name(1_795_578_301_000_000_000 + number * 1_010_000_000, 0.9)
        write(tmp_path / ("cat", "truck")[number % 2] / name, image)
    survey, shares = shared(tmp_path)
    assert shares.longest_s == CUT_S
    for counts in table(survey, shares.splits).values():
        assert min(counts) >= 5
    assert divided(shares.groups, shares.splits) == ()

"""What is found in a folder of pictures: through links, past litter and runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from edgecnn.data.walk import class_names, find_pictures, passed_over
from tests.data.photos import photos, real, write


def found(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in find_pictures(folder)[0]]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 1)
    write(tmp_path / "elsewhere/a.png", real("cat")[5])
    (root / "cat/2024").symlink_to(tmp_path / "elsewhere")
    (root / "cat/again").symlink_to(tmp_path / "elsewhere")
    assert found(root / "cat") == ["000.png", "2024/a.png"]
    (root / "dog").symlink_to(root / "cat")
    assert class_names(root) == ("cat", "dog", "ship", "truck")
    assert found(root / "dog") == ["000.png", "2024/a.png"]


def test_a_link_that_leads_back_up(tmp_path: Path) -> None:
    root = photos(tmp_path / "photos", 1)
    (root / "cat/up").symlink_to(root)
    (root / "cat/itself").symlink_to(root / "cat")
    assert found(root / "cat") == ["000.png", "up/ship/000.png", "up/truck/000.png"]


def test_the_folder_itself_is_taken_before_a_link_to_it(tmp_path: Path) -> None:
    write(tmp_path / "b/a.png", real("cat")[0])
    (tmp_path / "a").symlink_to(tmp_path / "b")
    assert found(tmp_path) == ["b/a.png"]


def test_what_archives_and_network_drives_leave_behind(tmp_path: Path) -> None:
    """A network drive's @eaDir holds a folder of thumbnails for each picture."""
    root = photos(tmp_path, 1)
    write(root / "cat/@eaDir/000.png/SYNOPHOTO_THUMB_XL.jpg", real("cat")[0])
    write(root / "__MACOSX/cat/._000.png", real("cat")[0])
    write(root / "__MACOSX/cat/000.png", real("cat")[0])
    assert class_names(root) == ("cat", "ship", "truck")
    assert found(root / "cat") == ["000.png"]


def test_runs_are_no_class_but_a_class_may_be_called_so(tmp_path: Path) -> None:
    root = photos(tmp_path, 1)
    write(root / "runs/tracks/a.png", real("cat")[0])
    assert class_names(root) == ("cat", "runs", "ship", "truck")
    assert len(found(root)) == 4
    (root / "runs/tracks/resolved.yaml").write_text("name: tracks\n")
    assert class_names(root) == ("cat", "ship", "truck")
    assert found(root) == ["cat/000.png", "ship/000.png", "truck/000.png"]


def test_what_is_said_of_other_files() -> None:
    folder = Path("photos")
    assert passed_over(folder, {"cat": Counter(), "dog": Counter()}) == ""
    others = {"cat": Counter({".txt": 1}), "dog": Counter()}
    assert passed_over(folder, others) == "photos: passed over 1 file of other types (1 .txt)"
    others["dog"] = Counter({".heic": 12, ".mp4": 1})
    assert passed_over(folder, others) == (
        "photos: passed over 14 files of other types (12 .heic, 1 .mp4, 1 .txt); of these are pictures: dog has "
        "12 .heic: convert them to JPEG or PNG"
    )

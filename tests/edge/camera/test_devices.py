"""devices.py on folders laid out as /sys is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgecnn.edge.camera.devices import Camera, cameras, others, why_not


def device(known: Path, number: int, name: str | None, index: str | None = "0") -> None:
    folder = known / f"video{number}"
    folder.mkdir(parents=True)
    for file, said in (("name", name), ("index", index)):
        if said is not None:
            (folder / file).write_text(f"{said}\n")


def test_cameras_are_listed_by_number_and_metadata_is_left_out(tmp_path: Path) -> None:
    device(tmp_path, 10, "HD Pro Webcam C920")
    device(tmp_path, 2, "Integrated Camera: Integrated C")
    device(tmp_path, 3, "Integrated Camera: Integrated C", index="1")
    device(tmp_path, 4, None, index=None)
    (tmp_path / "v4l-subdev0").mkdir()
    assert cameras(tmp_path) == (
        Camera("/dev/video2", "Integrated Camera: Integrated C"),
        Camera("/dev/video4", "unnamed"),
        Camera("/dev/video10", "HD Pro Webcam C920"),
    )
    assert cameras(tmp_path / "none") == ()


def test_a_sentence_says_which_cameras_there_are() -> None:
    assert "knows no camera" in others([])
    assert others([Camera("/dev/video0", "C920")]) == "there are /dev/video0 (C920)"
    assert others([Camera("/dev/video0", "unicam-image")]).endswith("ribbon cable is picamera://0")
    assert others([Camera("/dev/video0", "vi-output, imx219 10-0010")]).endswith("ribbon cable is csi://0")


def test_why_a_camera_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = [Camera("/dev/video0", "C920")]
    assert why_not("/dev/video97", there) == "/dev/video97: there is no such camera; there are /dev/video0 (C920)"
    node = tmp_path / "video0"
    node.touch()
    assert "another program may hold it" in why_not(str(node), there)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    assert "this user may not open it: sudo usermod -aG" in why_not(str(node), there)

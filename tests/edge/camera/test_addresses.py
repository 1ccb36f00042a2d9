"""addresses.py: what a text is, and that no secret of it is shown."""

from __future__ import annotations

import pytest

from edgecnn.edge.camera.addresses import has_scheme, is_path, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:hunter2@10.0.0.7:554/live", "rtsp://***@10.0.0.7:554/live"),
        ("http://admin@10.0.0.7/video", "http://***@10.0.0.7/video"),
        ("rtsp://admin:hun@ter2/#?@10.0.0.7/live", "rtsp://***@10.0.0.7/live"),
        ("http://10.0.0.7/snap?user=a&pwd=hunter2", "http://10.0.0.7/snap?***"),
        ("gst:rtspsrc location=rtsp://a:hunter2@h/x user-pw=hunter2 ! appsink", None),
        ("rstp://admin:hunter2@typo", "rstp://***@typo"),
        ("http://10.0.0.7:8080/video", "http://10.0.0.7:8080/video"),
        ("/dev/video0", "/dev/video0"),
        ("photos/a@b?.jpg", "photos/a@b?.jpg"),
    ],
)
def test_secrets_are_not_shown(text: str, expected: str | None) -> None:
    assert "hunter2" not in shown(text)
    if expected is not None:
        assert shown(text) == expected
    assert shown(shown(text)) == shown(text)


def test_paths_are_told_from_addresses_and_devices() -> None:
    for text in ("photos", "./0", "a/b.mp4", "c:d", "gst", "ü.avi"):
        assert is_path(text), text
    for text in ("", "0", "12", "/dev/video0", "rtsp://h/x", "FAKE://", "gst:a/b.mp4"):
        assert not is_path(text), text


def test_schemes_are_read_in_either_case() -> None:
    assert has_scheme("RTSP://h", "http", "rtsp")
    assert not has_scheme("rtsp:/h", "rtsp")
    assert not has_scheme("rtspx://h", "rtsp")

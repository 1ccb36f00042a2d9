"""What the page's viewers are sent: JPEG once for all, JSON that holds whatever a label or a figure is."""

from __future__ import annotations

import asyncio
import json
import math

import cv2
import numpy as np
import pytest

from edgecnn.edge.camera.live import Live, Shown
from edgecnn.edge.camera.views import feed as feeds
from edgecnn.edge.camera.views.feed import LONGEST_SIDE, Feed, encode, event, part
from edgecnn.edge.pixels import Part
from tests.edge.camera.views.client import eventually
from tests.edge.camera.views.scene import Camera, card, picture, result


def decoded(jpeg: bytes) -> np.ndarray:
    """RGB, as a browser sees it."""
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_the_picture_is_the_one_that_was_shown() -> None:
    shown = decoded(encode(Shown(picture(3), result())))
    assert shown.shape == (240, 320, 3)
    assert np.abs(shown[80:100, 30:70].astype(int) - (240, 200, 30)).max() < 12, "red stays red"


def test_a_heat_map_is_on_it() -> None:
    plain, hot = (
        decoded(encode(Shown(picture(), result(), heat, Part(0, 40, 240, 240)))).astype(int)
        for heat in (None, np.full((4, 4), 255, np.uint8))
    )
    assert np.abs(plain - hot)[:, 50:270].mean() > 30
    assert np.abs(plain - hot)[:, :30].mean() < 3


@pytest.mark.parametrize(
    ("size", "sent"),
    [((1080, 1920), (720, 1280)), ((3000, 1000), (1280, 427)), ((480, 640), (480, 640)), ((1, 9000), (1, 1280))],
)
def test_a_large_picture_is_shrunk(size: tuple[int, int], sent: tuple[int, int]) -> None:
    shown = decoded(encode(Shown(np.zeros((*size, 3), np.uint8), result())))
    assert shown.shape[:2] == sent
    assert max(sent) <= LONGEST_SIDE


def test_a_part_ends_with_the_next_ones_boundary() -> None:
    assert part(b"JPEG") == b"Content-Type: image/jpeg\r\nContent-Length: 4\r\n\r\nJPEG\r\n--frame\r\n"


@pytest.mark.parametrize(
    "text", ["a\nb\r\n\n\ndata: x", "\u2028\u2029\x85\x00", "</script><script>", 'quo"te', "\udcff", "🚲"]
)
def test_an_event_is_one_line_of_json(text: str) -> None:
    name, data, *rest = event("result", {"label": text}).decode("ascii").split("\n")
    assert (name, rest) == ("event: result", ["", ""])
    assert json.loads(data.removeprefix("data: ")) == {"label": text}


def test_what_is_no_number_is_absent() -> None:
    data = event("x", {"a": [math.nan, {"b": math.inf}], "c": 0.5}).split(b"data: ")[1]
    assert json.loads(data) == {"a": [None, {"b": None}], "c": 0.5}


def test_each_picture_is_encoded_once_and_only_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = []
    monkeypatch.setattr(feeds, "encode", lambda shown: encoded.append(shown.result.frame) or b"jpeg")
    live = Live(card())

    async def look() -> None:
        feed = Feed(live)
        feed.start(asyncio.get_running_loop())
        try:
            await asyncio.sleep(0.3)
            assert feed.results.empty
            assert not encoded
            assert not live.watched
            assert feed.event_seats.take()
            await feed.results.after(0)
            assert live.watched
            assert not encoded, "events need no pictures"
            for _ in range(5):
                assert feed.picture_seats.take()
            seen, _ = await feed.pictures.after(0)
            await feed.pictures.after(seen + 3)
            for _ in range(5):
                feed.picture_seats.free()
            feed.event_seats.free()
            assert not live.watched
            await asyncio.sleep(0.1)  # what was being encoded
            before = len(encoded)
            await asyncio.sleep(0.3)
            assert len(encoded) == before
        finally:
            await asyncio.to_thread(feed.stop)

    with Camera(live):
        asyncio.run(look())
    assert encoded == sorted(encoded)
    assert len(encoded) <= len(set(encoded)) + 1, "the first viewer may come while a picture is taken"


def test_who_comes_while_the_camera_is_silent_sees_the_last_picture() -> None:
    live = Live(card())
    live.put(Shown(picture(), result(7)))

    async def look() -> None:
        feed = Feed(live)
        feed.start(asyncio.get_running_loop())
        try:
            for _ in range(2):
                assert feed.event_seats.take()
                _, told = await asyncio.wait_for(feed.results.after(0), 5)
                assert b'"frame": 7' in told
                assert feed.picture_seats.take()
                _, shown = await asyncio.wait_for(feed.pictures.after(0), 5)
                assert b"image/jpeg" in shown
                feed.picture_seats.free()
                feed.event_seats.free()
        finally:
            await asyncio.to_thread(feed.stop)

    asyncio.run(look())


def test_a_camera_that_stops_ends_the_thread() -> None:
    live = Live(card())

    async def look() -> None:
        feed = Feed(live)
        feed.start(asyncio.get_running_loop())
        assert feed.event_seats.take()
        live.close()
        assert await asyncio.to_thread(eventually, lambda: not feed._thread.is_alive())
        feed.stop()

    asyncio.run(look())

"""The page in Chromium: it moves, it comes back, it holds what hostile labels throw at it; and its colours, by sums."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver

from edgecnn.edge.camera.live import Live, Shown
from edgecnn.edge.camera.views import stream, web
from edgecnn.edge.camera.views.web import WebView
from tests.edge.camera.views import browser as chromium
from tests.edge.camera.views.browser import pixels, text, until
from tests.edge.camera.views.scene import HEALTH, Camera, card, film, picture, result
from tools.chromium import DESKTOP, PHONE, screen

ABSENT = "\N{EN DASH}"
PAGE = Path(web.__file__).parent / "page"


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with chromium.browser() as driver:
        yield driver


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the console has said since it was asked last: faults of the page, what its policy refused, what failed."""
    return [entry["message"] for entry in browser.get_log("browser")]


def is_live(browser: webdriver.Chrome) -> bool:
    return text(browser, "pulse-word") == "live"


def moves(browser: webdriver.Chrome) -> bool:
    """Whether there is a picture, and it changes; the first may come after the first word of how the camera is."""
    seen: list[list[int]] = []

    def looked() -> bool:
        now = pixels(browser)
        if len(set(now)) > 8 and now not in seen:
            seen.append(now)
        return len(seen) > 1

    return until(looked)


def bars(browser: webdriver.Chrome) -> list[str]:
    """Each bar's row: its place, its label, its length."""
    script = """
        return [...document.querySelectorAll("#bars li:not(.leaving)")].map(row => [row.style.transform,
            row.querySelector(".name").textContent, row.querySelector(".fill").style.transform].join(" "))"""
    return list(browser.execute_script(script))


@pytest.mark.slow
def test_the_page_lives_and_comes_back_after_a_restart(browser: webdriver.Chrome) -> None:
    screen(browser, DESKTOP)
    live = Live(card())
    with Camera(live, film()), WebView(live, port=0) as view:
        browser.get(view.address)
        assert until(lambda: is_live(browser))
        assert moves(browser)
        assert until(lambda: len(bars(browser)) == 5)
        before = bars(browser)
        assert until(lambda: bars(browser) != before), "bars change"
        assert until(lambda: browser.execute_script("return document.getElementById('spark-age').getTotalLength()") > 2)
        for place, said in SAID.items():
            assert text(browser, place) == said
        assert browser.execute_script("return document.getElementById('banner').hidden")
        assert complaints(browser) == []

        view.stop()
        assert until(lambda: text(browser, "pulse-word") == "disconnected")
        assert until(lambda: re.fullmatch(r"Disconnected from the camera; trying again.*", text(browser, "banner")))
        with WebView(live, port=urlsplit(view.address).port or 0):
            assert until(lambda: is_live(browser), 30)
            assert moves(browser)
            faults = [one for one in complaints(browser) if "net::ERR_" not in one]
            assert faults == [], "but for what the network said while nobody was there"
            browser.get("about:blank")


SAID = {
    "frames_per_s": "29.8",
    "results_per_s": "29.8",
    "dropped": "0 %",
    "restarts": "0",
    "temperature_c": "51 °C",
    "throttled": "no",
    "age_p50_ms": "14",
    "age_p90_ms": "19",
    "model_ms": "6.3",
    "legend": "decode3.1wait1.2pixels0.4model6.3heatmap1.1",
    "source": "/dev/video0: 640x480 MJPG at 30 frames/s",
    "model_name": "cifar10-mobile",
    "model_sha256": "3f1c3f1c3f1c",
    "model_runtime": "litert, 1 thread",
    "model_precision": "int8",
    "model_input": "32x32 crop",
}
"""What the page says of HEALTH and of `card()`."""
HOSTILE = [
    "<script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    "\"'><svg onload=window.hacked=1>",
    "line\nbreak\r\n\ndata: {}\u2028",
    "__proto__",
    "javascript:window.hacked=1",
    "a very long label " * 20,
    "unbroken" * 40,
]


@pytest.mark.slow
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_hostile_text_is_shown_and_nothing_else(browser: webdriver.Chrome, size: tuple[int, int]) -> None:
    screen(browser, size)
    hostile = dict.fromkeys(("name", "runtime", "precision", "input", "sha256"), HOSTILE[0])
    live = Live(replace(card(), **hostile))  # type: ignore[arg-type]
    stages = {HOSTILE[1]: 1.0, HOSTILE[3]: float("nan"), "model": 2.0}
    ill = replace(
        HEALTH,
        state="stalled",
        message=f"the camera has been silent for 3 s; {HOSTILE[1]} {HOSTILE[-1]}",
        source=HOSTILE[2],
        stages_ms=stages,
        temperature_c=None,
        throttled=None,
        dropped=None,
        age_p50_ms=float("inf"),
        absent={"temperature_c": HOSTILE[1], "throttled": HOSTILE[-1]},
    )
    with Camera(live, labels=HOSTILE, health=ill) as camera, WebView(live, port=0) as view:
        browser.get(view.address)
        assert until(lambda: text(browser, "pulse-word") == "stalled")
        assert until(lambda: len(bars(browser)) == 5)
        assert text(browser, "banner") == ill.message
        assert text(browser, "temperature_c") == f"n/a {HOSTILE[1]}"
        assert text(browser, "throttled") == f"n/a {HOSTILE[-1]}"
        assert text(browser, "dropped") == ABSENT
        assert text(browser, "age_p50_ms") == ABSENT
        assert text(browser, "source") == HOSTILE[2]
        shown = browser.execute_script("return [...document.querySelectorAll('#bars .name')].map(e => e.textContent)")
        assert set(shown) <= set(HOSTILE)
        camera.stop()
        for label in HOSTILE:
            live.put(Shown(picture(), replace(result(), label=label)))
            assert until(lambda label=label: text(browser, "label") == label)
            assert browser.execute_script("return document.getElementById('label').children.length") == 0
        assert browser.execute_script("return window.hacked ?? null") is None
        counts = browser.execute_script("return ['script', 'img', 'svg'].map(e => document.querySelectorAll(e).length)")
        assert counts == [1, 0, 1], "the page's own"
        width = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
        assert width == [size[0], size[0]], "no horizontal scroll"
        assert complaints(browser) == []
        browser.get("about:blank")


@pytest.mark.slow
def test_the_token_leaves_the_address_bar(browser: webdriver.Chrome, tmp_path: Path) -> None:
    live = Live(card())
    with Camera(live):
        view = WebView(live, port=0, token=tmp_path / "token")
        try:
            browser.get(view.start())
            assert until(lambda: is_live(browser))
            assert browser.current_url == view.address
            assert moves(browser)
            assert browser.execute_script("return document.cookie") == "", "scripts don't see it"
            assert complaints(browser) == []
            browser.get("about:blank")
        finally:
            view.stop()


@pytest.mark.slow
def test_one_viewer_too_many_is_told_so(browser: webdriver.Chrome) -> None:
    live = Live(card())
    with Camera(live), WebView(live, port=0) as view:
        view._feed.picture_seats.taken = 20
        browser.get(view.address)
        assert until(lambda: "20 viewers are watching already" in text(browser, "banner"))
        view._feed.picture_seats.taken = 0
        assert until(lambda: is_live(browser))
        complaints(browser)
        browser.get("about:blank")


@pytest.mark.slow
def test_a_camera_that_says_nothing_any_more_is_gone(
    browser: webdriver.Chrome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine without power closes no connection."""
    with WebView(Live(card()), port=0) as view:
        browser.get(view.address)
        assert until(lambda: text(browser, "pulse-word") == "opening")
        monkeypatch.setattr(stream, "HEALTH_S", 1000.0)
        assert until(lambda: text(browser, "pulse-word") == "disconnected")
        monkeypatch.undo()
        assert until(lambda: text(browser, "pulse-word") == "opening")
        complaints(browser)
        browser.get("about:blank")


# --- colours ---------------------------------------------------------------------------------------------------------


def schemes() -> dict[str, dict[str, str]]:
    """The style sheet's colours, light and dark."""
    light, dark = re.findall(r":root \{(.*?)\}", (PAGE / "style.css").read_text(), re.DOTALL)
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": found[0], "dark": {**found[0], **found[1]}}


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_by_a_worked_example() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#ffffff", "#777777") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out(scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for what is no text but means something."""
    colours = schemes()[scheme]
    for ground in ("ground", "card"):
        for ink in ("text", "quiet", "age"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    assert contrast(colours["warn-text"], colours["warn-ground"]) >= 4.5
    for ink in ("accent", "age"):
        assert contrast(colours[ink], colours["card"]) >= 3
    assert contrast(colours["accent"], colours["track"]) >= 3

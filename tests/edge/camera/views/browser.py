"""Debian's Chromium without a screen, which looks at the camera's page."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

PHONE, DESKTOP = (390, 844), (1280, 800)
CHROMIUM = ("chromium", "chromedriver")
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars")
"""No sandbox: CI is root in a container, where Chromium has none; it looks at our own page only."""


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser; where it is not installed the test is skipped, aloud, or fails in CI."""
    programs = [shutil.which(name) for name in CHROMIUM]
    if None in programs:
        reason = "needs Chromium, to look at the camera's page: apt-get install chromium chromium-driver"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    options = Options()
    options.binary_location = str(programs[0])
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(programs[1])))
    try:
        yield driver
    finally:
        driver.quit()


def screen(driver: webdriver.Chrome, size: tuple[int, int], dark: bool = False, scale: float = 1) -> None:
    """Be a screen of that many CSS pixels, light or dark."""
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": size == PHONE}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def text(driver: webdriver.Chrome, identifier: str) -> str:
    """What an element says."""
    return str(driver.execute_script("return document.getElementById(arguments[0]).textContent", identifier))


def until(true: Callable[[], Any], seconds: float = 15) -> bool:
    """Whether it becomes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.1)
    return bool(true())


def pixels(driver: webdriver.Chrome) -> list[int]:
    """The picture on the page, as 32 x 24 RGBA pixels."""
    return list(
        driver.execute_script(
            """
            const small = new OffscreenCanvas(32, 24).getContext("2d");
            small.drawImage(document.getElementById("picture"), 0, 0, 32, 24);
            return [...small.getImageData(0, 0, 32, 24).data];
            """
        )
    )

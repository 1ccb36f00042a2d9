"""A browser for the tests of the camera's page, and what it sees there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from selenium import webdriver

from tools import chromium


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium; where it is not installed the test is skipped, aloud, or fails in CI."""
    programs = chromium.installed()
    if programs is None:
        reason = f"needs Chromium, to look at the camera's page: {chromium.INSTALL}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with chromium.chromium(*programs) as driver:
        yield driver


def text(driver: webdriver.Chrome, identifier: str) -> str:
    """What an element says."""
    return str(driver.execute_script("return document.getElementById(arguments[0]).textContent", identifier))


def until(true: Callable[[], Any], seconds: float = 60) -> bool:
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

"""A page in a real browser, which waits for as long as a busy machine needs, and asks nothing of the network by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.conftest import HANG

CHROMIUM = shutil.which("chromium")

ALONE = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Flags with which the browser runs as root and asks nothing of the network."""

LOADED = HANG * 1000
"""Milliseconds, in place of the thirty seconds that each click and each look has by default."""


@contextmanager
def open_page(**context: Any) -> Iterator[Page]:
    """A new page with the options ``context``, such as a ``viewport``; the test is skipped where there is no Chromium."""
    if CHROMIUM is None:
        pytest.skip("no chromium on PATH: on Debian, apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE, timeout=LOADED)
        try:
            page = browser.new_page(**context)
            page.set_default_timeout(LOADED)
            yield page
        finally:
            browser.close()

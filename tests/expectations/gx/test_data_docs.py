"""Data Docs are one page that a browser without a network shows as it is meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from expectations import build_docs, check
from tests.chromium import open_page

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]

HOSTILE = '<script>document.title = "taken"</script>'


@pytest.fixture(scope="module")
def docs(make_frame: MakeFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = check(make_frame([{"value": HOSTILE}, {"id": "7", "stage": None}, {}]))
    return build_docs(report, tmp_path_factory.mktemp("docs") / "made" / "on demand")


@pytest.fixture
def page(docs: Path) -> Iterator[Page]:
    with open_page() as page:
        page.goto(docs.as_uri())
        yield page


def test_the_page_fetches_nothing(docs: Path) -> None:
    html = docs.read_text(encoding="utf-8")
    assert docs.name == "index.html"
    assert not re.findall(r"https?://|href=\"\.\./|url\(", html)


def test_its_owner_alone_reads_the_page(docs: Path) -> None:
    assert docs.stat().st_mode & 0o777 == 0o600
    assert docs.parent.stat().st_mode & 0o777 == 0o700


def test_the_page_names_what_failed(docs: Path) -> None:
    html = docs.read_text(encoding="utf-8")
    assert "stage must not be empty" in html
    assert "(empty)" in html
    assert html.count("of 3 total rows") == 2


def test_a_deal_cannot_script_the_page(docs: Path, page: Page) -> None:
    assert HOSTILE not in docs.read_text(encoding="utf-8")
    assert page.title() != "taken"


def test_the_page_is_styled_and_its_filter_works_offline(page: Page) -> None:
    assert page.locator(".card").first.evaluate("card => getComputedStyle(card).borderTopStyle") == "solid"
    stage = page.locator("a.nav-link", has_text="stage").last
    city = page.locator("a.nav-link", has_text="companyCity")
    page.get_by_text("Failed Only").click()
    assert (stage.is_visible(), city.is_visible()) == (True, False)
    page.get_by_text("Show All").click()
    assert city.is_visible()

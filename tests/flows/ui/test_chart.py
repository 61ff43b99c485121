"""The picture of a forecast says what it shows, and is a whole picture in either form."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from flows.ledger.forecast_history import Invoked, add_forecast, read_history
from flows.ledger.store import Ledger
from flows.ui.chart import Chart, chart_of, draw

AS_OF = datetime(2026, 11, 24, 6, 2, tzinfo=UTC)


def words(svg: bytes) -> list[str]:
    picture = ET.fromstring(svg)  # noqa: S314 - our own
    return [text for element in picture.iter() if element.tag.endswith("text") and (text := element.text)]


@pytest.fixture
def history(tmp_path: Path) -> Ledger:
    """Two forecasts, of which the later one is of an earlier month too."""
    ledger = Ledger(str(tmp_path))
    for number, (day, months) in enumerate([(date(2026, 11, 19), (11, 12)), (date(2026, 11, 24), (12,))]):
        as_of = datetime(day.year, day.month, day.day, 6, 2, tzinfo=UTC)
        made = Invoked(as_of, as_of, "EUR", "http://127.0.0.1", "c1", "r", f"i{number}", "f")
        add_forecast(ledger, made, [(f"2026-{month}-01", 1000.0 * (number + month)) for month in months])
    return ledger


def test_it_says_currency_as_of_and_what_each_part_is(history: Ledger) -> None:
    chart = chart_of(read_history(history, "c1"), {"2026-09": 9000.0, "2026-11": 500.0}, "acme", sandbox="http://127.0.0.1")
    assert chart.before == {"2026-11": 11000.0, "2026-12": 12000.0}
    assert chart.months == {"2026-12": 13000.0}
    said = words(draw(Chart(**{name: getattr(chart, name) for name in Chart.__slots__} | {"running": "2026-11"})))
    assert "acme: 13,000 EUR in 1 month" in said
    assert {"won", "forecast", "last forecast, as of 19 Nov 2026", "running month", "revenue, EUR"} <= set(said)
    assert "as of 24 Nov 2026, 06:02 UTC · sandbox" in said
    assert [word for word in said if re.fullmatch("Sep|Oct|Nov|Dec", word)] == ["Sep", "Oct", "Nov", "Dec"], (
        "a month without revenue is there too"
    )


def test_the_first_forecast_has_no_line(history: Ledger) -> None:
    chart = chart_of(read_history(history, "c1"), {}, "acme", "i0")
    assert chart.before is None
    assert not [word for word in words(draw(chart)) if word.startswith("last forecast")]


def test_what_is_not_there_is_not_in_the_legend() -> None:
    said = words(draw(Chart("a", {}, {"2026-12": 5.0}, AS_OF)))
    assert "forecast" in said
    assert "won" not in said


def test_a_long_title_stands_above_the_as_of_time_and_has_the_sum(history: Ledger) -> None:
    """Beside it one would lie across the other."""

    def heights(subject: str) -> tuple[str, float, float]:
        picture = ET.fromstring(draw(chart_of(read_history(history, "c1"), {}, subject)))  # noqa: S314 - our own
        texts = [each for each in picture.iter() if each.tag.endswith("text") and each.text]
        placed = [(each.text or "", float(each.get("y") or each.get("transform", "").rpartition(" ")[2].rstrip(")"))) for each in texts]
        ((title, top),) = [each for each in placed if " EUR in 1 month" in each[0]]
        ((_, beside),) = [each for each in placed if each[0].startswith("as of ")]
        return title, top, beside

    title, top, beside = heights("United Widgets and Sons of the North, New business in the Eastern region")
    assert title == "United Widgets and Sons of the North, New busin...: 13,000 EUR in 1 month"
    assert top < beside - 5
    _, top, beside = heights("acme")
    assert top == pytest.approx(beside, abs=2)


@pytest.mark.parametrize("sandbox", [None, "http://127.0.0.1:8765"])
def test_only_what_is_known_to_be_the_sandbox_is_said_to_be(history: Ledger, sandbox: str | None) -> None:
    """A platform may be reached by a tunnel on loopback, and have the collection now that a sandbox had."""
    assert not chart_of(read_history(history, "c1"), {}, "acme", sandbox=sandbox).sandbox


@pytest.mark.parametrize("months", [{}, {"2026-12": 0.0}, {"2026-12": -5.0}, {"2026-12": 1e12, "2027-03": 2.0}], ids=str)
def test_any_forecast_can_be_drawn(months: dict[str, float]) -> None:
    """A title with signs that make a formula in matplotlib, too: a collection may have any name."""
    assert "$a$ & <b> $\\frac$" in words(draw(Chart("$a$ & <b> $\\frac$", {}, months, AS_OF, "$")))
    assert draw(Chart("a", {}, months, AS_OF), "png").startswith(b"\x89PNG")

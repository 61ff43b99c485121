"""The history of a collection's forecasts: complete, idempotent, and held against what was won."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from rich.console import Console

from deployments.commands.forecasts import _show
from flows.ledger.forecast_history import Invoked, add_forecast, errors_by_horizon, read_history, revision
from flows.ledger.store import Ledger

COLLECTION = "acme"


def invoked(day: date, number: int) -> Invoked:
    moment = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
    return Invoked(moment, moment + timedelta(seconds=5), "EUR", "http://127.0.0.1", COLLECTION, f"r{number}", f"i{number}", f"f{number}")


def months(first: date, *revenues: float) -> list[tuple[str, float]]:
    starts = pd.date_range(first, periods=len(revenues), freq="MS")
    return [(f"{start:%Y-%m-%d}", revenue) for start, revenue in zip(starts, revenues, strict=True)]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(str(tmp_path))


def test_each_forecast_is_kept_once(ledger: Ledger) -> None:
    """A run that is repeated after a kill adds its forecast again: it replaces itself."""
    add_forecast(ledger, invoked(date(2026, 1, 5), 1), months(date(2026, 1, 1), 10, 20))
    add_forecast(ledger, invoked(date(2026, 1, 6), 2), months(date(2026, 1, 1), 11, 21))
    add_forecast(ledger, invoked(date(2026, 1, 6), 2), months(date(2026, 1, 1), 11, 21))
    table = read_history(ledger, COLLECTION)
    assert table["revenue"].to_pylist() == [10, 20, 11, 21]
    assert table["invocation_id"].to_pylist() == ["i1", "i1", "i2", "i2"]
    assert read_history(ledger, COLLECTION, date(2026, 1, 6))["revenue"].to_pylist() == [11, 21]
    assert read_history(ledger, "other").num_rows == 0


def test_the_movement_is_of_the_months_that_both_forecasts_have(ledger: Ledger) -> None:
    add_forecast(ledger, invoked(date(2026, 1, 30), 1), months(date(2026, 1, 1), 5, 10, 20))
    add_forecast(ledger, invoked(date(2026, 2, 2), 2), months(date(2026, 2, 1), 12, 22, 30))
    history = read_history(ledger, COLLECTION)
    assert revision(history, "i2") == "+13.3 % since 30 Jan"
    assert revision(history, "i1") == "-11.8 % since 2 Feb"
    assert revision(read_history(ledger, "other"), "i2") == ""


def test_the_movement_since_a_forecast_of_the_same_day_names_its_time(ledger: Ledger) -> None:
    for number, hour in ((1, 8), (2, 16)):
        made = invoked(date(2026, 1, 30), number)
        add_forecast(ledger, replace(made, as_of=made.as_of.replace(hour=hour)), months(date(2026, 1, 1), 10.0 * number))
    assert revision(read_history(ledger, COLLECTION), "i2") == "+100.0 % since 08:00 UTC"


def test_of_a_sum_of_nothing_or_less_no_share_is_told(ledger: Ledger) -> None:
    """A month may fall out of the horizon, or be corrected below zero."""
    for number, revenue in enumerate((-100.0, -50.0, 0.0, 10.0), start=1):
        add_forecast(ledger, invoked(date(2026, 1, number), number), months(date(2026, 1, 1), revenue))
    history = read_history(ledger, COLLECTION)
    earlier = history.slice(0, 2)
    assert [revision(earlier, "i2"), revision(history, "i4")] == ["", ""]
    add_forecast(ledger, invoked(date(2026, 2, 1), 5), months(date(2026, 2, 1), 7.0))
    assert revision(read_history(ledger, COLLECTION), "i5") == "", "no month is in both"


def test_two_forecasts_of_one_minute_are_two(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, second in ((1, 8), (2, 16)):
        made = invoked(date(2026, 1, 30), number)
        add_forecast(ledger, replace(made, as_of=made.as_of.replace(second=second)), months(date(2026, 1, 1), 10.0 * number))
    written = io.StringIO()
    monkeypatch.setattr("deployments.commands.forecasts.Console", lambda: Console(file=written, width=120))
    _show(read_history(ledger, COLLECTION), {}, [], ZoneInfo("UTC"))
    said = written.getvalue()
    assert "06:00:08" in said
    assert "06:00:16" in said
    assert "10.00" in said
    assert "20.00" in said


def test_errors_are_those_that_pandas_computes(ledger: Ledger) -> None:
    """Months that are not over, and those in which nothing was won, say nothing."""
    won = {"2026-01": 100.0, "2026-02": 0.0, "2026-03": 120.0, "2026-04": 60.0}
    for number, (day, revenues) in enumerate(
        [(date(2026, 1, 10), (90, 100, 110, 50)), (date(2026, 2, 10), (70, 130, 70)), (date(2026, 3, 10), (150, 65))]
    ):
        add_forecast(ledger, invoked(day, number), months(day.replace(day=1), *map(float, revenues)))
    history = read_history(ledger, COLLECTION)
    frame = history.to_pandas()
    frame["won"] = pd.to_datetime(frame["month"]).dt.strftime("%Y-%m").map(won)
    frame["ahead"] = [(m.year - a.year) * 12 + m.month - a.month for m, a in zip(frame["month"], frame["as_of"], strict=True)]
    frame = frame[(pd.to_datetime(frame["month"]) < "2026-04-01") & (frame["won"] > 0)]
    frame["error"] = frame["revenue"] - frame["won"]
    frame["share"] = frame["error"].abs() / frame["won"]
    grouped = frame.groupby("ahead").agg(count=("won", "size"), mape=("share", "mean"), error=("error", "sum"), won=("won", "sum"))
    found = errors_by_horizon(history, won, date(2026, 4, 20))
    assert [(each.horizon, each.months) for each in found] == list(zip(grouped.index, grouped["count"], strict=True))
    assert [each.mape for each in found] == pytest.approx(grouped["mape"].tolist())
    assert [each.bias for each in found] == pytest.approx((grouped["error"] / grouped["won"]).tolist())


@pytest.mark.parametrize(("width", "newest"), [(80, 4), (70, 3), (40, 1), (200, 6)])
def test_a_terminal_gets_as_many_forecasts_as_it_has_room_for_whole(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, width: int, newest: int
) -> None:
    """A number that is cut short is another number."""
    for number in range(1, 9):
        add_forecast(ledger, invoked(date(2026, 1, number), number), months(date(2026, 1, 1), 105_734.25 + number, 20))
    written = io.StringIO()
    console = Console(file=written, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr("deployments.commands.forecasts.Console", lambda: console)
    _show(read_history(ledger, COLLECTION), {"2026-01": 95_364.5}, [], ZoneInfo("UTC"))
    said = written.getvalue()
    assert [number for number in range(1, 9) if f"{105_734.25 + number:,.2f}" in said] == list(range(9 - newest, 9))
    assert "\u2026" not in said

"""When a forecast would begin, and whether the months that came are those asked for."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from flows.delivery.lifecycle import Forecast
from flows.delivery.month_checks import check_first_month, judged, wrong_months
from flows.errors import StoppedByGuard

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize("newest", ["2026-10-01T00:00:00", "2026-10-31T23:59:59", "2026-11-01T00:00:00", "2026-11-30T12:00:00"])
def test_a_forecast_from_this_month_or_the_next_is_invoked(newest: str) -> None:
    check_first_month((newest, 7, "closedDatetime"), TODAY)


def test_what_nobody_knows_stops_nothing() -> None:
    check_first_month(None, TODAY)


def test_old_data_stop_with_the_age_and_the_remedy() -> None:
    with pytest.raises(StoppedByGuard) as stopped:
        check_first_month(("2026-09-30T23:59:59", 7, "closedDatetime"), TODAY)
    assert all(words in str(stopped.value) for words in ("begin in 2026-10", "line 7", "58 days ago", "--first-month 2026-11"))


def test_a_deal_of_the_future_is_named_and_not_shown() -> None:
    with pytest.raises(StoppedByGuard) as stopped:
        check_first_month(("2026-12-01T10:30:00", 17, "closedDatetime"), TODAY)
    assert all(words in str(stopped.value) for words in ("begin in 2027-01", "closedDatetime in line 17", "2026-12", "--first-month"))
    assert "2026-12-01" not in str(stopped.value)


def test_the_turn_of_the_year_is_a_month_like_others() -> None:
    check_first_month(("2026-12-31T00:00:00", 1, "creationDatetime"), date(2027, 1, 1))
    with pytest.raises(StoppedByGuard):
        check_first_month(("2026-11-30T00:00:00", 1, "creationDatetime"), date(2027, 1, 1))


@pytest.mark.parametrize(
    ("months", "horizon", "said"),
    [
        (["2026-12-01", "2027-01-01"], 2, []),
        (["2026-11-01", "2026-12-01"], 2, []),
        (["2024-09-01", "2024-10-01"], 2, ["2 of its months are past, from 2024-09 on"]),
        (["2026-12-01", "2027-02-01"], 2, ["it has no prediction for 2027-01"]),
        (["2026-12-01"], 3, ["it has 1 month, 3 were asked for"]),
        ([], 1, ["it has 0 months, 1 were asked for"]),
    ],
)
def test_what_is_wrong_is_said(months: list[str], horizon: int, said: list[str]) -> None:
    assert wrong_months(months, horizon, TODAY) == said


def test_a_month_that_was_asked_for_may_be_past() -> None:
    assert wrong_months(["2024-09-01", "2024-10-01"], 2, TODAY, first_month="2024-09") == []
    assert wrong_months(["2027-01-01"], 1, TODAY, first_month="2026-12") == ["it begins in 2027-01, 2026-12 was asked for"]


def forecast(*months: tuple[str, float], unread: str = "") -> Forecast:
    return Forecast("i", Path(), {}, months, unread)


def test_a_forecast_of_other_months_than_asked_for_is_kept_and_not_read() -> None:
    """Its sum would be told, drawn and delivered as that of the months asked for."""
    found = judged(forecast(("2027-01-01", 5.0), ("2027-02-01", 3.0)), {"horizon": 1, "first_month": "2026-12"}, TODAY)
    assert found.unread == "forecast kept, not read: it begins in 2027-01, 2026-12 was asked for; it has 2 months, 1 were asked for"
    assert found.months == ()
    unread = forecast(unread="no table")
    assert judged(unread, {"horizon": 1}, TODAY) is unread


def test_the_running_month_and_negative_revenue_are_remarks() -> None:
    found = judged(forecast(("2026-11-01", 5.0), ("2026-12-01", -3.0)), {"horizon": 2, "first_month": None}, TODAY)
    assert (found.unread, len(found.months)) == ("", 2)
    assert found.notes == (
        "2026-11 is the running month: a part of its revenue is in the data already",
        "it has negative revenue for 2026-12",
    )

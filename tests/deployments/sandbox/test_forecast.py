"""The baseline forecast, on histories whose future is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import deployments.commands.demo
from deployments.sandbox.api.app import DESCRIPTION
from deployments.sandbox.platform.baseline import COLUMNS, NoForecast, forecast
from flows.crm import open_export


def table(*deals: tuple[str, str | None, str, float], stage: str = "s") -> pa.Table:
    """Deals as (created month, closed month, status, value)."""
    rows = [
        {
            "creationDatetime": f"{created}-03T00:00:00",
            "closedDatetime": closed and f"{closed}-20T00:00:00",
            "status": status,
            "stage": stage,
        }
        | {"value": str(value)}
        for created, closed, status, value in deals
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))


def months(first: int, last: int) -> list[str]:
    """Months counted from January 2022 = 0."""
    return [f"{2022 + number // 12}-{number % 12 + 1:02d}" for number in range(first, last)]


def revenues(deals: pa.Table, horizon: int = 3, first_month: str | None = None) -> list[float]:
    return [float(prediction["revenue"]) for prediction in forecast([deals], horizon, first_month)]


STEADY = [(month, month, "closed_won", 100.0) for month in months(0, 12)]


def test_a_steady_income_goes_on() -> None:
    assert forecast([table(*STEADY)], 2) == [{"month": "2023-01-01", "revenue": 100.0}, {"month": "2023-02-01", "revenue": 100.0}]


def test_only_the_last_year_counts() -> None:
    earlier = [(month, month, "closed_won", 900.0) for month in months(0, 6)]
    later = [(month, month, "closed_won", 100.0) for month in months(6, 18)]
    assert revenues(table(*earlier, *later)) == [100.0] * 3


def test_two_whole_years_show_their_season() -> None:
    deals = [(month, month, "closed_won", 1300.0 if month.endswith("-01") else 100.0) for month in months(0, 24)]
    january, february, _ = revenues(table(*deals))
    assert january == pytest.approx(200 * (2 * 6.5 + 1) / 3, abs=0.01)
    assert february == pytest.approx(200 * (2 * 0.5 + 1) / 3, abs=0.01)
    assert revenues(table(*deals[:23]))[1] == revenues(table(*deals[:23]))[2]


def test_open_deals_bring_what_their_age_and_the_win_rate_let_expect() -> None:
    """Deals take one month and half are won; ten open ones, a month old, bring half of their value in the first month."""
    pairs = zip(months(0, 11), months(1, 12), strict=True)
    closed = [(created, closed, status, 100.0) for created, closed in pairs for status in ("closed_won", "closed_lost")]
    fresh = [("2022-12", None, "open", 100.0)] * 10
    assert revenues(table(*closed, *fresh)) == pytest.approx([500.0, 100 * 11 / 12, 100 * 11 / 12], abs=0.01)


def test_deals_older_than_any_that_was_won_bring_nothing() -> None:
    old = [("2022-01", None, "open", 1e9)]
    assert revenues(table(*STEADY, *old)) == [100.0] * 3


def test_what_came_later_is_not_used() -> None:
    future = [("2023-01", "2023-02", "closed_won", 1e9), ("2022-12", "2023-02", "closed_won", 1e9)]
    deals, without = table(*STEADY, *future), table(*STEADY, ("2022-12", None, "open", 1e9))
    assert revenues(deals, 3, "2023-01") == revenues(without, 3)


def test_a_later_first_month_goes_on_from_the_data() -> None:
    deals = [(month, month, "closed_won", 1300.0 if month.endswith("-01") else 100.0) for month in months(0, 24)]
    assert revenues(table(*deals), 1, "2024-06") == revenues(table(*deals), 6)[5:]


def test_nothing_won_means_nothing_expected() -> None:
    assert revenues(table(("2022-01", None, "open", 100.0))) == [0.0, 0.0, 0.0]
    assert revenues(table(("2022-01", "2022-02", "closed_lost", 100.0))) == [0.0, 0.0, 0.0]


def test_without_a_past_there_is_no_forecast() -> None:
    with pytest.raises(NoForecast, match="before the first month"):
        forecast([table(*STEADY)], 3, "2022-01")


def test_batches_make_no_difference() -> None:
    whole = table(*STEADY, ("2022-12", None, "open", 100.0))
    assert forecast([whole.slice(0, 5), whole.slice(5)], 3) == forecast([whole], 3)


def test_the_back_test_of_the_shipped_export_is_the_one_in_the_documentation() -> None:
    export = Path(deployments.commands.demo.__file__).parent / deployments.commands.demo.EXPORT
    zone = deployments.commands.demo.TIMEZONE
    extraction = open_export(str(export), crm="hubspot", crm_timezone=deployments.commands.demo.CRM_TIMEZONE, timezone=zone)
    baseline, flat_mean = errors([pa.Table.from_pandas(deals).select(COLUMNS) for deals in extraction])
    assert f"its absolute error is {baseline * 100:.0f} % of the revenue" in DESCRIPTION
    assert f"last year has {flat_mean * 100:.0f} %" in DESCRIPTION


def errors(deals: list[pa.Table], horizon: int = 3, origins: int = 8) -> tuple[float, float]:
    """Mean absolute errors of past forecasts, as a share of the revenue that came: the baseline's, and that of last year's flat mean."""
    known = pa.concat_tables(deals).to_pandas()
    created, closed = (pd.PeriodIndex(known[column].str[:7], freq="M") for column in ("creationDatetime", "closedDatetime"))
    last, won = max(created.max(), closed[known["status"] != "open"].max()), known["status"] == "closed_won"
    came = known["value"].astype(float)[won].groupby(closed[won]).sum().reindex(pd.period_range(created.min(), last), fill_value=0.0)
    rows = []
    for origin in pd.period_range(end=last + 1 - horizon, periods=origins, freq="M"):
        flat = came[: origin - 1].tail(12).mean()
        predictions = forecast(deals, horizon, str(origin))
        rows += [(came[pd.Period(str(each["month"]), freq="M")], each["revenue"], flat) for each in predictions]
    revenue, predicted, flat = np.array(rows, dtype=float).T
    return np.abs(predicted - revenue).sum() / revenue.sum(), np.abs(flat - revenue).sum() / revenue.sum()

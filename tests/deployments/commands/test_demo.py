"""The demo's export is of these days, whenever it is run, and shows the same numbers."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from importlib.resources import files
from pathlib import Path

import pandas as pd
import pytest

from deployments.commands.demo import EXPORT, todays_export


def at(moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override] # a plain one, as everybody's
            return moment.astimezone(tz)

    monkeypatch.setattr("deployments.commands.demo.datetime", Then)


def won(export: Path) -> pd.Series[float]:
    """Revenue by month, from the first one on."""
    deals = pd.read_csv(export)
    deals = deals[deals["Is Closed Won"]]
    months = pd.PeriodIndex(deals["Close Date"], freq="M")
    return deals["Amount"].groupby(months).sum()


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2026, 11, 27, tzinfo=UTC), "2026-11-02"),
        (datetime(2027, 6, 1, 12, tzinfo=UTC), "2027-05-02"),
        (datetime(2027, 6, 20, tzinfo=UTC), "2027-06-02"),
        (datetime(2028, 2, 29, 23, 30, tzinfo=UTC), "2028-02-02"),
    ],
)
def test_it_is_of_these_days_and_each_month_has_its_revenue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: datetime, day: str
) -> None:
    at(moment, monkeypatch)
    export, first_month = todays_export(tmp_path)
    assert (export.name, first_month) == (EXPORT.replace("2026-11-02", day), day[:7])
    (shipped := tmp_path / "shipped").write_bytes((files("deployments.commands.demo") / EXPORT).read_bytes())
    before, after = won(shipped), won(export)
    assert after.tolist() == before.tolist()
    assert (after.index == before.index + (pd.Period(day, freq="M") - pd.Period("2026-11", freq="M")).n).all()


def test_one_that_is_there_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A month later the deals of `dealcast up` are the same ones, so that no guard takes them for others."""
    at(datetime(2027, 6, 20, tzinfo=UTC), monkeypatch)
    first = todays_export(tmp_path)
    content = first[0].read_bytes()
    at(datetime(2027, 9, 20, tzinfo=UTC), monkeypatch)
    assert todays_export(tmp_path) == first
    assert first[0].read_bytes() == content

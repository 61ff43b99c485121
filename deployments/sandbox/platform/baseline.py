"""The sandbox's forecast: a labelled baseline, not the platform's model.

A month's revenue = what the open deals are expected to bring in it + what deals that do not exist yet will bring.

* An open deal brings its value times the chance to be won in that month: the win rate of its stage, given how long the won
  and the lost deals took to close and how old it is already.
* New deals bring the run rate (mean monthly won revenue of the last year, times the month's seasonal factor where two whole
  years are known), times the share of won revenue that took no longer than the months from the forecast's start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

COLUMNS = ["creationDatetime", "closedDatetime", "status", "stage", "value"]
"""The columns of a deal that the baseline reads."""

Floats: TypeAlias = np.ndarray[tuple[int], np.dtype[np.floating[Any]]]

YEAR = 12
PRIOR_DEALS = 10
"""A stage's win rate is drawn towards the overall one as if so many more deals had been seen."""


class NoForecast(Exception):
    """The deals held do not allow a forecast; the text says why."""


def forecast(deals: Iterable[pa.Table], horizon: int, first_month_to_predict: str | None = None) -> list[dict[str, str | float]]:
    """Return one prediction per month: its first day and the estimated revenue from won deals.

    Args:
        deals: tables with :data:`COLUMNS`, as text.
        horizon: months to predict, 1 to 12 (D).
        first_month_to_predict: ``YYYY-MM``; by default the month after the last month in the data (D), which is
            that of the last creation or closing (A). Nothing dated in or after the first month is used.

    Raises:
        NoForecast: no deal was created before the first month.
    """
    known = pd.concat([_months(table.to_pandas()) for table in deals])
    last = _last_month(known)
    first = _month(first_month_to_predict) if first_month_to_predict else last + 1
    origin = min(first, last + 1)
    history = _as_of(known, origin)
    if history.empty:
        raise NoForecast("No deal was created before the first month to predict.")
    return [
        {"month": f"{month // YEAR:04d}-{month % YEAR + 1:02d}-01", "revenue": round(_predict(history, origin, month), 2)}
        for month in range(first, first + horizon)
    ]


def _last_month(known: pd.DataFrame) -> int:
    return int(max(known["created"].max(), known.loc[known["status"] != "open", "closed"].fillna(0).max()))


def _month(text: str) -> int:
    return int(text[:4]) * YEAR + int(text[5:7]) - 1


def _months(deals: pd.DataFrame) -> pd.DataFrame:
    """Datetimes as months counted from year 0; NaN where there is none."""

    def month(column: str) -> pd.Series[float]:
        text = deals[column].astype(object).fillna("")
        return pd.to_numeric(text.str[:4]) * YEAR + pd.to_numeric(text.str[5:7]) - 1

    return pd.DataFrame(
        {
            "created": month("creationDatetime"),
            "closed": month("closedDatetime"),
            "status": deals["status"].astype(pd.CategoricalDtype(["closed_won", "closed_lost", "open"])),
            "stage": deals["stage"],
            "value": deals["value"].astype(float),
        }
    )


def _as_of(deals: pd.DataFrame, month: int) -> pd.DataFrame:
    """The deals as they stood when ``month`` began: what closed later was still open, in a stage that nobody recorded."""
    then = deals[deals["created"] < month].copy()
    reopened = (then["status"] != "open") & (then["closed"] >= month)
    then.loc[reopened, "status"] = "open"
    then.loc[reopened, "stage"] = None
    return then


def _predict(history: pd.DataFrame, origin: int, month: int) -> float:
    won = history[history["status"] == "closed_won"]
    open_deals = history[history["status"] == "open"]
    lag = won["closed"] - won["created"]
    new = _share(won["value"], lag <= month - origin) if len(open_deals) else 1.0
    monthly = _won_by_month(history, origin)
    return _pipeline(history, open_deals, origin, month) + new * float(monthly.tail(YEAR).mean()) * _season(monthly, month)


def _won_by_month(deals: pd.DataFrame, end: int) -> pd.Series[float]:
    won = deals[deals["status"] == "closed_won"]
    return won.groupby("closed")["value"].sum().reindex(range(int(deals["created"].min()), end), fill_value=0.0)


def _share(values: pd.Series[float], chosen: pd.Series[bool]) -> float:
    total = float(values.sum())
    return float(values[chosen].sum()) / total if total else 1.0


def _season(monthly: pd.Series[float], month: int) -> float:
    """The month's factor over whole years, drawn towards 1 as if one more year had been flat."""
    years = len(monthly) // YEAR
    whole = monthly.tail(years * YEAR)
    if years < 2 or not whole.sum():
        return 1.0
    same_month = whole[whole.index % YEAR == month % YEAR]
    return (years * float(same_month.mean() / whole.mean()) + 1) / (years + 1)


def _pipeline(history: pd.DataFrame, open_deals: pd.DataFrame, origin: int, month: int) -> float:
    """Expected revenue of the open deals in ``month``: value x the chance to be won then, given their stage and age."""
    closed = history[history["status"] != "open"]
    is_won = closed["status"] == "closed_won"
    lag = closed["closed"] - closed["created"]
    rate, age = _win_rate(closed["stage"], is_won, open_deals["stage"]), (origin - open_deals["created"]).to_numpy()
    still_open = rate * _lasting(lag[is_won], age) + (1 - rate) * _lasting(lag[~is_won], age)
    ahead = age + month - origin
    won_then = rate * (_lasting(lag[is_won], ahead) - _lasting(lag[is_won], ahead + 1))
    return float((open_deals["value"].to_numpy() * np.divide(won_then, still_open, out=np.zeros_like(rate), where=still_open > 0)).sum())


def _win_rate(stages: pd.Series[str], is_won: pd.Series[bool], asked: pd.Series[str]) -> Floats:
    """The win rate of each asked stage, drawn towards the overall one where few deals closed in it."""
    overall = float(is_won.mean()) if len(is_won) else 0.0
    seen = is_won.groupby(stages).agg(["sum", "count"])
    rates = (seen["sum"] + PRIOR_DEALS * overall) / (seen["count"] + PRIOR_DEALS)
    found: Floats = asked.map(rates).astype(float).fillna(overall).to_numpy()
    return found


def _lasting(lags: pd.Series[float], months: Floats) -> Floats:
    """The share of deals that took at least so many months to close."""
    ordered = np.sort(lags.to_numpy(dtype=float))
    return 1 - np.searchsorted(ordered, months, side="left") / max(len(ordered), 1)

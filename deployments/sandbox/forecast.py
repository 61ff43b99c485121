"""The sandbox's forecast: a labelled baseline, not the platform's model.

For the h-th month ahead, revenue = what the open pipeline is expected to bring in that month + what deals that do not exist
yet will bring. The second part is the run rate (mean monthly won revenue of the last year, times the month's seasonal
factor where two whole years are known), times the share of won revenue that history won within h months of its creation.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pyarrow as pa

COLUMNS = ["creationDatetime", "closedDatetime", "expectedClosureDatetime", "status", "stage", "value"]
"""What the baseline reads of a deal."""

YEAR = 12
OVERDUE_MONTHS = 3
"""Open deals without a closing date ahead are spread evenly over so many months."""

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
    last = int(max(known["created"].max(), known.loc[known["status"] != "open", "closed"].fillna(0).max()))
    first = _month(first_month_to_predict) if first_month_to_predict else last + 1
    origin = min(first, last + 1)
    history = _as_of(known, origin)
    if history.empty:
        raise NoForecast("No deal was created before the first month to predict.")
    return [
        {"month": f"{month // YEAR:04d}-{month % YEAR + 1:02d}-01", "revenue": round(_predict(history, origin, month), 2)}
        for month in range(first, first + horizon)
    ]


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
            "expected": month("expectedClosureDatetime"),
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
    start = int(history["created"].min())
    monthly = won.groupby("closed")["value"].sum().reindex(range(start, origin), fill_value=0.0)
    return _pipeline(history, open_deals, origin, month) + new * float(monthly.tail(YEAR).mean()) * _season(monthly, month)


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
    """What the open deals are expected to bring in ``month``."""
    dated = open_deals["expected"] >= origin
    share = np.where(dated, open_deals["expected"] == month, (month < origin + OVERDUE_MONTHS) / OVERDUE_MONTHS)
    return float((open_deals["value"] * _win_rate(history, open_deals, origin) * share).sum())


def _win_rate(history: pd.DataFrame, open_deals: pd.DataFrame, origin: int) -> pd.Series[float]:
    """The stage's win rate, given that the deal is still open at its age: deals older than any that closed win no more."""
    closed = history[history["status"] != "open"]
    is_won = closed["status"] == "closed_won"
    overall = float(is_won.mean()) if len(closed) else 0.0
    seen = is_won.groupby(closed["stage"]).agg(["sum", "count"])
    stages = (seen["sum"] + PRIOR_DEALS * overall) / (seen["count"] + PRIOR_DEALS)
    rate = open_deals["stage"].map(stages).astype(float).fillna(overall)
    age = (origin - open_deals["created"]).to_numpy()
    lag = closed["closed"] - closed["created"]
    still_won, still_lost = rate * _survival(lag[is_won], age), (1 - rate) * _survival(lag[~is_won], age)
    return (still_won / (still_won + still_lost)).fillna(0.0)


def _survival(lags: pd.Series[float], ages: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The share of deals that were open for at least so many months."""
    ordered = np.sort(lags.to_numpy(dtype=float))
    return 1 - np.searchsorted(ordered, ages, side="left") / max(len(ordered), 1)

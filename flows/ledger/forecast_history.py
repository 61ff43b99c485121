"""The forecasts that came for a collection, one Parquet table in its ledger: what each month was forecast to be, over time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flows.ledger.checksums import named_if_damaged, require_sound_parquet, seal_parquet
from flows.ledger.store import Ledger

FILE = "_forecasts.parquet"

SCHEMA = pa.schema(
    [
        ("as_of", pa.timestamp("us", "UTC")),
        ("invoked_at", pa.timestamp("us", "UTC")),
        ("month", pa.date32()),
        ("revenue", pa.float64()),
        ("currency", pa.string()),
        ("platform", pa.string()),
        ("collection", pa.string()),
        ("request_id", pa.string()),
        ("invocation_id", pa.string()),
        ("fingerprint", pa.string()),
    ]
)
"""One row a predicted month: ``as_of`` is when the platform had completed the data, ``revenue`` in the data's own currency."""


@dataclass(frozen=True, slots=True)
class Invoked:
    """The origin of a forecast: when, where, from which upload."""

    as_of: datetime
    invoked_at: datetime
    currency: str | None
    platform: str
    collection: str
    request_id: str
    invocation_id: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class HorizonError:
    """The error of forecasts of months that are over against what was won, ``horizon`` months ahead.

    ``mape`` is the mean of the errors' absolute shares of what was won, ``bias`` the sum of the errors as a share of all that was won.
    """

    horizon: int
    months: int
    mape: float
    bias: float


def read_history(ledger: Ledger, collection: str, since: date | None = None) -> pa.Table:
    """Read the forecasts of ``collection``, as :data:`SCHEMA`, oldest first; those made ``since`` that day where one is given."""
    data = ledger.get(collection, FILE)
    table, where = SCHEMA.empty_table(), ledger.where(collection, FILE)
    if data is not None:
        with named_if_damaged(where):
            require_sound_parquet(io.BytesIO(data), where)
            table = pq.read_table(io.BytesIO(data), schema=SCHEMA)
    if since is not None:
        table = table.filter(pc.greater_equal(table["as_of"].cast(pa.date32()), pa.scalar(since)))
    return table.sort_by([("as_of", "ascending"), ("month", "ascending")])


def add_forecast(ledger: Ledger, invoked: Invoked, months: Sequence[tuple[str, float]]) -> None:
    """Add a forecast's months (``YYYY-MM-DD``, revenue) to the history; idempotent by its invocation id."""
    held = read_history(ledger, invoked.collection)
    held = held.filter(pc.not_equal(held["invocation_id"], invoked.invocation_id))
    rows = [
        {**{name: getattr(invoked, name) for name in Invoked.__slots__}, "month": date.fromisoformat(month[:10]), "revenue": revenue}
        for month, revenue in months
    ]
    sink = io.BytesIO()
    pq.write_table(pa.concat_tables([held, pa.Table.from_pylist(rows, SCHEMA)]), sink, compression="zstd")
    seal_parquet(sink)
    ledger.put(invoked.collection, FILE, sink.getvalue())


def revision(history: pa.Table, invocation_id: str) -> str:
    """Return how the sum moved since the newest other forecast, as `+2.1 % since 19 Nov`; empty where there is none to compare.

    One of the same day goes by its time, as `since 08:15 UTC`. Only the months that both have are summed, so that a horizon that moved
    on is no change.
    """
    mine = history.filter(pc.equal(history["invocation_id"], invocation_id))
    others = history.filter(pc.not_equal(history["invocation_id"], invocation_id))
    if not mine.num_rows or not others.num_rows:
        return ""
    before = others.filter(pc.equal(others["as_of"], pc.max(others["as_of"])))
    was, now = _sum_of_shared(before, mine), _sum_of_shared(mine, before)
    if was <= 0:  # no share of it says anything
        return ""
    then, day = before["as_of"][0].as_py(), mine["as_of"][0].as_py().date()
    return f"{now / was - 1:+.1%}".replace("%", " %") + f" since {then:{'%H:%M UTC' if then.date() == day else '%-d %b'}}"


def _sum_of_shared(forecast: pa.Table, other: pa.Table) -> float:
    shared = forecast.filter(pc.is_in(forecast["month"], value_set=other["month"].combine_chunks()))
    return float(pc.sum(shared["revenue"]).as_py() or 0.0)


def errors_by_horizon(history: pa.Table, won_by_month: Mapping[str, float], today: date, zone: tzinfo = UTC) -> list[HorizonError]:
    """Compare forecasts with what was won (``YYYY-MM`` -> revenue) in months before that of ``today``, by months ahead in ``zone``."""
    by_horizon: dict[int, list[tuple[float, float]]] = {}
    for row in history.to_pylist():
        month, won = row["month"], won_by_month.get(f"{row['month']:%Y-%m}", 0.0)
        ahead = _months(month) - _months(row["as_of"].astimezone(zone).date())
        if _months(month) < _months(today) and ahead >= 0 and won > 0:
            by_horizon.setdefault(ahead, []).append((row["revenue"], won))
    return [
        HorizonError(
            ahead,
            len(pairs),
            sum(abs(forecast - won) / won for forecast, won in pairs) / len(pairs),
            sum(forecast - won for forecast, won in pairs) / sum(won for _, won in pairs),
        )
        for ahead, pairs in sorted(by_horizon.items())
    ]


def _months(day: date) -> int:
    return day.year * 12 + day.month

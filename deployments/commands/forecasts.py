"""``dealcast forecasts``: what each month was forecast to be, over time, beside what was won in the end."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import click
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from flows.errors import UsageError
from flows.ledger.export_baseline import load_won
from flows.ledger.forecast_history import HorizonError, errors_by_horizon, read_history
from flows.ledger.store import TIMEZONE, Ledger
from flows.runtime.atomic_files import write_whole
from flows.settings import load_settings
from flows.ui.chart import chart_of, draw

_SHOWN = 6
"""Forecasts side by side: the newest ones, or as many of them as a terminal has room for."""

_WIDE = 200
"""Characters of a line in a file or pipe."""


def show_forecasts(collection: str, since: date | None, form: Literal["table", "csv", "json"], chart: Path | None = None) -> None:
    """Print the history of a collection's forecasts; the ledger alone is read.

    Args:
        collection: id of the platform's collection.
        since: leave out forecasts of data from before that day.
        form: a revision table and the errors for people, or every row for programs.
        chart: draw the newest forecast there too, as the file's ending says: .svg or .png.

    Raises:
        UsageError: the ledger has no forecast of the collection.
    """
    if chart is not None and chart.suffix not in (".svg", ".png"):
        raise UsageError(f"--chart {str(chart)!r}: end the file's name in .svg or .png.")
    ledger = Ledger(load_settings().ledger_url)
    collection = ledger.find(collection)
    history = read_history(ledger, collection, since)
    if not history.num_rows:
        raise UsageError(f"The ledger has no forecast of {collection}{f' since {since}' if since else ''}. A sync adds one each time.")
    won = load_won(ledger, collection)
    zone = ZoneInfo(ledger.line(collection, TIMEZONE) or "UTC")
    if chart is not None:
        _draw_newest(ledger, collection, history, won, chart)
    errors = errors_by_horizon(history, won, datetime.now(zone).date(), zone)
    if form == "csv":
        writer = csv.DictWriter(sys.stdout, history.column_names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_texts(history))
    elif form == "json":
        said = {
            "collection": collection,
            "name": ledger.name_of(collection),
            "forecasts": _texts(history),
            "won_by_month": dict(won),
            "errors": [asdict(e) for e in errors],
        }
        click.echo(json.dumps(said))
    else:
        _show(history, won, errors, zone)


def _draw_newest(ledger: Ledger, collection: str, history: pa.Table, won: Mapping[str, float], to: Path) -> None:
    from flows.ui.provenance import sandbox_of  # noqa: PLC0415 - prefect takes seconds to import, and only a picture needs it

    shown = chart_of(history, won, ledger.name_of(collection) or collection, sandbox=sandbox_of(ledger, collection))
    write_whole(to, [draw(shown, "png" if to.suffix == ".png" else "svg")])


def _texts(history: pa.Table) -> list[dict[str, Any]]:
    """The rows with moments and days in ISO form."""
    return [{name: value.isoformat() if isinstance(value, date) else value for name, value in row.items()} for row in history.to_pylist()]


def _show(history: pa.Table, won: Mapping[str, float], errors: Sequence[HorizonError], zone: ZoneInfo) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = _WIDE
    forecasts: dict[datetime, dict[date, float]] = {}
    for row in history.to_pylist():
        forecasts.setdefault(row["as_of"], {})[row["month"]] = row["revenue"]
    tables = [_revisions(forecasts, newest, won, f"{datetime.now(zone):%Y-%m}") for newest in range(min(_SHOWN, len(forecasts)), 0, -1)]
    unbounded = console.options.update(max_width=10 * _WIDE)
    console.print(next((each for each in tables if console.measure(each, options=unbounded).minimum <= console.width), tables[-1]))
    if not errors:
        return
    beside = Table(title="Error by months ahead, of months that are over")
    for column in ("months ahead", "months", "MAPE", "bias"):
        beside.add_column(column, justify="right")
    for each in errors:
        beside.add_row(str(each.horizon), str(each.months), f"{each.mape:.1%}", f"{each.bias:+.1%}")
    console.print(beside)


def _revisions(forecasts: Mapping[datetime, Mapping[date, float]], newest: int, won: Mapping[str, float], running: str) -> Table:
    """Revenue of each month by the ``newest`` forecasts, side by side, and what was won in it."""
    shown = list(forecasts.items())[-newest:]
    table = Table(title=f"Forecast revenue by month and as-of time (UTC); the newest {len(shown)} of {len(forecasts)}")
    table.add_column("month")
    minutes = [f"{as_of:%Y-%m-%d %H:%M}" for as_of, _ in shown]
    for (as_of, _), minute in zip(shown, minutes, strict=True):
        table.add_column(f"{as_of:%Y-%m-%d %H:%M:%S}" if minutes.count(minute) > 1 else minute, justify="right")
    table.add_column("won", justify="right")
    for month in sorted({month for _, months in shown for month in months}):
        name = f"{month:%Y-%m}"
        actual = f"{won[name]:,.2f}{' so far' if name >= running else ''}" if name in won else ""
        table.add_row(name, *(f"{months[month]:,.2f}" if month in months else "" for _, months in shown), actual)
    return table

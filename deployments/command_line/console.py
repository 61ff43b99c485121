"""The view of a run in a terminal: steps and live progress on stderr, the outcome on stdout, as text or as one JSON object."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from flows.delivery.lifecycle import Forecast
from flows.errors import printable
from flows.ui.artifacts import STEPS
from flows.ui.provenance import known_as
from flows.ui.report import DoneElsewhere, Outcome

_BAR = 40

_LONG_ID = re.compile(r"(?<!--collection )(?<![/\w])([0-9a-f]{8})[0-9a-f]{24}(?![/\w])")
"""An id of the platform's in a line that people read; one in a path or in a command to repeat stays whole."""


def short_ids(text: str) -> str:
    """``text`` with ids cut to their first 8 digits; logs and JSON have them whole."""
    return _LONG_ID.sub(r"\1", text)


class InertConsole(Console):
    """A console on which no text of an export or the platform moves the cursor."""

    def render_str(self, text: str, **style: Any) -> Text:
        """A text or a table's cell, without control characters."""
        return super().render_str(printable(text), **style)


class StepLines(logging.Handler):
    """Shows each step's log line, and of Prefect's own none; where a live line shows the waiting, not every look."""

    def __init__(self, console: Console, *, live: bool) -> None:
        super().__init__()
        self._console, self._live = console, live

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line; what a retried look says, it has said itself."""
        step = getattr(record, "dealcast_step", None)
        if step is None or (self._live and getattr(record, "dealcast_waiting", False)):
            return
        self._console.print(f"[bold cyan]{step:>9}[/]  {escape(short_ids(record.getMessage()))}", highlight=False, soft_wrap=True)


class LiveLine(logging.Handler):
    """Keeps the last line of a terminal at what the run is doing."""

    def __init__(self, status: Status) -> None:
        super().__init__()
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        """Show what is being done now."""
        self._status.update(escape(short_ids(record.getMessage())))


@contextmanager
def steps(console: Console, *, quiet: bool = False) -> Iterator[None]:
    """Put the steps in place of Prefect's console log for the length of the block; the Prefect UI still gets every line.

    On a terminal a live line shows what is being done and waited for; ``quiet`` shows nothing but errors.
    """
    prefect, internal = logging.getLogger("prefect"), logging.getLogger("prefect._internal")
    for logger in (prefect, internal):
        for handler in list(logger.handlers):
            logger.removeHandler(handler)
        logger.propagate = False
    internal.addHandler(logging.NullHandler())
    if quiet:
        prefect.addHandler(logging.NullHandler())
        yield
        return
    lines = StepLines(console, live=console.is_terminal)
    prefect.addHandler(lines)
    try:
        if console.is_terminal:
            with console.status("starting") as status, _live_line(status):
                yield
        else:
            yield
    finally:
        prefect.removeHandler(lines)


@contextmanager
def _live_line(status: Status) -> Iterator[None]:
    handler = LiveLine(status)
    STEPS.addHandler(handler)
    STEPS.setLevel(logging.INFO)
    STEPS.propagate = False
    try:
        yield
    finally:
        STEPS.removeHandler(handler)


def show(outcome: Outcome, *, brief: bool = False) -> None:
    """The outcome on stdout: one line, the forecast as a table with bars unless ``brief``, and where the files lie."""
    console = InertConsole(markup=False)
    console.print(f"{known_as(outcome.options.collection)}: {outcome.headline}", highlight=False, soft_wrap=True)
    if outcome.forecast is not None and outcome.forecast.months and not brief:
        console.print(forecast_table(outcome.forecast))
    for each in outcome.undelivered:
        console.print(f"not delivered to {each}", highlight=False, soft_wrap=True)
    console.print(f"files: {outcome.folder}", highlight=False, soft_wrap=True)


def show_json(*outcomes: Outcome | DoneElsewhere, several: bool = False) -> None:
    """One JSON object on stdout: the outcome, or of ``several`` collections ``{"outcomes": [...]}``."""
    found = [as_json(outcome) for outcome in outcomes]
    one = found[0] if found else {"outcome": "nothing-new"}
    click.echo(json.dumps({"outcomes": found} if several else one))


def as_json(outcome: Outcome | DoneElsewhere) -> dict[str, Any]:
    """The outcome as a script wants it; months are ``YYYY-MM-DD``, ids null where there is none."""
    if isinstance(outcome, DoneElsewhere):
        return {"outcome": "done-elsewhere", "collection": outcome.collection, "message": outcome.headline}
    entry, checked = outcome.entry, outcome.checked
    return {
        "outcome": "dry-run" if outcome.options.dry_run else "sent" if outcome.sent else "nothing-new",
        "collection": outcome.options.collection,
        "name": known_as(outcome.options.collection),
        "rows_sent": outcome.rows_sent if outcome.sent else 0,
        "deals_deleted": outcome.deleted,
        "rows_unchanged": checked.unchanged if checked else None,
        "rows_quarantined": checked.quarantined if checked else None,
        "deals_gone": checked.stats.gone if checked else None,
        "gone_file": checked.stats.gone_file if checked else None,
        "same_export": checked.same_export if checked else None,
        "export_modified": str(checked.staged.export.modified) if checked and checked.staged.export.modified else None,
        "newest_change": checked.stats.newest_update if checked else None,
        "request_id": entry.upload.id if entry else None,
        "invocation_id": outcome.forecast.invocation_id if outcome.forecast else None,
        "months": [{"month": month, "revenue": revenue} for month, revenue in outcome.forecast.months] if outcome.forecast else [],
        "forecast_unread": (outcome.forecast.unread or None) if outcome.forecast else None,
        "forecast_notes": list(outcome.forecast.notes) if outcome.forecast else [],
        "undelivered": list(outcome.undelivered),
        "folder": str(outcome.folder),
    }


def forecast_table(forecast: Forecast) -> Table:
    """Months and revenue with a bar each."""
    table = Table("month", title=short_ids(f"forecast {forecast.invocation_id}"), title_justify="left")
    table.add_column("revenue", justify="right")
    table.add_column("", min_width=_BAR)
    most = max((revenue for _, revenue in forecast.months), default=0.0)
    for month, revenue in forecast.months:
        table.add_row(month[:7], f"{revenue:,.2f}", "█" * round(_BAR * revenue / most) if most > 0 else "")
    return table

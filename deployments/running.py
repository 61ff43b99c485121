"""Run a flow from the terminal: its steps as lines on stderr, its outcome on stdout, its error as an exit code."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any

import click
from prefect.client.schemas.objects import State
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from flows.errors import DealcastError, UsageError
from flows.options import SyncOptions
from flows.records import Forecast
from flows.report import Outcome
from flows.sync_deals import resume_sync, sync_deals

_BAR = 40


class StepLines(logging.Handler):
    """Shows each step's log line, and of Prefect's own only the warnings."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one line; what a retried look says, it has said itself."""
        step = getattr(record, "dealcast_step", None)
        if step is not None:
            self._console.print(f"[bold cyan]{step:>9}[/]  {record.getMessage()}", highlight=False, markup=True, soft_wrap=True)


def show_steps(console: Console) -> None:
    """Put the steps in place of Prefect's console log; the Prefect UI still gets every line."""
    root = logging.getLogger("prefect")
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(StepLines(console))
    root.propagate = False
    logging.getLogger("great_expectations").setLevel(logging.WARNING)


def run_sync(values: Mapping[str, Any]) -> Outcome | None:
    """Run `sync-deals` with the command line's values; leaves the process on any error."""
    options = _options(values)
    show_steps(stderr())
    return conclude(sync_deals(options, return_state=True), options.collection)


def run_sync_pipelines(values: Mapping[str, Any], pipelines: str) -> None:
    """Run `sync-pipelines` with the command line's values; leaves the process on any error."""
    from flows.sync_pipelines import sync_pipelines  # noqa: PLC0415 - a sync of one collection needs no thread pool

    options = _options({**values, "collection": "all"})
    show_steps(stderr())
    state = sync_pipelines(options, pipelines, return_state=True)
    conclude(state, "all")
    for outcome in state.result():
        if isinstance(outcome, Outcome):
            show(outcome)


def run_resume(collection: str, request_id: str | None) -> Outcome | None:
    """Run `resume-sync`; leaves the process on any error."""
    show_steps(stderr())
    return conclude(resume_sync(collection, request_id, return_state=True), collection)


def stderr() -> Console:
    """A console on stderr: colour only on a terminal."""
    return Console(stderr=True)


def conclude(state: State[Any], collection: str) -> Outcome | None:
    """Print how a run ended.

    Raises:
        DealcastError: the one that ended the run.
    """
    if state.is_completed():
        outcome = state.result()
        if isinstance(outcome, Outcome):
            show(outcome)
            return outcome
        click.echo(state.message)
        return None
    error = state.result(raise_on_failure=False)
    if isinstance(error, DealcastError):
        raise error
    if state.is_cancelled() or state.is_crashed():
        raise DealcastError(f"The run ended early ({state.name}: {state.message}). Go on with `dealcast resume --collection {collection}`.")
    raise error if isinstance(error, BaseException) else DealcastError(f"The run ended as {state.name}: {state.message}")


def show(outcome: Outcome) -> None:
    """The outcome on stdout: one line, the forecast as a table with bars, and where the files lie."""
    console = Console()
    console.print(f"{outcome.options.collection}: {outcome.headline}", highlight=False, soft_wrap=True)
    if outcome.forecast is not None:
        console.print(forecast_table(outcome.forecast))
    console.print(f"files: {outcome.folder}", highlight=False, soft_wrap=True)


def forecast_table(forecast: Forecast) -> Table:
    """Months and revenue with a bar each."""
    table = Table("month", title=f"forecast {forecast.invocation_id}", title_justify="left")
    table.add_column("revenue", justify="right")
    table.add_column("", min_width=_BAR)
    most = max((revenue for _, revenue in forecast.months), default=0.0)
    for month, revenue in forecast.months:
        table.add_row(month[:7], f"{revenue:,.2f}", "█" * round(_BAR * revenue / most) if most > 0 else "")
    return table


def _options(values: Mapping[str, Any]) -> SyncOptions:
    try:
        return SyncOptions.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors())
        raise UsageError(f"{wrong}. See `dealcast sync --help`.") from error


def leave_on_sigterm() -> None:
    """Turn SIGTERM into the same orderly end as Ctrl-C, so that staging is emptied and the claim released."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

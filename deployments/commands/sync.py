"""Run a flow from the terminal: its steps on stderr, its outcome on stdout, its error as an exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import click
import httpx
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from rich.console import Console

from deployments.command_line.command_options import checked_options
from deployments.command_line.console import InertConsole, show, show_json, steps
from deployments.command_line.signals import end_soon
from deployments.command_line.temporary_server import temporary_server
from deployments.commands.doctor.prefect_findings import require_server
from flows.errors import DealcastError, PrefectAway, printable
from flows.sync_deals import resume_sync, sync_deals
from flows.ui.report import DoneElsewhere, Outcome

_IN_FULL = 5
"""Outcomes of one run that are shown with their forecasts; of more, people look up those that they care for."""


@dataclass(frozen=True, slots=True)
class Voice:
    """The way a command speaks: ``quiet`` shows no steps, ``json`` prints one object in place of text."""

    quiet: bool = False
    json: bool = False


def run_sync(values: Mapping[str, Any], voice: Voice = Voice()) -> Outcome | None:
    """Run `sync-deals` with the command line's values; leaves the process on any error."""
    options = checked_options("sync", values)
    return _run(lambda: sync_deals(options, return_state=True), options.collection, voice)


def run_sync_pipelines(values: Mapping[str, Any], pipelines: str, voice: Voice = Voice()) -> None:
    """Run `sync-pipelines` with the command line's values; leaves the process on any error."""
    from flows.sync_pipelines import sync_pipelines  # noqa: PLC0415 - a sync of one collection needs no thread pool

    options = checked_options("sync", {**values, "collection": "all"})
    _run(lambda: sync_pipelines(options, pipelines, return_state=True), None, voice)


def run_sync_collections(table: str, deployment: str | None, voice: Voice = Voice()) -> None:
    """Run `sync-collections`; leaves the process on any error."""
    from flows.sync_collections import sync_collections  # noqa: PLC0415 - as above

    _run(lambda: sync_collections(table, deployment, return_state=True), None, voice)


def run_resume(collection: str, request_id: str | None, voice: Voice = Voice(), *, forget: bool = False) -> Outcome | None:
    """Run `resume-sync`; leaves the process on any error."""
    return _run(lambda: resume_sync(collection, request_id, forget, return_state=True), collection, voice)


def stderr() -> Console:
    """A console on stderr: colour only on a terminal."""
    return InertConsole(stderr=True)


def _run(flow: Callable[[], State[Any]], collection: str | None, voice: Voice) -> Outcome | None:
    """Run a flow, of one ``collection`` or of many, and print how it ended.

    Raises:
        DealcastError: the one that ended the run.
        PrefectAway: its server was gone by then.
    """
    with _no_heartbeats(), steps(stderr(), quiet=voice.quiet):
        if server := temporary_server():
            server.await_start()
        else:
            require_server()
        try:
            state = flow()
        except httpx.TransportError as error:  # the platform's are none by then
            end_soon(PrefectAway.exit_code)
            raise PrefectAway.of(error) from error
    return _conclude(state, collection, voice)


def _no_heartbeats() -> AbstractContextManager[Any]:
    """Unless Prefect's settings ask for heartbeats: the default is too slow for the sweep of `automations.yaml`, and costs a second."""
    asked = PREFECT_FLOWS_HEARTBEAT_FREQUENCY.value() != PREFECT_FLOWS_HEARTBEAT_FREQUENCY.default()
    return nullcontext() if asked else temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})


def _conclude(state: State[Any], collection: str | None, voice: Voice) -> Outcome | None:
    if state.is_completed():
        return _show(state, voice)
    error = state.result(raise_on_failure=False)
    if isinstance(error, DealcastError):
        raise error
    if state.is_cancelled() or state.is_crashed():
        again = (
            f"Go on with `dealcast resume --collection {collection}`."
            if collection
            else "Run the same again: each resumes from the last recorded step."
        )
        raise DealcastError(f"The run ended early ({state.name}: {state.message}). {again}")
    raise error if isinstance(error, BaseException) else DealcastError(f"The run ended as {state.name}: {state.message}")


def _show(state: State[Any], voice: Voice) -> Outcome | None:
    """The outcomes on stdout: of one collection, or of each pipeline's."""
    result = state.result()
    results = result if isinstance(result, list) else [result]
    outcomes = [each for each in results if isinstance(each, Outcome)]
    if voice.json:
        show_json(*outcomes, *(each for each in results if isinstance(each, DoneElsewhere)), several=isinstance(result, list))
    elif state.name == "NothingNew" or not outcomes:
        click.echo(printable(state.message or ""))
    else:
        for outcome in outcomes:
            show(outcome, brief=len(outcomes) > _IN_FULL)
    return outcomes[0] if len(outcomes) == 1 else None

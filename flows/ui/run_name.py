"""The name of a flow run in Prefect's run list: its subject (one collection, or a table of many), and what happens to it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from flows.errors import DealcastError
from flows.options import SyncOptions
from flows.runtime.best_effort import show
from flows.ui.notices import run_tags
from flows.ui.provenance import known_as
from flows.ui.report import Outcome

PIPELINES = "pipelines"
"""The subject of the run of a whole export with several pipelines."""

COLLECTIONS = "collections"
"""The subject of the run of a table of collections."""

_IDS: dict[str, str] = {}
"""Name -> id of the collections that a run was asked for by name."""


def note_id(name: str, collection: str) -> None:
    """Remember of which ``collection`` a run's parameters give the ``name``."""
    _IDS[name] = collection


def by_id(collection: str) -> str:
    """The id of a collection that a run's parameters may give by name."""
    return _IDS.get(collection, collection)


def subject_of_run() -> str | None:
    """The collection that the current flow run is about, or what its many are called; None outside of a flow."""
    context = FlowRunContext.get()
    if context is None:
        return None
    parameters = context.parameters or {}
    for table in (PIPELINES, COLLECTIONS):
        if table in parameters:
            return table
    options = parameters.get("options")
    named = options.collection if isinstance(options, SyncOptions) else parameters.get("collection")
    return None if named is None else by_id(named)


def first_name() -> str:
    """The name of a run of one collection until it is known what happens."""
    parameters = flow_run.parameters
    options = parameters.get("options") or parameters
    collection = options["collection"] if isinstance(options, dict) else options.collection
    return f"{collection} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


def name_run(subject: str, what: str, ended: State[Any] | None = None) -> None:
    """Name the current flow run `subject 2026-11-23 · what`, if it is about ``subject`` alone; a collection goes by its name.

    Tags say which collection it is, how it ``ended``, and by which error, for the run list, other processes and later runs.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or subject_of_run() != subject:
        return
    name = f"{known_as(subject)} {datetime.now(UTC):%Y-%m-%d} · {what}"
    error = ended.data if ended and isinstance(ended.data, DealcastError) else None
    collection = None if subject in (PIPELINES, COLLECTIONS) else known_as(subject)
    tags = run_tags(context.flow_run.tags, collection, _outcome(ended) if ended else None, error)
    run = context.flow_run.id
    show("The run's name", lambda: get_client(sync_client=True).update_flow_run(run, name=name, tags=tags))


def _outcome(ended: State[Any]) -> str:
    """The end as one word that a list is filtered by: `sent`, `nothing-new`, `stopped-by-gate`."""
    if isinstance(ended.data, Outcome) and ended.name != "NothingNew":
        outcome = ended.data
        return "dry-run" if outcome.options.dry_run else "sent" if outcome.sent else "forecast-only"
    words = type(ended.data).__name__ if isinstance(ended.data, DealcastError) else ended.name or str(ended.type)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", words).lower()

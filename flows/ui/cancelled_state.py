"""The end of a run that was cancelled: its name says so, and its state how to resume."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import PrefectException
from prefect.states import Cancelled

from flows.errors import DealcastError
from flows.ledger.store import Ledger
from flows.ledger.unfinished import how_to_resume
from flows.settings import load_settings
from flows.ui.events import run_tags
from flows.ui.origin import known_as

_MANY = "It was one run of many collections: run the same again, and each resumes from the last recorded step."


def tell_cancelled(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - the signature is Prefect's
    """A flow's hook at its cancellation: name the run after it, and put into its state what was done and how to resume."""
    collection = _collection(flow_run)
    subject = known_as(collection) if collection else flow_run.name.partition(" ")[0]
    try:
        how = how_to_resume(Ledger(load_settings().ledger_url), collection) if collection else _MANY
        with get_client(sync_client=True) as client:
            tags = run_tags(flow_run.tags, subject if collection else None, "cancelled", None)
            client.update_flow_run(flow_run.id, name=f"{subject} {datetime.now(UTC):%Y-%m-%d} · cancelled", tags=tags)
            client.set_flow_run_state(flow_run.id, Cancelled(message=f"Cancelled. {how}"), force=True)
    except (DealcastError, httpx.HTTPError, PrefectException, OSError) as error:  # a message is not worth the cancellation
        logging.getLogger("prefect.flow_runs").warning("The cancelled run was not named: %s", error)


def _collection(flow_run: FlowRun) -> str | None:
    """The id of the collection that the run's parameters name, by id or name; None for a table of many."""
    parameters = flow_run.parameters or {}
    options = parameters.get("options") or parameters
    named = options.get("collection") if isinstance(options, dict) else None
    if named is None or {"pipelines", "collections"} & set(parameters):
        return None
    with suppress(DealcastError, OSError):
        return Ledger(load_settings().ledger_url).find(named)
    return str(named)

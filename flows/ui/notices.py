"""One event for each change of a deployment's state, so that people are told once and not every quarter of an hour.

``dealcast.sync.failing``, ``dealcast.sync.blocked`` and ``dealcast.sync.recovered``: `deployments/automations.yaml` turns them into
notifications. Prefect's own events come with every run, and of its triggers none fires on the first failure and only on the first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Literal
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.states import Cancelled

from flows.errors import CollectionBusy, DealcastError, StoppedByGuard, error_named
from flows.ledger.store import Ledger
from flows.ledger.unfinished_syncs import how_to_resume
from flows.runtime.best_effort import show
from flows.settings import load_settings
from flows.ui.inert_text import in_a_chat
from flows.ui.provenance import known_as, ui_link

Condition = Literal["well", "failing", "blocked"]

HANDED_OUT = "handed-out"
"""The tag of a run that is one of many."""

_ERROR = "error:"
"""Begins the tag of a run that an error of dealcast's ended, before the error's class."""

_COLLECTION, _OUTCOME = "collection:", "outcome:"
"""Begin the tags of which collection a run is, and of how it ended."""

_MANY = "It was one run of many collections: run the same again, and each resumes from the last recorded step."

_LOOKED_AT = 20
_ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED]


def tell_change(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - the signature is Prefect's
    """A flow's hook at its end: emit an event if its deployment's condition is another than after the run before.

    A run that `sync-collections` handed out tells nothing: the one before it was of another collection, and who handed it out tells of all.
    """
    deployment = flow_run.deployment_id
    if deployment is not None and HANDED_OUT not in flow_run.tags:
        show("The change", lambda: _tell(flow_run, deployment, state))


def _tell(flow_run: FlowRun, deployment_id: UUID, state: State[Any]) -> None:
    with get_client(sync_client=True) as client:
        ended = client.read_flow_run(flow_run.id)
        now = condition(state, ended.tags)
        deployment = client.read_deployment(deployment_id).name
        earlier = _earlier(client, flow_run) if now else []
    if now is None:
        return
    before: Condition = next((known for run in earlier if run.state and (known := condition(run.state, run.tags))), "well")
    if now == before:
        return
    emit_event(
        event=f"dealcast.sync.{'recovered' if now == 'well' else now}",
        resource={
            "prefect.resource.id": f"dealcast.deployment.{flow_run.deployment_id}",
            "prefect.resource.name": in_a_chat(ended.name),
        },
        related=[
            {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.role": "flow-run"},
            {"prefect.resource.id": f"prefect.deployment.{flow_run.deployment_id}", "prefect.resource.role": "deployment"},
        ],
        payload={
            "message": in_a_chat(state.message or state.name or "", load_settings().platform_url),
            "was": before,
            "since": _since(earlier, before),
            "deployment": in_a_chat(deployment),
            "link": ui_link(f"runs/flow-run/{ended.id}"),
        },
    )


def condition(state: State[Any], tags: Iterable[str]) -> Condition | None:
    """The condition of a deployment by the end of a run; None where it says nothing: another was at work, or it was cancelled."""
    error = error_of(tags)
    if state.is_completed():
        return "well"
    if state.is_cancelled() or error is CollectionBusy:
        return None
    return "blocked" if error is StoppedByGuard else "failing"


def _since(earlier: Sequence[FlowRun], before: Condition) -> str:
    """Duration of the condition ``before``, by the earlier runs, newest first, that are looked at; empty where there is none."""
    said = [(run, known) for run in earlier if run.state and (known := condition(run.state, run.tags))]
    lasted = [run.end_time for run, known in takewhile(lambda each: each[1] == before, said) if run.end_time]
    older = " or earlier" if len(lasted) == len(said) and len(earlier) >= _LOOKED_AT - 1 else ""  # of those looked at, one may be this run
    return f"{before} since {lasted[-1]:%Y-%m-%d %H:%M} UTC{older}" if lasted else ""


def error_tag(error: DealcastError) -> str:
    """The tag of a run that ``error`` ends."""
    return f"{_ERROR}{type(error).__name__}"


def error_of(tags: Iterable[str]) -> type[DealcastError]:
    """The class of the error that ended a run with these ``tags``; the root where no tag says so."""
    return next((error_named(tag.removeprefix(_ERROR)) for tag in tags if tag.startswith(_ERROR)), DealcastError)


def run_tags(tags: Iterable[str], collection: str | None, outcome: str | None, error: DealcastError | None) -> list[str]:
    """The ``tags`` of a run with what is known of it now, by which the run list filters: `collection:acme`, `outcome:sent`, the error's."""
    kept = [tag for tag in tags if not tag.startswith((_ERROR, _COLLECTION, _OUTCOME))]
    said = [
        f"{_COLLECTION}{collection}" if collection else "",
        f"{_OUTCOME}{outcome}" if outcome else "",
        error_tag(error) if error else "",
    ]
    return [*kept, *filter(None, said)]


def _earlier(client: SyncPrefectClient, flow_run: FlowRun) -> list[FlowRun]:
    """The deployment's ended runs before this one, newest first."""
    runs = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            deployment_id=FlowRunFilterDeploymentId(any_=[flow_run.deployment_id] if flow_run.deployment_id else []),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ENDED)),
        ),
        sort=FlowRunSort.END_TIME_DESC,
        limit=_LOOKED_AT,
    )
    return [run for run in runs if run.id != flow_run.id]


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

"""Prefect runs that a kill left in state Running: found when the next sync of their collection locks it, and closed.

Prefect learns of a run's end from the run itself; one that is killed says nothing, and would look alive for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from flows.runtime.prefect_api import ONE_CALL

FLOWS = ("sync-deals", "resume-sync")

_UNNAMED_AFTER = timedelta(minutes=3)
"""A run that is neither the holder nor this young was killed before it could lock, or by a machine that lost its lock."""

_ALIVE = (StateType.RUNNING, StateType.CANCELLING)


def close_abandoned(collection: str, dead: Set[str | None]) -> list[UUID]:
    """Set to Crashed the runs of ``collection`` that nobody works on; the caller holds the collection's lock.

    Args:
        collection: id of the platform's collection.
        dead: flow runs that held the lock and died, by id.

    Returns:
        The ids of the closed runs.
    """
    with ONE_CALL, get_client(sync_client=True) as client:
        found = {run.id: run for run in (*_named(client, dead), *_unnamed(client, collection))}
        abandoned = [run for run in found.values() if str(run.id) != str(flow_run.id) and run.state_type in _ALIVE]
        for run in abandoned:
            client.set_flow_run_state(run.id, Crashed(message=_why(run, collection)), force=True)
    return [run.id for run in abandoned]


def _named(client: SyncPrefectClient, dead: Set[str | None]) -> Iterator[FlowRun]:
    for identifier in dead - {None, "None"}:
        try:
            yield client.read_flow_run(UUID(identifier))
        except (ObjectNotFound, ValueError):  # of another Prefect server
            continue


def _unnamed(client: SyncPrefectClient, collection: str) -> Iterator[FlowRun]:
    runs = client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(FLOWS))),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(_ALIVE))),
            start_time=FlowRunFilterStartTime(before_=datetime.now(UTC) - _UNNAMED_AFTER),
        ),
    )
    return (run for run in runs if _collection_of(run.parameters) == collection)


def _collection_of(parameters: dict[str, Any]) -> Any:
    options = parameters.get("options")
    return (options if isinstance(options, dict) else parameters).get("collection")


def _why(run: FlowRun, collection: str) -> str:
    began = f"{run.start_time:%Y-%m-%d %H:%M:%S} UTC" if run.start_time else "an unknown time"
    return (
        f"The process of this run, begun {began}, died without a word; closed by the next sync of {collection}, "
        "which goes on from the ledger: nothing accepted is sent again."
    )

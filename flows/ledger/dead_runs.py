"""Prefect runs that a kill left in state Running while they held a collection's lock: closed by the next sync that takes the lock.

Prefect learns of a run's end from the run itself; one that is killed says nothing, and would look alive for ever. Those that were
killed before they held the lock are for the shipped sweep (`deployments/automations.yaml`).
"""

from __future__ import annotations

from collections.abc import Set
from contextlib import suppress
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

_ALIVE = (StateType.RUNNING, StateType.CANCELLING)


def close_dead_runs(collection: str, holders: Set[str | None]) -> None:
    """Set to Crashed the flow runs, by id, that held the lock of ``collection`` before the caller, who holds it now."""
    with get_client(sync_client=True) as client:
        for identifier in holders - {None, "None", str(flow_run.id)}:
            with suppress(ObjectNotFound, ValueError):  # of another Prefect server
                run = client.read_flow_run(UUID(identifier))
                if run.state_type in _ALIVE:
                    client.set_flow_run_state(run.id, Crashed(message=_why(run, collection)), force=True)


def _why(run: FlowRun, collection: str) -> str:
    began = f"{run.start_time:%Y-%m-%d %H:%M:%S} UTC" if run.start_time else "an unknown time"
    return (
        f"The process of this run, begun {began}, died without a word; closed by the next sync of {collection}, "
        "which resumes from the ledger: nothing accepted is sent again."
    )

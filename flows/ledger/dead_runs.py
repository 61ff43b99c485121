"""Prefect runs that a kill left in state Running while they held a collection's lock: closed by the next sync that takes the lock.

Prefect learns of a run's end from the run itself; one that is killed says nothing, and would look alive for ever. Those that were
killed before they held the lock are for the shipped sweep (`deployments/automations.yaml`). Runs that were handed out to
workers are handed out again by the run that waits for them.
"""

from __future__ import annotations

import time
from collections.abc import Set
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed, Scheduled

from flows.options import is_id

_ALIVE = (StateType.RUNNING, StateType.CANCELLING)

_PENDING_SECONDS = 120.0
"""Seconds that a worker may take from a run's hand-over to its beginning; one that died would leave it pending for ever."""

_UNLOCKED_SECONDS = 90.0
"""Seconds that a run may be at work without its collection's lock: it takes it at once, and lets it go in the end. A dead one's lease
has ended by then."""

MOST_BEGINNINGS = 2
"""Times that a run is begun: what kills one process on a machine of its own may kill any."""

_SEEN: dict[UUID, tuple[Any, float]] = {}
"""Handed out run -> what it was last seen as, and since when, on this process's own clock."""


def close_dead_runs(collection: str, holders: Set[str | None]) -> None:
    """Set to Crashed the flow runs, by id, that held the lock of ``collection`` before the caller, who holds it now."""
    with get_client(sync_client=True) as client:
        for identifier in holders - {None, "None", str(flow_run.id)}:
            with suppress(ObjectNotFound, ValueError):  # of another Prefect server
                run = client.read_flow_run(UUID(identifier))
                if run.state_type in _ALIVE:
                    client.set_flow_run_state(run.id, Crashed(message=_why(run, collection)), force=True)


def hand_out_again_if_dead(collection: str, run: FlowRun) -> tuple[float, str]:
    """Schedule a handed out run anew whose worker died: one that nobody begins, or that is at work without the lock of ``collection``.

    The ledger makes that safe: a run that was alive after all, or got far, is resumed or finds the lock taken. One that dies a second
    time at work is set to Crashed.

    Returns:
        Seconds for which it has been seen as it is, and a sentence for people where that is changed.
    """
    with get_client(sync_client=True) as client:
        unlocked = run.state_type == StateType.RUNNING and is_id(collection) and not _is_locked(client, collection)
        seconds = _seconds_seen(run.id, (run.state_id, unlocked))
        if run.state_type == StateType.PENDING and seconds >= _PENDING_SECONDS:
            why = f"no worker began it within {_PENDING_SECONDS:.0f} s"
        elif unlocked and seconds >= _UNLOCKED_SECONDS:
            why = "its process died at work"
        else:
            return seconds, ""
        again = not unlocked or run.run_count < MOST_BEGINNINGS
        said = f"The run of {collection} is {'handed out again' if again else 'given up'}: {why}."
        client.set_flow_run_state(run.id, Scheduled(message=said) if again else Crashed(message=said), force=True)
        return 0.0, said


def _is_locked(client: SyncPrefectClient, collection: str) -> bool:
    with suppress(ObjectNotFound):
        return bool(client.read_global_concurrency_limit_by_name(f"dealcast-{collection}").active_slots)
    return False


def _seconds_seen(run: UUID, seen: Any) -> float:
    now = time.monotonic()
    if _SEEN.get(run, (None, now))[0] != seen:
        _SEEN[run] = seen, now
    return now - _SEEN[run][1]


def _why(run: FlowRun, collection: str) -> str:
    began = f"{run.start_time:%Y-%m-%d %H:%M:%S} UTC" if run.start_time else "an unknown time"
    return (
        f"The process of this run, begun {began}, died without a word; closed by the next sync of {collection}, "
        "which resumes from the ledger: nothing accepted is sent again."
    )

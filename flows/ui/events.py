"""One event for each change of a deployment's state, so that people are told once and not every quarter of an hour.

``dealcast.sync.failing``, ``dealcast.sync.blocked`` and ``dealcast.sync.recovered``: `deployments/automations.yaml` turns them into
notifications. Prefect's own events come with every run, and of its triggers none fires on the first failure and only on the first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.events import emit_event

Condition = Literal["well", "failing", "blocked"]

BLOCKED = "Blocked by guard"
"""Begins the message of a run that the guard stopped."""

BUSY = "Collection busy"
"""Begins the message of a run that came while another was at work: it says nothing about the deployment."""

HANDED_OUT = "handed-out"
"""The tag of a run that is one of many."""

_LOOKED_AT = 20
_ENDED = [StateType.COMPLETED, StateType.FAILED, StateType.CRASHED]


def tell_change(flow: Any, flow_run: FlowRun, state: State[Any]) -> None:  # noqa: ARG001 - the signature is Prefect's
    """A flow's hook at its end: emit an event if its deployment's condition is another than after the run before.

    A run that `sync-collections` handed out tells nothing: the one before it was of another collection, and who handed it out tells of all.
    """
    now = condition(state)
    if flow_run.deployment_id is None or HANDED_OUT in flow_run.tags or now is None:
        return
    before = next((known for earlier in _earlier(flow_run) if (known := condition(earlier))), "well")
    if now == before:
        return
    emit_event(
        event=f"dealcast.sync.{'recovered' if now == 'well' else now}",
        resource={
            "prefect.resource.id": f"dealcast.deployment.{flow_run.deployment_id}",
            "prefect.resource.name": flow_run.name,
        },
        related=[
            {"prefect.resource.id": f"prefect.flow-run.{flow_run.id}", "prefect.resource.role": "flow-run"},
            {"prefect.resource.id": f"prefect.deployment.{flow_run.deployment_id}", "prefect.resource.role": "deployment"},
        ],
        payload={"message": state.message or state.name or "", "was": before},
    )


def condition(state: State[Any]) -> Condition | None:
    """What an ended run says of its deployment; None where it says nothing."""
    message = state.message or ""
    if state.is_completed():
        return "well"
    if state.is_cancelled() or message.startswith(BUSY):
        return None
    return "blocked" if message.startswith(BLOCKED) else "failing"


def _earlier(flow_run: FlowRun) -> Iterable[State[Any]]:
    """The states in which the deployment's runs before this one ended, newest first."""
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[flow_run.deployment_id] if flow_run.deployment_id else []),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_ENDED)),
            ),
            sort=FlowRunSort.END_TIME_DESC,
            limit=_LOOKED_AT,
        )
    return [run.state for run in runs if run.id != flow_run.id and run.state is not None]

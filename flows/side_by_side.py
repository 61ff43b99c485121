"""Several collections in one run: each a task of its own on Prefect's threads, and one state for all of them in the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from prefect.client.schemas.objects import State
from prefect.futures import PrefectFuture
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.errors import DealcastError

AT_ONCE = 64
"""Collections synced at the same time: waiting costs a thread each, and little else."""

THREADS = cast("TaskRunner[PrefectFuture[Any]]", ThreadPoolTaskRunner(max_workers=AT_ONCE))  # prefect's future is invariant


def states_of(futures: Mapping[str, PrefectFuture[Any]]) -> dict[str, State[Any]]:
    """The states in which the tasks end; one that fails stops no other."""
    for future in futures.values():
        future.wait()
    return {name: future.state for name, future in futures.items()}


def ended_as_one(states: Mapping[str, State[Any]], what: str) -> State[Any]:
    """The state of the whole run, its data the outcomes: red where any of them is, with each one's reason, of the first one's type."""
    errors = {name: state.result(raise_on_failure=False) for name, state in states.items() if not state.is_completed()}
    if not errors:
        return Completed(message=f"{len(states)} {what} synced.", data=[state.result() for state in states.values()])
    reasons = "; ".join(f"{name}: {error}" for name, error in errors.items())
    first = next((error for error in errors.values() if isinstance(error, DealcastError)), None)
    failed = type(first or DealcastError())(f"{len(errors)} of {len(states)} {what} failed, the others are synced. {reasons}")
    return Failed(message=str(failed), data=failed)

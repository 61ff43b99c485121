"""Many collections, each with an export and options of its own: synced side by side here, or shared out among a work pool's workers.

Prefect does the sharing out: a flow run of a deployment for each collection, which whichever worker is free takes.
"""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import httpx
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run, task_run
from prefect.states import Completed, Crashed, Failed, Pending
from pydantic import ValidationError

from flows.delivery.backoff import MAX_POLLS, is_transient
from flows.errors import DeadlinePassed, StillProcessing, UsageError
from flows.ledger.dead_runs import hand_out_again_if_dead
from flows.many_collections import THREADS, ended_as_one, show_ended, states_of
from flows.options import SyncOptions, is_target
from flows.runtime.step_log import say
from flows.settings import load_settings
from flows.sync_deals import sync_export
from flows.table_of_syncs import Line, check_unique, read_lines
from flows.tasks import UNCACHED
from flows.ui.final_states import WATCHED, concluded
from flows.ui.notices import HANDED_OUT, error_of
from flows.ui.report import DoneElsewhere, Outcome
from flows.ui.run_name import COLLECTIONS

Table = dict[str, SyncOptions]
"""Collection id -> the options of its sync."""

_PAGE = 200
"""Flow runs that Prefect's API answers at once."""

_NAMED = 5
"""Collections that a message names."""

_READING = 3600.0
"""Seconds that a handed out run may take besides waiting for an upload and a forecast, each until its deadline."""

_LOOKS = [2.0, 3.0, 5.0, 10.0]
"""Seconds between looks at the handed out runs; the last one repeats."""


def read_collections(path: str) -> Table:
    """Read a table of syncs: a CSV with a column `collection` and any other options of a sync; an empty cell is that option's default.

    Raises:
        UsageError: the file cannot be read, a column is no option, a value none of its option's, a collection or a folder is there twice.
    """
    lines = read_lines(path, ["collection"], SyncOptions.model_fields)
    check_unique(path, "out", {line: row for line, row in lines.items() if row.get("out") and not is_target(row["out"])})
    return {row["collection"]: _options(path, line, row) for line, row in lines.items()}


def _options(path: str, line: int, row: Line) -> SyncOptions:
    try:
        return SyncOptions.model_validate({name: cell for name, cell in row.items() if cell})
    except ValidationError as error:
        wrong = "; ".join(
            f"column {e['loc'][0]}, value {row.get(str(e['loc'][0]), '')!r}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
        )
        raise UsageError(f"{path}, line {line}, {wrong}.") from error


def _task_name() -> str:
    return f"sync {task_run.parameters['options'].collection}"


@task(task_run_name=_task_name, **UNCACHED)
@concluded(lambda options: options.collection)
def sync_collection(options: SyncOptions) -> State[Any] | Outcome:
    """Sync one collection's export, and download its forecast."""
    return sync_export(options)


@task(task_run_name="hand_out", **UNCACHED)
def hand_out(table: Table, deployment: str) -> dict[str, UUID]:
    """Table -> a flow run of ``deployment`` for each collection; the key is this run's, so that running it again does them all again.

    Raises:
        UsageError: the Prefect server knows no such deployment.
    """
    runs: dict[str, UUID] = {}
    for collection, options in table.items():
        try:
            run = run_deployment(
                deployment,
                parameters={"options": options.model_dump(mode="json", exclude_defaults=True)},
                timeout=0,
                tags=[HANDED_OUT],
                idempotency_key=f"{flow_run.id}-{flow_run.run_count}-{collection}",
            )
            runs[collection] = cast("FlowRun", run).id  # an awaitable only where an event loop runs
        except ObjectNotFound as error:
            raise UsageError(
                f"The Prefect server has no deployment {deployment!r}. It is written flow/name: see `prefect deployment ls`; "
                "`prefect deploy --all --prefect-file deployments/prefect.yaml` makes the shipped ones."
            ) from error
    say("hand-out", f"{len(runs):,} runs of {deployment} handed out", runs=len(runs))
    return runs


@task(task_run_name="await_runs", retries=MAX_POLLS, retry_delay_seconds=_LOOKS, retry_condition_fn=is_transient, **UNCACHED)
def await_runs(runs: dict[str, UUID], deployment: str) -> dict[str, State[Any]]:
    """Flow runs -> how they ended: one poll an attempt. Their data stay in other processes: messages and tags say it.

    One whose worker died is handed out again. Where none has moved for longer than an upload and a forecast may take, those left count
    as failed, with :class:`DeadlinePassed`; what they may yet do is theirs.

    Raises:
        StillProcessing: some have not ended; Prefect looks again.
    """
    read = {run.id: run for run in _read(list(runs.values()))}
    found = {identifier: (run.state or Pending(), run.tags) for identifier, run in read.items()}
    gone: tuple[State[Any], list[str]] = (Crashed(message="The run was deleted from the Prefect server."), [])
    states = {name: found.get(run, gone)[0] for name, run in runs.items()}
    ended = {name: state for name, state in states.items() if state.is_final()}
    looks = [hand_out_again_if_dead(name, read[run]) for name, run in runs.items() if name not in ended]
    at_rest = min((seconds for seconds, _ in looks), default=0.0)
    longest = 2 * load_settings().deadline + _READING
    if len(ended) < len(runs) and at_rest < longest:
        failed = sum(not state.is_completed() for state in ended.values())
        waiting = sum(state.is_scheduled() for state in states.values())
        left = [name for name in runs if name not in ended]
        again = "".join(f". {said}" for _, said in looks if said)
        show_ended(COLLECTIONS, len(ended) - failed, failed, len(runs), percent=(0, 99))
        raise StillProcessing(
            f"{len(ended):,} of {len(runs):,} runs of {deployment} have ended, {failed:,} of them failed; {waiting:,} wait for a worker; "
            f"not ended: {', '.join(left[:_NAMED])}{' ...' if len(left) > _NAMED else ''}{again}"
        )
    return {name: _told(name, *found.get(run, gone), longest) for name, run in runs.items()}


def _read(ids: list[UUID]) -> list[FlowRun]:
    pages = [FlowRunFilter(id=FlowRunFilterId(any_=ids[start : start + _PAGE])) for start in range(0, len(ids), _PAGE)]
    try:
        with get_client(sync_client=True) as client:
            return [run for page in pages for run in client.read_flow_runs(flow_run_filter=page)]
    except httpx.HTTPError as error:
        raise StillProcessing(
            f"Prefect's server does not answer ({type(error).__name__}); the runs go on, and are asked for again"
        ) from error


@flow(
    name="sync-collections",
    flow_run_name="collections of {collections}",
    persist_result=False,
    task_runner=THREADS,
    **WATCHED,
)
@concluded(lambda collections, deployment=None: COLLECTIONS)  # noqa: ARG005 - it has the flow's own parameters
def sync_collections(collections: str, deployment: str | None = None) -> State[Any]:
    """Sync each of many collections with its export, and download each forecast; one that fails does not stop the others.

    Args:
        collections: path of the table, a CSV with a column `collection` and any other options of `sync-deals`, such as `export` and `crm`.
        deployment: the deployment whose work pool's workers do the syncs, such as `sync-deals/one-of-many`; default: this process.

    Raises:
        UsageError: the table or the deployment cannot be used.
    """
    table = read_collections(load_settings().path_of(collections))
    if deployment is None:
        return ended_as_one(states_of(table, lambda name: sync_collection.submit(table[name]), COLLECTIONS), COLLECTIONS)
    runs = hand_out(table, deployment)
    try:
        return ended_as_one(await_runs(runs, deployment), COLLECTIONS)
    except BaseException as error:
        if not isinstance(error, Exception):  # SIGTERM, Ctrl-C, a cancellation
            say("cancelled", f"This run was ended; the {len(runs):,} runs of {deployment} go on. Cancel them in the Prefect UI if need be.")
        raise


def _told(collection: str, state: State[Any], tags: list[str], longest: float) -> State[Any]:
    said = f"{state.message or state.name}"
    if not state.is_final():
        return Failed(data=DeadlinePassed(f"its run is {state.name}, and no run has moved for {longest / 60:.0f} min: does a worker run?"))
    return Completed(data=DoneElsewhere(collection, said)) if state.is_completed() else Failed(data=error_of(tags)(said))

"""One export, many pipelines: the export is read once, and each pipeline's collection gets a sync of its own.

Each has its own gate, report and forecast; one that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.client.schemas.objects import State
from prefect.runtime import task_run
from pydantic import ValidationError

from flows.crm.guide.remembered import remembered, with_remembered
from flows.deals.records import StagedDeals
from flows.deals.staged_file import stage_pipelines
from flows.errors import LedgerDamaged, StoppedByGuard, UsageError
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import Ledger
from flows.many_collections import THREADS, ended_as_one, states_of
from flows.options import SyncOptions, counted, is_target
from flows.runtime import data_process
from flows.runtime.data_process import in_data_process
from flows.runtime.staging_area import staging_folder
from flows.runtime.step_log import say
from flows.settings import load_settings
from flows.sync_deals import id_of, sync_export
from flows.table_of_syncs import read_lines
from flows.tasks import UNCACHED, Steps
from flows.ui.final_states import WATCHED, FlowEnd, concluded
from flows.ui.run_name import PIPELINES

Table = dict[str, str]
"""Pipeline name -> collection id."""


def read_table(path: str) -> Table:
    """Read the table pipeline -> collection: a CSV with the columns `pipeline` and `collection`.

    Raises:
        UsageError: the file is missing, lacks a column, or names a pipeline or a collection twice.
    """
    return {row["pipeline"]: row["collection"] for row in read_lines(path, ["pipeline", "collection"]).values()}


def _task_name() -> str:
    options = task_run.parameters["options"]
    return f"sync {options.pipeline}"


@task(task_run_name="extract_pipelines", **UNCACHED)
def extract_pipelines(options: SyncOptions, table: Table, named: Collection[str], folder: Path, timezone: str) -> dict[str, StagedDeals]:
    """Read the export once; stage the deals of each pipeline of ``table``, and say which are in none that is ``named`` anywhere."""
    staged, left = in_data_process(stage_pipelines, options, set(table), folder, timezone)
    for pipeline, deals in staged.items():
        say("extract", f"pipeline {pipeline}: {counted(deals.deals, 'deal')}", deals=deals.deals)
        for remark in deals.remarks:
            say("extract", f"pipeline {pipeline}: {remark}")
    for pipeline, count in left.items():
        if not pipeline:
            say("extract", f"{counted(count, 'deal')} not synced, since they name no pipeline", deals=count)
        elif pipeline not in named:
            say("extract", f"pipeline {pipeline}: {counted(count, 'deal')} not synced, since the table does not name it", deals=count)
    return staged


@task(task_run_name=_task_name, **UNCACHED)
@concluded(lambda options, deals: options.collection)  # noqa: ARG005 - it has the task's own parameters
def sync_pipeline(options: SyncOptions, deals: StagedDeals | None) -> FlowEnd:
    """Sync one pipeline's deals to its collection, and download its forecast."""
    if deals is None:
        raise StoppedByGuard(
            f"The export has no deals in pipeline {options.pipeline!r}; nothing was sent to {options.collection}."
            " Fix the pipeline's name in the table, or take its line out."
        )
    return sync_export(options, deals)


@flow(
    name="sync-pipelines",
    flow_run_name="pipelines of {options.export}",
    persist_result=False,
    task_runner=THREADS,
    **WATCHED,
)
@concluded(lambda options, pipelines: PIPELINES)  # noqa: ARG005 - it has the flow's own parameters
def sync_pipelines(options: SyncOptions, pipelines: str) -> State[Any]:
    """Sync each pipeline of one CRM export to a collection of its own, and download each forecast.

    Args:
        options: as for `sync-deals`; `collection` and `pipeline` come from the table, `out` gets a folder for each collection.
        pipelines: path of the table, a CSV with the columns `pipeline` and `collection`.

    Raises:
        UsageError: the table cannot be used.
        ExportError: the export cannot be read or mapped.
    """
    settings = load_settings()
    table, options = read_table(settings.path_of(pipelines)), settings.from_folder(options)
    data_process.start_data_process()
    each = {pipeline: _remembered(_options_of(options, pipeline, collection)) for pipeline, collection in table.items()}
    with staging_folder(settings.home_folder) as folder:
        find = Steps(settings).find_collection
        zones = states_of(each, lambda pipeline: find.submit(each[pipeline]), PIPELINES, "found", (0, 10))
        found = {pipeline: state.result() for pipeline, state in zones.items() if state.is_completed()}
        staged = _extract(each, found, folder)
        synced = states_of(found, lambda pipeline: sync_pipeline.submit(each[pipeline], staged.get(pipeline)), PIPELINES)
        return ended_as_one(zones | synced, PIPELINES)


def _options_of(options: SyncOptions, pipeline: str, collection: str) -> SyncOptions:
    out = str(Path(options.out) / collection) if options.out and not is_target(options.out) else options.out
    try:
        return SyncOptions.model_validate(options.model_dump() | {"pipeline": pipeline, "collection": collection, "out": out})
    except ValidationError as error:
        why = "; ".join(e["msg"].removeprefix("Value error, ") for e in error.errors())
        raise UsageError(f"Pipeline {pipeline!r} has the collection {collection!r}: {why}. Fix the table.") from error


def _remembered(options: SyncOptions) -> SyncOptions:
    """The options, and where they say nothing how the collection's last export was read; a damaged ledger is the sync's to tell."""
    with suppress(LedgerDamaged):
        ledger = Ledger(load_settings().ledger_url)
        taken = with_remembered(options, load_baseline(ledger, id_of(options.collection, ask=False)))
        if told := remembered(options, taken):
            say("reading", f"pipeline {options.pipeline}: {told}")
        return taken
    return options


def _extract(each: dict[str, SyncOptions], found: dict[str, str], folder: Path) -> dict[str, StagedDeals]:
    """One reading for each timezone and way of reading among the collections, which is nearly always one; ``found``: pipeline -> zone."""
    alike: dict[tuple[str, SyncOptions], Table] = {}
    for pipeline, zone in found.items():
        options = each[pipeline]
        way = options.model_copy(update={"pipeline": None, "collection": PIPELINES, "out": None})
        alike.setdefault((zone, way), {})[pipeline] = options.collection
    staged: dict[str, StagedDeals] = {}
    for (zone, way), table in alike.items():
        staged |= extract_pipelines(way, table, each, folder, zone)
    return staged

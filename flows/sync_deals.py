"""The flow: export -> deals -> checked deals -> append request -> completed append -> invocation -> forecast -> report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from prefect import allow_failure, flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from prefect.utilities.annotations import opaque
from pydantic import ValidationError

from flows.crm import known_dialects
from flows.crm.guide.remembered import remembered, with_remembered
from flows.deals.index.damaged_files import set_damaged_aside
from flows.deals.index.late_uploads import reconcile_late
from flows.deals.index.merge_completed import merge_completed
from flows.deals.records import CheckedDeals, StagedDeals
from flows.delivery.forecast_gate import CompletedAppend
from flows.delivery.lifecycle import AcceptedAppend, Forecast
from flows.errors import AppendRejected, DealcastError, ExportError, LedgerDamaged, NotFound, UsageError
from flows.ledger.collection_lock import lock_collection
from flows.ledger.export_baseline import load_baseline, save_baseline
from flows.ledger.store import TIMEZONE, Entry, Ledger
from flows.ledger.unfinished_syncs import (
    find_unfinished,
    forget_wait,
    how_to_resume,
    mark_lost,
    options_of,
    owes_forecast,
    stop_if_unknown,
    want_forecast,
)
from flows.options import SyncOptions, checked_id, is_id
from flows.runtime import data_process
from flows.runtime.atomic_files import require_own
from flows.runtime.staging_area import staging_folder
from flows.runtime.step_log import lines_about, say
from flows.runtime.thread_interruption import interrupted_by
from flows.settings import Settings, load_settings
from flows.tasks import Steps, check_deals, extract_deals, guard_export, publish_report
from flows.ui.final_states import WATCHED, FlowEnd, concluded
from flows.ui.report import Outcome
from flows.ui.run_name import first_name, note_id

R = TypeVar("R")


@flow(name="sync-deals", flow_run_name=first_name, persist_result=False, **WATCHED)
@concluded(lambda options: options.collection)
def sync_deals(options: SyncOptions) -> FlowEnd:
    """Send a CRM export's deals to the platform, and download a forecast.

    Args:
        options: the export, its dialect, the collection, and the policies between them.

    Raises:
        DealcastError: see `flows/errors.py`; the run's state message says what happened and what to do next.
    """
    return sync_export(options, alone=True)


def _one_parameter_an_option(body: Callable[..., R]) -> Callable[..., R]:
    """Give ``body`` the options of a sync as its own parameters: a form, and `prefect deployment run -p`, name each by itself."""
    fields = SyncOptions.model_fields
    kinds = {name: field.annotation for name, field in fields.items()} | {"crm": Literal[*(each.name for each in known_dialects())] | str}
    body.__signature__ = Signature(  # type: ignore[attr-defined] # prefect reads it
        [
            Parameter(
                name, Parameter.KEYWORD_ONLY, annotation=kinds[name], default=Parameter.empty if field.is_required() else field.default
            )
            for name, field in fields.items()
        ]
    )
    explained = "\n".join(f"    {name}: {field.description}" for name, field in fields.items())
    body.__doc__ = f"{body.__doc__}\n\nArgs:\n{explained}\n"
    return body


@flow(name="sync-deals", flow_run_name=first_name, persist_result=False, **WATCHED)
@_one_parameter_an_option
def sync_on_demand(**options: Any) -> State[Any]:
    """Send a CRM export's deals to the platform, and download a forecast: `sync-deals`, as a form to fill in."""
    try:
        return sync_deals.fn(SyncOptions.model_validate(options))
    except ValidationError as error:
        wrong = "; ".join(f"{e['loc'][0]}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors(include_input=False))
        raise UsageError(f"{wrong}.") from error


@flow(name="resume-sync", flow_run_name=first_name, persist_result=False, **WATCHED)
@concluded(lambda collection, request_id=None, forget=False: collection)  # noqa: ARG005 - it has the flow's own parameters
def resume_sync(collection: str, request_id: str | None = None, forget: bool = False) -> FlowEnd:
    """Resume a sync that was accepted and did not end: wait for it, and download its forecast. No export is read.

    Args:
        collection: the platform's collection, by its id or name.
        request_id: the append request to resume; default: the last one that did not end.
        forget: wait no longer for what the platform never ends: the next sync sends those deals, or invokes that forecast, anew.

    Raises:
        DealcastError: as `sync-deals`; UsageError where the ledger knows no such collection or request.
    """
    collection = id_of(collection, ask=False)
    Ledger(load_settings().ledger_url).find(collection)  # before the lock, which leaves its own trace there
    with open_run(collection) as run:
        entry = find_unfinished(run.ledger, collection, request_id)
        if entry is None:
            return Completed(name="NothingNew", message=f"Nothing of {request_id or collection} is left to resume.")
        if forget:
            return Completed(name="Forgotten", message=forget_wait(run.ledger, entry))
        if any(other.upload.state == "accepted" for other in run.ledger.entries(collection) if other.fingerprint != entry.fingerprint):
            reconcile_pending(collection, run)  # no forecast while the platform is still at work on any of them
            entry = find_unfinished(run.ledger, collection)
            if entry is None:
                return Completed(name="NothingNew", message=f"Every upload of {collection} has ended: nothing is left to resume.")
        return deliver(entry, options_of(entry), None, run)


def sync_export(options: SyncOptions, deals: StagedDeals | None = None, *, alone: bool = False) -> FlowEnd:
    """The story: from an export, or the ``deals`` of one of its pipelines, to the report; ``alone`` in its process, or beside others."""
    load_settings().forecast_targets(options)  # a wrong one is told before anything is sent
    data_process.start_data_process()
    options = load_settings().from_folder(options.model_copy(update={"collection": id_of(options.collection)}))
    with open_run(options.collection) as run, _with_baseline(options, run) as options:
        reconcile_pending(options.collection, run, dry_run=options.dry_run)
        deals = deals or extract_deals(options, run.folder, run.steps.find_collection(options))
        checked = check_deals(deals, options, run.folder)
        if alone:
            data_process.end_data_process()  # the platform may take hours
        guard_export(_whole(checked), options)
        if options.dry_run:
            return _report(Outcome(options, run.out_folder(options), checked))
        if not checked.rows and not checked.deletes(options):
            return _nothing_new(options, checked, run)
        accepted = run.steps.submit_append(_whole(checked), options) if checked.rows else None
        if accepted is None or checked.deletes(options):
            accepted = _delete_gone(accepted, checked, options, run)
        return deliver(run.ledger.known(accepted.collection, accepted.fingerprint), options, checked, run)


@contextmanager
def _with_baseline(options: SyncOptions, run: Run) -> Iterator[SyncOptions]:
    """The options, and where they say nothing how the last export was read; what stops by that says where it is from.

    Where nobody knows that any more, all is sent again.
    """
    try:
        taken = with_remembered(options, load_baseline(run.ledger, options.collection))
    except LedgerDamaged as error:
        say("ledger", set_damaged_aside(run.ledger, options.collection, error))
        taken = options.model_copy(update={"full": True})
    if told := remembered(options, taken):
        say("reading", told)
    try:
        yield taken
    except (UsageError, ExportError) as error:
        error.args = (f"{error} {told}",) if told else error.args
        raise


def id_of(collection: str, *, ask: bool = True) -> str:
    """The id of the collection that a run was asked for by its id or name: as the platform says, or the ledger alone without ``ask``."""
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    if is_id(collection) or ledger.get(collection, TIMEZONE) is not None:
        return collection
    if ask and settings.has_token:
        found = Steps(settings).resolve_name(collection)
    else:  # a dry run needs no token, and what is resumed is in the ledger
        found = ledger.find(collection) if collection in map(ledger.name_of, ledger.collections()) else collection
    note_id(collection, found)
    return found


def deliver(entry: Entry, options: SyncOptions, checked: CheckedDeals | None, run: Run, *, sent: bool = True) -> FlowEnd:
    """The story's end, which a resumed sync shares: from an accepted append to the report."""
    completed = run.steps.await_append(AcceptedAppend.of(entry, run.ledger), return_state=True)
    if completed.is_completed():
        merge_completed(run.ledger, entry.collection, entry.fingerprint)
    forecast = _forecast_of(completed, options, run) if entry.wanted is not None else None
    if not completed.is_completed():
        error = completed.result(raise_on_failure=False)
        return Failed(message=f"Forecast not invoked: {error}", data=error)
    entry = run.ledger.known(entry.collection, entry.fingerprint)
    return _report(Outcome(options, run.out_folder(options), checked, entry, forecast, sent=sent))


def _delete_gone(accepted: AcceptedAppend | None, checked: CheckedDeals, options: SyncOptions, run: Run) -> AcceptedAppend:
    """The accepted delete of gone deals; an append that was ``accepted`` completes first, so that no deal is ever missing."""
    if accepted is not None:
        run.steps.await_append(accepted)
        merge_completed(run.ledger, accepted.collection, accepted.fingerprint)
    return run.steps.submit_delete(_whole(checked), options)


def _forecast_of(completed: State[CompletedAppend], options: SyncOptions, run: Run) -> Forecast | None:
    """Invoke, await, download; None, and a task shown as skipped, where the append is not completed."""
    invoked = run.steps.invoke_forecast(allow_failure(completed), return_state=True)
    if not completed.is_completed():
        return None
    invocation = invoked.result()
    try:
        return run.steps.download_forecast(run.steps.await_forecast(invocation), options)
    except DealcastError as error:
        error.invoked = True
        raise


def _nothing_new(options: SyncOptions, checked: CheckedDeals, run: Run) -> FlowEnd:
    """The end of a sync without a deal to send: only a forecast that is still owed, or asked for, is left to do."""
    last, args = run.ledger.last_completed(options.collection), options.forecast_args
    if checked.stats.deals and not checked.is_part(options):
        save_baseline(run.ledger, options.collection, checked.remembered)
    if last is not None and owes_forecast(last, options):
        now = last.model_copy(update={"export": last.export | {"newest_deal": checked.stats.newest_deal}})
        return deliver(want_forecast(run.ledger, now, args, again=last.certified), options, checked, run, sent=False)
    outcome = _report(Outcome(options, run.out_folder(options), checked, last))
    none = "No deal can be sent, and no sync has completed yet"
    if last:
        when = f"{last.upload.completed_at:%Y-%m-%d %H:%M} UTC"
        none = f"Nothing new since the last completed sync (request {last.upload.id}, completed {when})"
    return Completed(
        name="NothingNew",
        message=f"{none}: nothing was sent, nothing invoked{outcome.left_out}{outcome.age}{outcome.not_delivered}.",
        data=outcome,
    )


def reconcile_pending(collection: str, run: Run, *, dry_run: bool = False) -> None:
    """Learn what became of uploads that an earlier run left: nothing is compared, let alone sent, before that is known.

    A ``dry_run`` waits for none, and says which a sync would wait for.
    """
    for entry in run.ledger.entries(collection):
        _stop_if_unknown(entry, run)
        if dry_run:
            if entry.upload.state == "accepted":
                say("reconcile", f"a sync first waits for the {entry.mode} {entry.upload.id}, until when nobody knows what it changed")
            continue
        if entry.upload.state == "accepted":
            state = run.steps.await_append(AcceptedAppend.of(entry, run.ledger), return_state=True)
            error = None if state.is_completed() else state.result(raise_on_failure=False)
            if isinstance(error, NotFound):
                _stop_if_unknown(mark_lost(run.ledger, entry, str(error)), run)
            elif isinstance(error, BaseException) and not isinstance(error, AppendRejected):
                raise error
        if not entry.finished:
            merge_completed(run.ledger, entry.collection, entry.fingerprint)
    for told in reconcile_late(run.ledger, collection, run.settings.deadline) if not dry_run else ():
        say("reconcile", told)


def _stop_if_unknown(entry: Entry, run: Run) -> None:
    if run.settings.on_unknown == "stop":
        stop_if_unknown(entry)


def _report(outcome: Outcome) -> Outcome:
    return publish_report(_whole(outcome))


def _whole(record: R) -> R:
    """``record`` as an argument that Prefect hands on as it is: it would look for futures in each failure of a report, again and again."""
    return cast("R", opaque(record))


@dataclass(frozen=True, slots=True)
class Run:
    """One run's settings, ledger, private staging folder, and tasks with their retries."""

    settings: Settings
    ledger: Ledger
    folder: Path
    steps: Steps

    def out_folder(self, options: SyncOptions) -> Path:
        """The folder for the sync's files."""
        return self.settings.out_folder(options)


@contextmanager
def open_run(collection: str) -> Iterator[Run]:
    """Lock the collection and make a private staging folder; both end with the run, and an interrupted one says how to resume."""
    try:
        checked_id(collection)
    except ValueError as error:
        raise UsageError(f"--collection {collection!r}: {error}.") from error
    settings = load_settings()
    require_own(settings.home_folder)
    ledger = Ledger(settings.ledger_url)
    held = lock_collection(collection, ledger, settings.home_folder)
    with held, lines_about(collection), staging_folder(settings.home_folder) as folder:
        try:
            yield Run(settings, ledger, folder, Steps(settings))
        except BaseException as error:
            ended = interrupted_by(error)
            if ended is None:
                raise
            say("cancelled", how_to_resume(ledger, collection))
            raise ended from None

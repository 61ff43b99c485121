"""The flow: export -> deals -> checked deals -> append request -> completed append -> invocation -> forecast -> report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from prefect import Task, allow_failure, flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from prefect.utilities.annotations import opaque

from flows.deals.guard import save_baseline
from flows.deals.index_file import merge_into_index
from flows.deals.records import AcceptedAppend, CheckedDeals, Forecast, InvokedForecast, StagedDeals
from flows.deals.staged_file import staging_folder
from flows.delivery.backoff import MAX_POLLS, SEND_JITTER, expected_seconds, is_alike, poll_backoff, seconds_since, send_backoff
from flows.errors import AppendRejected, DealcastError, NotFound, OutcomeUnknown, StoppedByGuard, UsageError
from flows.ledger.collection_lock import lock_collection
from flows.ledger.store import Entry, Ledger
from flows.options import SyncOptions, checked_id, shown_url
from flows.runtime.step_log import say
from flows.settings import Settings, load_settings
from flows.tasks import (
    accepted_of,
    await_append,
    await_forecast,
    check_deals,
    download_forecast,
    extract_deals,
    find_collection,
    forecast_args,
    guard_export,
    invoke_forecast,
    is_part,
    publish_report,
    submit_append,
)
from flows.ui.final_states import WATCHED, concluded
from flows.ui.report import Outcome, out_folder

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Run:
    """What one run works with."""

    settings: Settings
    ledger: Ledger
    folder: Path


def _run_name() -> str:
    parameters = flow_run.parameters
    options = parameters.get("options") or parameters
    collection = options["collection"] if isinstance(options, dict) else options.collection
    return f"{collection} {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


@flow(name="sync-deals", flow_run_name=_run_name, persist_result=False, **WATCHED)
@concluded(lambda options: options.collection)
def sync_deals(options: SyncOptions) -> State[Any] | Outcome:
    """Bring a CRM export's deals to the platform, and download a forecast.

    Args:
        options: the export, its dialect, the collection, and the policies between them.

    Raises:
        DealcastError: see `flows/errors.py`; the run's state message says what happened and what to do next.
    """
    return sync_export(options)


@flow(name="resume-sync", flow_run_name=_run_name, persist_result=False, **WATCHED)
@concluded(lambda collection, request_id=None, forget=False: collection)  # noqa: ARG005 - it has the flow's own parameters
def resume_sync(collection: str, request_id: str | None = None, forget: bool = False) -> State[Any] | Outcome:
    """Go on with a sync that was accepted and did not end: wait for it, and download its forecast. No export is read.

    Args:
        collection: id of the platform's collection.
        request_id: the append request to go on with; default: the last one that did not end.
        forget: wait no longer for what the platform never ends: the next sync sends those deals, or invokes that forecast, anew.

    Raises:
        DealcastError: as `sync-deals`; UsageError where the ledger knows no such request.
    """
    with open_run(collection) as run:
        entry = _unfinished_entry(collection, request_id, run.ledger)
        if entry is None:
            return Completed(name="NothingNew", message=f"Nothing of {request_id or collection} is left to resume.")
        if forget:
            return Completed(name="Forgotten", message=_forget(entry, run.ledger))
        return _finish_sync(entry, entry.wanted, SyncOptions.model_validate(entry.options), None, run)


def sync_export(options: SyncOptions) -> State[Any] | Outcome:
    """From export to report: the body of `sync-deals`, and of each of many collections."""
    with open_run(options.collection) as run:
        timezone = sending(find_collection, run.settings)(options)
        if not options.dry_run:
            reconcile_pending(options.collection, run)
        deals = extract_deals(options, run.folder, timezone)
        return sync_extracted(deals, options, run)


def sync_extracted(deals: StagedDeals, options: SyncOptions, run: Run) -> State[Any] | Outcome:
    """From deals to the report: what the sync of one export and that of each of its pipelines have in common."""
    checked = check_deals(deals, options, run.folder)
    if options.dry_run:
        return publish_report(_whole(Outcome(options, out_folder(options, run.settings), checked)))
    guard_export(_whole(checked), options)
    if options.mode == "override" and not checked.rows + checked.unchanged:
        raise StoppedByGuard(
            f"No deal of {options.export} can be sent, and an override by none would empty the collection: nothing was sent."
        )
    if not checked.rows:
        return _nothing_new(options, checked, run)
    accepted = sending(submit_append, run.settings)(_whole(checked), options)
    entry = run.ledger.read(options.collection, accepted.fingerprint)
    if entry is None:
        raise UsageError(f"The ledger at {shown_url(run.settings.ledger_url)} does not keep what is written: use one that does.")
    return _finish_sync(entry, forecast_args(options), options, checked, run)


def _finish_sync(
    entry: Entry, args: dict[str, Any] | None, options: SyncOptions, checked: CheckedDeals | None, run: Run, *, sent: bool = True
) -> State[Any] | Outcome:
    """From an accepted append to the report: what a sync and a resumed one have in common."""
    if entry.wanted != args:  # another forecast than the one that an earlier run wanted, or had
        entry = run.ledger.write(entry.model_copy(update={"wanted": args, "forecast": None, "certified": False}))
    accepted, forecast = accepted_of(entry), None
    usual = _usual_seconds(accepted, run)
    completed = _waiting(await_append, accepted, usual, run)(accepted, usual, return_state=True)
    if completed.is_completed():
        _take_in(accepted, run.ledger)
    if args is not None:
        invoked = sending(invoke_forecast, run.settings)(allow_failure(completed), args, return_state=True)
        if completed.is_completed():
            forecast = _fetched(invoked.result(), options, run)
    if not completed.is_completed():
        error = completed.result(raise_on_failure=False)
        return Failed(message=f"Forecast not invoked: {error}", data=error)
    after = run.ledger.read(accepted.collection, accepted.fingerprint)
    return publish_report(_whole(Outcome(options, out_folder(options, run.settings), checked, after, forecast, sent=sent)))


def _fetched(invoked: InvokedForecast, options: SyncOptions, run: Run) -> Forecast:
    """The invoked forecast, waited for and downloaded."""
    try:
        usual = _usual_seconds(invoked, run)
        finished = _waiting(await_forecast, invoked, usual, run)(invoked, usual)
        return sending(download_forecast, run.settings)(finished, options)
    except DealcastError as error:
        error.invoked = True
        raise


def _nothing_new(options: SyncOptions, checked: CheckedDeals, run: Run) -> State[Any] | Outcome:
    """Every deal is held by the platform already: only a forecast that is still owed, or asked for, is left to do."""
    last = run.ledger.last_completed(options.collection)
    args = forecast_args(options)
    if checked.stats.deals and not is_part(checked, options):
        save_baseline(run.ledger, options.collection, checked.stats.as_baseline())
    if last is None or (last.certified and (args is None or (last.wanted == args and options.forecast == "if-new"))):
        outcome = publish_report(_whole(Outcome(options, out_folder(options, run.settings), checked, last)))
        none = "No deal can be sent, and no sync has completed yet"
        if last:
            when = f"{last.upload.completed_at:%Y-%m-%d %H:%M} UTC"
            none = f"Nothing new since the last completed sync (request {last.upload.id}, completed {when})"
        aside = f"; {checked.quarantined:,} quarantined" if checked.quarantined else ""
        why = f"{none}: nothing was sent, nothing invoked{aside}."
        return Completed(name="NothingNew", message=why, data=outcome)
    if last.certified:
        last = run.ledger.write(last.model_copy(update={"forecast": None, "certified": False}))
    return _finish_sync(last, args, options, checked, run, sent=False)


def reconcile_pending(collection: str, run: Run) -> None:
    """Learn what became of uploads that an earlier run left: nothing new is compared, let alone sent, before that is known."""
    for entry in run.ledger.entries(collection):
        _stop_if_unknown(entry, run)
        if entry.upload.state == "accepted":
            accepted = accepted_of(entry)
            usual = _usual_seconds(accepted, run)
            state = _waiting(await_append, accepted, usual, run)(accepted, usual, return_state=True)
            error = None if state.is_completed() else state.result(raise_on_failure=False)
            if isinstance(error, NotFound):
                lost = entry.upload.model_copy(update={"state": "unknown", "id": None, "accepted_at": None, "reason": str(error)})
                _stop_if_unknown(run.ledger.write(entry.model_copy(update={"upload": lost})), run)
            elif isinstance(error, BaseException) and not isinstance(error, AppendRejected):
                raise error
        if entry.upload.state in ("accepted", "completed"):
            _take_in(accepted_of(entry), run.ledger)


def _stop_if_unknown(entry: Entry, run: Run) -> None:
    if entry.upload.state in ("intended", "unknown") and run.settings.on_unknown == "stop":
        raise OutcomeUnknown(
            f"An earlier {entry.mode} to {entry.collection} was sent and its outcome is unknown "
            f"({entry.upload.reason or 'the run was killed'}), and DEALCAST_ON_UNKNOWN is `stop`. Look at the collection, "
            "then run again with DEALCAST_ON_UNKNOWN=resend: a repeat merges by id."
        )


def _take_in(accepted: AcceptedAppend, ledger: Ledger) -> None:
    """Count a completed upload as held by the platform, once."""
    entry = ledger.read(accepted.collection, accepted.fingerprint)
    if entry is not None and entry.upload.state == "completed" and not entry.indexed:
        merge_into_index(ledger, entry)


def _unfinished_entry(collection: str, request_id: str | None, ledger: Ledger) -> Entry | None:
    """The sync to go on with: the named one, or the newest that was accepted and did not end."""
    entries = ledger.entries(collection)
    if request_id is not None:
        found = [entry for entry in entries if entry.upload.id == request_id]
        if not found:
            known = ", ".join(str(entry.upload.id) for entry in entries[-5:] if entry.upload.id) or "none"
            raise UsageError(f"The ledger knows no request {request_id!r} of {collection}; it knows: {known}.")
        return None if found[-1].finished else found[-1]
    left = [entry for entry in entries if not entry.finished]
    if left and left[-1].upload.id is None:
        raise UsageError(
            f"The last sync of {collection} was not accepted ({left[-1].upload.state}), and its rows are not kept: "
            "run the same `dealcast sync` again."
        )
    return left[-1] if left else None


def _forget(entry: Entry, ledger: Ledger) -> str:
    """Wait no longer for an upload, whose deals are then in doubt, or for a forecast; what was forgotten, for people."""
    if entry.upload.state == "completed":
        ledger.write(entry.model_copy(update={"forecast": None}))
        what = f"Invocation {entry.forecast.id}" if entry.forecast and entry.forecast.id else "The forecast"
        return f"{what} is forgotten. The next sync, or `dealcast resume --collection {entry.collection}`, invokes a new one."
    given_up = entry.upload.model_copy(update={"state": "refused", "doubt": True, "reason": "forgotten: it was waited for no longer"})
    ledger.write(entry.model_copy(update={"upload": given_up}))
    return f"Request {entry.upload.id} is forgotten. The next `dealcast sync` sends its deals again, as the export then has them."


def _whole(record: R) -> R:
    """``record`` as an argument that Prefect hands on as it is: it would look for futures in each failure of a report, again and again."""
    return cast("R", opaque(record))


def sending(step: Task[P, R], settings: Settings) -> Task[P, R]:
    """``step`` with retries for a platform that cannot take it now."""
    return step.with_options(retries=settings.send_retries, retry_delay_seconds=send_backoff(settings), retry_jitter_factor=SEND_JITTER)


def _waiting(step: Task[P, R], sent: AcceptedAppend | InvokedForecast, usual: float | None, run: Run) -> Task[P, R]:
    """``step`` with as many looks as the deadline allows, spaced by how long the collection's earlier ones took."""
    return step.with_options(retries=MAX_POLLS, retry_delay_seconds=poll_backoff(run.settings, usual, seconds_since(sent.accepted_at)))


def _usual_seconds(sent: AcceptedAppend | InvokedForecast, run: Run) -> float | None:
    """How long the platform took for the collection's earlier uploads of like size, or for its forecasts."""
    entries = run.ledger.entries(sent.collection)
    if isinstance(sent, InvokedForecast):
        return expected_seconds([entry.forecast for entry in entries], run.settings)
    rows = next((entry.rows for entry in entries if entry.fingerprint == sent.fingerprint), 0)
    return expected_seconds([entry.upload for entry in entries if is_alike(entry.rows, rows)], run.settings)


@contextmanager
def open_run(collection: str) -> Iterator[Run]:
    """Lock the collection and make a private staging folder; both end with the run, and one that is cancelled says how to go on."""
    try:
        checked_id(collection)
    except ValueError as error:
        raise UsageError(f"--collection {collection!r}: {error}.") from error
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    with lock_collection(collection, ledger, settings.home_folder), staging_folder(settings.home_folder) as folder:
        try:
            yield Run(settings, ledger, folder)
        except BaseException as error:
            ended = interrupted_by(error)
            if ended is None:
                raise
            say("cancelled", how_to_resume(collection, ledger))
            raise ended from None


def interrupted_by(error: BaseException) -> BaseException | None:
    """What ended the run from outside: SIGTERM, Ctrl-C, a cancellation, a lost lock; None where it is an error of its own.

    Prefect's engine can stumble over a signal that comes while it begins a task: then an error hides what it was raised in handling.
    """
    found: BaseException | None = error
    while isinstance(found, Exception):
        found = found.__context__
    return found


def how_to_resume(collection: str, ledger: Ledger) -> str:
    """What is left of a run that was interrupted, and the command that goes on with it."""
    left = [entry for entry in ledger.entries(collection) if not entry.finished]
    if left and left[-1].upload.id:
        return f"The run was ended. Request {left[-1].upload.id} is accepted: go on with `dealcast resume --collection {collection}`."
    if left and left[-1].upload.state != "unsent":
        return "The run was ended while it was sending. Run the same `dealcast sync` again: what may have arrived merges by id."
    return "The run was ended before anything was sent. Run the same `dealcast sync` again."

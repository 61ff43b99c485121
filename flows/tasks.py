"""The arrows of the story: one Prefect task each, none of which hands on a row, a secret or an open connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled

from flows.crm.guide.remembered import differences
from flows.deals.check_staged import check_against_ledger
from flows.deals.export_guard import (
    STOPPED,
    check_whole,
    object_to_age,
    object_to_deletion,
    object_to_override,
    object_to_reading,
    object_to_whole,
)
from flows.deals.gone_deals import keep_gone
from flows.deals.index.damaged_files import set_damaged_aside
from flows.deals.index.known_deals import names_sent
from flows.deals.quarantine import keep_quarantine, stop_beyond_limit
from flows.deals.records import CheckedDeals, StagedDeals, deletion_of, entry_of
from flows.deals.staged_file import stage
from flows.delivery.backoff import MAX_POLLS, POLL_JITTER, SEND_JITTER, honor_retry_after, is_transient, poll_backoff, send_backoff
from flows.delivery.forecast_files import download
from flows.delivery.forecast_gate import CompletedAppend
from flows.delivery.lifecycle import AcceptedAppend, CompletedForecast, Forecast, InvokedForecast
from flows.delivery.month_checks import NOT_INVOKED, check_first_month, judged, object_to_first_month
from flows.delivery.poll import poll_append, poll_forecast
from flows.delivery.submit import begin_send, record_upload, require_new, send_once, send_upload
from flows.errors import (
    LedgerDamaged,
    Objection,
    PlatformBusy,
    PlatformUnreachable,
    StoppedByGate,
    StoppedByGuard,
    UnexpectedAnswer,
    UsageError,
)
from flows.ledger import store as ledgers
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import Entry, Ledger, Sending
from flows.ledger.unfinished_syncs import owes_forecast
from flows.nostradamus import Collection, Nostradamus
from flows.options import SyncOptions, age_of, counted
from flows.runtime.atomic_files import remove_halves
from flows.runtime.data_process import in_data_process
from flows.runtime.step_log import say
from flows.runtime.thread_interruption import raise_if_interrupted
from flows.runtime.zone_names import checked_zone, zone_of
from flows.settings import Settings, load_settings
from flows.ui.artifacts import show_gone, show_outcome, show_progress, show_rejected
from flows.ui.progress import show_wait
from flows.ui.provenance import note_platform
from flows.ui.report import Outcome, publish, with_history, withdraw_report

UNCACHED: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Options of every task: nothing of a run is kept in Prefect's result storage."""

_RETRIED: dict[str, Any] = {**UNCACHED, "retry_condition_fn": is_transient}
"""Options of a task that asks the platform; :class:`Steps` binds how often and after how long it is retried."""


@task(task_run_name="find_collection", **_RETRIED)
def find_collection(options: SyncOptions) -> str:
    """The collection's timezone: as asked, as the platform's list says (A), or as remembered in the ledger.

    Every sync asks, whatever it finds to send later: one that says that all is well has reached the platform, with a token that it
    takes, for a collection that it knows. Only a dry run without a token is content with what is remembered, and says so.

    Raises:
        UsageError: nobody says a zone; nothing is remembered then.
        NotFound: the platform does not know the collection.
    """
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    zone = options.timezone or (ledger.line(options.collection, ledgers.TIMEZONE) or "")
    if options.dry_run and not settings.has_token:
        say("collection", "the platform is not asked, since there is no token; a sync asks it first")
        return checked_zone(zone or "UTC")
    with _reached(settings) as platform:
        found = _known_collection(platform, options)
    if options.timezone:
        zone = checked_zone(options.timezone)
    elif found.timezone or not zone:
        zone = zone_of(options.collection, found.timezone)
    ledger.put_line(found.id, ledgers.TIMEZONE, zone)
    ledger.put_line(found.id, ledgers.NAME, found.name)
    note_platform(ledger, found.id, settings.platform_url, sandbox=bool(platform.sandbox))
    return zone


def _known_collection(platform: Nostradamus, options: SyncOptions) -> Collection:
    """The collection as listed; a list of a shape of its own need but have the id, where the user says the zone."""
    try:
        return platform.collection(options.collection)
    except UnexpectedAnswer:
        if options.timezone and platform.mentions(options.collection):
            return Collection(id=options.collection, timezone=options.timezone)
        raise


@task(task_run_name="resolve_name", **_RETRIED)
def resolve_name(collection: str) -> str:
    """Name -> id of the one collection that has it; an id is its own. Raises UsageError where several have it, NotFound where none."""
    with _reached(load_settings()) as platform:
        return platform.collection(collection).id


@task(task_run_name="extract_deals", **UNCACHED)
def extract_deals(options: SyncOptions, folder: Path, timezone: str) -> StagedDeals:
    """Export -> deals: read, map by the dialect, stage; every row of the file is a deal or a named non-row."""
    show_progress(options.collection, 5, f"reading {options.export}")
    deals = in_data_process(stage, options, folder, timezone)
    aside = "".join(f", {count:,} {why}" for why, count in deals.non_rows.items())
    how = f"{deals.export.form}, dialect {deals.export.dialect}; {deals.export.zones}"
    say(
        "extract",
        f"{counted(deals.rows, 'row')} read from {deals.export.path} ({how}): {counted(deals.deals, 'deal')}{aside}",
        deals=deals.deals,
    )
    for remark in deals.remarks:
        say("extract", remark)
    return deals


@task(task_run_name="check_deals", **UNCACHED)
def check_deals(deals: StagedDeals, options: SyncOptions, folder: Path) -> CheckedDeals:
    """Deals -> checked deals: the Great Expectations gate; failing rows go to the quarantine, up to its limit.

    Raises:
        StoppedByGate: more rows fail than the quarantine may hold (they are listed in ``quarantine.csv``), or the export as a whole
            breaks the extra suite.
    """
    settings = load_settings()
    show_progress(options.collection, 20, f"checking {counted(deals.deals, 'deal')}")
    ledger = Ledger(settings.ledger_url)
    try:
        checked = in_data_process(check_against_ledger, deals, options, settings.ledger_url, folder, settings.extra_suite)
    except LedgerDamaged as error:
        say("check", set_damaged_aside(ledger, options.collection, error))
        checked = in_data_process(check_against_ledger, deals, options, settings.ledger_url, folder, settings.extra_suite)
    place = settings.out_folder(options)
    ledger.require_lock(options.collection)
    remove_halves(place)
    withdraw_report(place)
    kept = keep_quarantine(checked, place, ledger, options.collection)
    show_rejected(options.collection, checked.report, str(kept))
    checked = keep_gone(checked, place)
    show_gone(options.collection, checked.stats)
    report = checked.report
    say(
        "check",
        f"{counted(report.rows, 'deal')} checked: {checked.rows:,} to send, {checked.unchanged:,} unchanged, "
        f"{checked.quarantined:,} quarantined, "
        f"{report.warnings:,} with a warning"
        + (f", {checked.stats.gone:,} known deals gone from the export" if checked.stats.gone else ""),
        rows=report.rows,
        to_send=checked.rows,
        quarantined=checked.quarantined,
    )
    if report.stopped_by:
        raise StoppedByGate(f"{report.why_stopped}; nothing was sent. Fix the export, or the suite that DEALCAST_EXTRA_SUITE names.")
    stop_beyond_limit(checked, options.quarantine_allowance(report.rows), kept)
    return checked


@task(task_run_name="guard_export", **UNCACHED)
def guard_export(checked: CheckedDeals, options: SyncOptions) -> None:
    """Stop an export that as a whole is not to be trusted, unless told to accept it: empty, shrunk, old, changed, read differently.

    A dry run also stops where the sync would stop later, at the forecast.

    Raises:
        StoppedByGuard: all that is objected to is in its message, a forecast that would not begin now too.
        UsageError: gone deals are to be deleted by a part of an export.
    """
    ledger = Ledger(load_settings().ledger_url)
    if options.missing == "delete" and options.mode == "append":
        check_whole(options, quarantine=checked.staged.export.quarantine)
    objections = _object(checked, options, ledger)
    to_forecast = _object_to_forecast(checked, options, ledger) if objections or options.dry_run else []
    if objections or to_forecast:
        raise StoppedByGuard.at(STOPPED if objections else NOT_INVOKED, objections + to_forecast)


def _object(checked: CheckedDeals, options: SyncOptions, ledger: Ledger) -> list[Objection]:
    """The guard's objections to sending this export."""
    staged, stats, found = checked.staged, checked.stats, list[Objection]()
    if options.max_age and not staged.export.quarantine:
        times = {"now": datetime.now(UTC), "local_now": staged.synced_at}
        found += object_to_age(age_of(options.max_age), staged.export.modified, stats.newest_update, **times)
    before, begun = load_baseline(ledger, options.collection), ledger.read(options.collection, checked.fingerprint)
    other = differences(staged.reading, before and before.get("reading"))
    found += object_to_reading(other, stats, accept=options.accept_reading_change)
    if (whole := options.mode == "override" or not checked.is_part(options)) or not staged.export.quarantine:
        before = before and before | ({"newest_update": None} if other else {})  # read differently, a time is neither older nor newer
        accepted = options.accept_change or (begun is not None and not begun.finished) or bool(other)
        found += object_to_whole(stats, before, accept_shrink=options.accept_shrink or not whole, accept_change=accepted)
    if options.missing == "delete" and options.mode == "append":
        found += object_to_deletion(stats, options.missing_limit)
    return found + (object_to_override(options.export, checked.rows + checked.unchanged) if options.mode == "override" else [])


def _object_to_forecast(checked: CheckedDeals, options: SyncOptions, ledger: Ledger) -> list[Objection]:
    """The objection to the forecast that a sync of this export would invoke, if it would."""
    invokes = checked.rows or checked.deletes(options) or owes_forecast(ledger.last_completed(options.collection), options)
    if not invokes or options.first_month is not None or options.forecast_args is None:
        return []
    return object_to_first_month(checked.stats.newest_deal, _day(ledger, options.collection, datetime.now(UTC)))


@task(task_run_name="submit_append", **_RETRIED)
def submit_append(checked: CheckedDeals, options: SyncOptions) -> AcceptedAppend:
    """Checked deals -> append request: one POST, written down before and after (S: 202 answers an UploadRequest)."""
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    entry = begin_send(ledger, entry_of(checked, options), checked.content)
    show_progress(options.collection, 45, f"sending {counted(checked.rows, 'deal')}")

    def post(platform: Nostradamus) -> str:
        request = platform.upload(options.collection, checked.csv, mode=options.mode).id
        say("submit", f"{counted(checked.rows, 'deal')} sent, accepted as request {request}", request_id=request, rows=checked.rows)
        return request

    return _submitted(entry, checked.content, post, settings, ledger)


@task(task_run_name="submit_delete", **_RETRIED)
def submit_delete(checked: CheckedDeals, options: SyncOptions) -> AcceptedAppend:
    """Gone deals -> delete request: one DELETE with their ids, written down before and after, as :func:`submit_append` (D*)."""
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    if checked.gone is None:
        raise UsageError("No deal is gone from the export: nothing is deleted.")
    gone = checked.gone
    entry = begin_send(ledger, deletion_of(entry_of(checked, options), checked, gone), gone.path)
    ids = names_sent(ledger, entry)
    show_progress(options.collection, 48, f"deleting {len(ids):,} gone deals")

    def post(platform: Nostradamus) -> str:
        request = platform.delete_deals(options.collection, ids).id
        say("delete", f"{len(ids):,} gone deals, delete accepted as request {request}", request_id=request, rows=len(ids))
        return request

    return _submitted(entry, gone.path, post, settings, ledger)


def _submitted(entry: Entry, content: Path, post: Callable[[Nostradamus], str], settings: Settings, ledger: Ledger) -> AcceptedAppend:
    """The accepted request of what ``post`` sends, unless the ledger has it; ``content`` are the deals that it is about."""

    def record(upload: Sending) -> None:
        record_upload(ledger, entry, upload, content)

    with _reached(settings) as platform:
        upload = send_upload(ledger, entry, record, partial(post, platform), platform=platform, settings=settings)
    return AcceptedAppend.of(entry.model_copy(update={"upload": upload}), ledger)


@task(task_run_name="await_append", **_RETRIED)
def await_append(accepted: AcceptedAppend) -> CompletedAppend:
    """Append request -> completed append: one GET an attempt; only this makes a :class:`CompletedAppend`.

    Raises:
        StillProcessing: queued or in progress; Prefect polls again.
        AppendRejected: the platform's validation refused the file; the message says which columns and checks.
        DeadlinePassed: neither completed nor refused in time, counted from acceptance.
    """
    settings = load_settings()
    with show_wait(accepted, settings):
        completed = poll_append(accepted, settings, Ledger(settings.ledger_url))
    say("await", f"request {accepted.request_id} completed", request_id=accepted.request_id)
    return completed


@task(task_run_name="invoke_forecast", **_RETRIED)
def invoke_forecast(completed: CompletedAppend | BaseException) -> InvokedForecast:
    """Completed append -> invocation: nothing but a :class:`CompletedAppend` leads to the POST (S: only after ``completed``)."""
    if not isinstance(completed, CompletedAppend):
        why = f"No forecast was invoked, since the append is not completed: {completed}"
        return Cancelled(name="Skipped", message=why)  # type: ignore[return-value] # prefect takes a returned state as the task's own
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    entry = ledger.known(completed.accepted.collection, completed.accepted.fingerprint)
    args = entry.wanted or {}
    if args.get("first_month") is None and (entry.forecast is None or entry.forecast.state == "unsent"):
        check_first_month(entry.export.get("newest_deal"), _day(ledger, entry.collection, datetime.now(UTC)))

    def record(forecast: Sending) -> None:
        ledger.write(entry.model_copy(update={"forecast": forecast}))

    with _reached(settings) as platform:

        def post() -> str:
            ledger.require_lock(entry.collection)
            earlier = [other.forecast for other in ledger.entries(entry.collection)]
            return require_new(platform.invoke(entry.collection, **args).id, earlier, lambda sent: platform.invocation(sent).status)

        forecast = send_once(entry.forecast, record, post, what=f"forecast of {entry.collection}", policy=settings.on_unknown)
    say("invoke", f"forecast of {counted(args['horizon'], 'month')} invoked as {forecast.id}", invocation_id=forecast.id)
    return InvokedForecast.of(entry.model_copy(update={"forecast": forecast}), ledger)


@task(task_run_name="await_forecast", **_RETRIED)
def await_forecast(invoked: InvokedForecast) -> CompletedForecast:
    """Invocation -> finished forecast: one GET an attempt, as :func:`await_append`.

    Raises:
        ForecastFailed: the invocation, or its primary result, ended in ``error``.
    """
    settings = load_settings()
    with show_wait(invoked, settings):
        completed = poll_forecast(invoked, settings, Ledger(settings.ledger_url))
    say("await", f"invocation {invoked.invocation_id} completed", invocation_id=invoked.invocation_id)
    return completed


@task(task_run_name="download_forecast", **_RETRIED)
def download_forecast(finished: CompletedForecast, options: SyncOptions) -> Forecast:
    """Finished forecast -> files: json, csv and xlsx, as far as the platform offers them."""
    settings = load_settings()
    folder = settings.out_folder(options)
    show_progress(options.collection, 95, "fetching the forecast")
    ledger = Ledger(settings.ledger_url)
    with _reached(settings) as platform:
        forecast = download(platform, finished.invoked.invocation_id, folder, partial(ledger.require_lock, options.collection))
    invoked = finished.invoked
    wanted = ledger.known(invoked.collection, invoked.fingerprint).wanted or options.forecast_args or {}
    forecast = judged(forecast, wanted, _day(ledger, invoked.collection, invoked.accepted_at))
    said = forecast.unread or f"forecast of {counted(len(forecast.months), 'month')}"
    say("download", f"{said} in {folder}{''.join(f'; {note}' for note in forecast.notes)}", months=len(forecast.months))
    return forecast


@task(task_run_name="publish_report", **UNCACHED)
def publish_report(outcome: Outcome) -> Outcome:
    """Everything -> report: ``report.md`` and ``certificate.json`` beside the forecast, and the Prefect artifacts."""
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    outcome = with_history(outcome, ledger, settings)
    publish(outcome, ledger)
    show_outcome(outcome)
    say("report", outcome.headline)
    return outcome


class Steps:
    """The tasks that ask the platform, their retries as the settings say: bound once, where a run begins.

    A send is repeated while the platform cannot take it; a poll until the deadline.
    """

    def __init__(self, settings: Settings) -> None:
        sends: dict[str, Any] = {"retries": settings.send_retries, "retry_delay_seconds": send_backoff(settings)}
        sends |= {"retry_jitter_factor": SEND_JITTER}
        polls: dict[str, Any] = {"retries": MAX_POLLS, "retry_delay_seconds": poll_backoff(settings)}
        polls |= {"retry_jitter_factor": POLL_JITTER}
        self.resolve_name = resolve_name.with_options(**sends)
        self.find_collection = find_collection.with_options(**sends)
        self.submit_append = submit_append.with_options(**sends)
        self.submit_delete = submit_delete.with_options(**sends)
        self.await_append = await_append.with_options(**polls)
        self.invoke_forecast = invoke_forecast.with_options(**sends)
        self.await_forecast = await_forecast.with_options(**polls)
        self.download_forecast = download_forecast.with_options(**sends)


@contextmanager
def _reached(settings: Settings) -> Iterator[Nostradamus]:
    """The platform, for the requests of one task; where it asks to come back later, the block ends that much later.

    Raises:
        Interrupted: the run is being interrupted.
    """
    raise_if_interrupted("it asked the platform; run the same again, and it resumes from the last recorded step")
    with settings.platform() as platform:
        try:
            yield platform
        except (PlatformBusy, PlatformUnreachable) as error:
            honor_retry_after(error)
            raise


def _day(ledger: Ledger, collection: str, moment: datetime) -> date:
    """The day of a moment in the collection's zone."""
    return moment.astimezone(ZoneInfo(ledger.line(collection, ledgers.TIMEZONE) or "UTC")).date()

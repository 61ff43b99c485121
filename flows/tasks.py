"""The arrows of the story: one Prefect task each, none of which hands on a row, a secret or an open connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled

from flows.deals.guard import guard, load_baseline
from flows.deals.index_file import keep_content
from flows.deals.records import AcceptedAppend, CheckedDeals, CompletedAppend, CompletedForecast, Forecast, InvokedForecast, StagedDeals
from flows.deals.selection import check_against_ledger
from flows.deals.staged_file import stage
from flows.delivery.backoff import JITTER, honor_retry_after, is_transient
from flows.delivery.forecast_files import download
from flows.delivery.poll import look, unfinished, wait_for_first_look
from flows.delivery.submit import send_once
from flows.errors import (
    AppendRejected,
    ForecastFailed,
    NotFound,
    PlatformBusy,
    PlatformRefused,
    StoppedByGate,
    UnexpectedAnswer,
)
from flows.ledger import store as ledgers
from flows.ledger.store import Entry, Ledger, Sending
from flows.nostradamus import Nostradamus, UploadRequest
from flows.nostradamus.validation_errors import columns, describe
from flows.options import SyncOptions
from flows.runtime.cancellation import raise_if_interrupted
from flows.runtime.data_process import beside
from flows.runtime.step_log import say
from flows.runtime.time_zones import checked_zone
from flows.settings import Settings, load_settings
from flows.side_by_side import heavy_step
from flows.ui.artifacts import ArtifactKind, known_as, links, show_certificate, show_forecast, show_progress, show_rejected, show_report
from flows.ui.report import Outcome, certificate, keep_quarantine, keep_rejection, out_folder, publish, report_text

UNCACHED: dict[str, Any] = {"cache_policy": NO_CACHE, "persist_result": False}
"""Options of every task: nothing of a run is kept in Prefect's result storage."""

_RETRIED: dict[str, Any] = {**UNCACHED, "retry_condition_fn": is_transient, "retry_jitter_factor": JITTER}


@task(task_run_name="find_collection", **_RETRIED)
def find_collection(options: SyncOptions) -> str:
    """The collection's timezone: as asked, as remembered in the ledger, or as the platform says (D)."""
    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    zone = options.timezone or (ledger.get(options.collection, ledgers.TIMEZONE) or b"").decode()
    if not zone and options.dry_run and not settings.has_token:
        zone = "UTC"
    if not zone:
        zone, name = _ask_platform(options.collection, settings)
        ledger.put(options.collection, ledgers.TIMEZONE, zone.encode())
        ledger.put(options.collection, ledgers.NAME, name.encode())
    return checked_zone(zone)


@task(task_run_name="extract_deals", **UNCACHED)
def extract_deals(options: SyncOptions, folder: Path, timezone: str) -> StagedDeals:
    """Export -> deals: read, map by the dialect, stage; every row of the file is a deal or a named non-row."""
    show_progress(options.collection, 5, f"reading {options.export}")
    with heavy_step():
        deals = beside(stage, options, folder, timezone)
    aside = "".join(f", {count:,} {why}" for why, count in deals.non_rows.items())
    how = f"{deals.export.form}, dialect {deals.export.dialect}"
    say("extract", f"{deals.rows:,} rows read from {deals.export.path} ({how}): {deals.deals:,} deals{aside}", deals=deals.deals)
    if deals.assumed:
        say("extract", deals.assumed)
    return deals


@task(task_run_name="check_deals", **UNCACHED)
def check_deals(deals: StagedDeals, options: SyncOptions, folder: Path) -> CheckedDeals:
    """Deals -> checked deals: the Great Expectations gate; failing rows go to the quarantine, up to its limit.

    Raises:
        StoppedByGate: more rows fail than the quarantine may hold (they are listed in ``quarantine.csv``), or the export as a whole
            breaks the extra suite.
    """
    settings = load_settings()
    show_progress(options.collection, 20, f"checking {deals.deals:,} deals")
    with heavy_step():
        checked = beside(check_against_ledger, deals, options, settings.ledger_url, folder, settings.extra_suite)
    kept = keep_quarantine(checked, out_folder(options, settings), _ledger(), options.collection)
    show_rejected(options.collection, checked.report, str(kept))
    report = checked.report
    say(
        "check",
        f"{report.rows:,} deals checked: {checked.rows:,} to send, {checked.unchanged:,} unchanged, {checked.quarantined:,} quarantined, "
        f"{report.warnings:,} with a warning",
        rows=report.rows,
        to_send=checked.rows,
        quarantined=checked.quarantined,
    )
    allowed = options.quarantine_allowance(report.rows)
    if report.stopped_by:
        raise StoppedByGate(f"{report.why_stopped}; nothing was sent. Fix the export, or the suite that DEALCAST_EXTRA_SUITE names.")
    if checked.quarantined > allowed:
        critical = [rule for rule in report.failed_rules if rule.severity == "critical"]
        worst = "; ".join(f"{rule.column}: {rule.text} ({rule.failed:,})" for rule in critical)
        raise StoppedByGate(
            f"{checked.quarantined:,} of {report.rows:,} deals would be refused by the platform, {allowed:,} may be quarantined; "
            f"nothing was sent. Failed: {worst}. "
            f"Fix the rows named in {kept}, or send the rest with --quarantine-limit {checked.quarantined}."
        )
    return checked


@task(task_run_name="guard_export", **UNCACHED)
def guard_export(checked: CheckedDeals, options: SyncOptions) -> None:
    """Stop an export that as a whole is not to be trusted (empty, shrunk, older), unless told to accept it."""
    if is_part(checked, options) and options.mode == "append":
        return
    before = load_baseline(_ledger(), options.collection)
    guard(checked.stats, before, accept_shrink=options.accept_shrink, accept_change=options.accept_change)


def is_part(checked: CheckedDeals, options: SyncOptions) -> bool:
    """Whether the deals are but some of those that there are, and no measure for others: a trial's, or those of a fixed quarantine."""
    return options.limit is not None or checked.staged.export.quarantine


@task(task_run_name="submit_append", **_RETRIED)
def submit_append(checked: CheckedDeals, options: SyncOptions) -> AcceptedAppend:
    """Checked deals -> append request: one POST, written down before and after (S: 202 answers an UploadRequest)."""
    settings, ledger = load_settings(), _ledger()
    entry = _entry_for(checked, options, ledger)

    def record(upload: Sending) -> None:
        ledger.write(entry.model_copy(update={"upload": upload}))

    show_progress(options.collection, 45, f"sending {checked.rows:,} deals")
    with _reached(settings) as platform:
        if any(earlier.upload.state == "unsent" and earlier.upload.sends for earlier in ledger.entries(options.collection)):
            _probe(platform)

        def post() -> str:
            return platform.upload(options.collection, checked.csv, mode=options.mode).id

        upload = send_once(entry.upload, record, post, what=f"{options.mode} to {options.collection}", policy=settings.on_unknown)
    say("submit", f"{checked.rows:,} deals sent, accepted as request {upload.id}", request_id=upload.id, rows=checked.rows)
    return accepted_of(entry.model_copy(update={"upload": upload}))


@task(task_run_name="await_append", **_RETRIED)
def await_append(accepted: AcceptedAppend, usual: float | None = None) -> CompletedAppend:
    """Append request -> completed append: one GET an attempt; only this makes a :class:`CompletedAppend`.

    ``usual`` is how many seconds the platform took for the collection's earlier uploads: the first attempt asks nothing where the
    answer is known.

    Raises:
        StillProcessing: queued or in progress; Prefect looks again.
        AppendRejected: the platform's validation refused the file; the message says which columns and checks.
        DeadlinePassed: neither completed nor refused in time, counted from acceptance.
    """
    settings, ledger = load_settings(), _ledger()
    entry = _known_entry(ledger, accepted.collection, accepted.fingerprint)
    if entry.upload.state == "completed" and entry.upload.completed_at:
        answer = UploadRequest(id=accepted.request_id, status="completed")
        return CompletedAppend(accepted, answer, entry.upload.completed_at)
    wait_for_first_look(accepted, usual, settings)
    answer = look(accepted, entry, settings)
    if answer.status == "completed":
        upload = entry.upload.model_copy(update={"state": "completed", "completed_at": datetime.now(UTC)})
        ledger.write(entry.model_copy(update={"upload": upload}))
        say("await", f"request {accepted.request_id} completed", request_id=accepted.request_id)
        return CompletedAppend(accepted, answer, upload.completed_at or datetime.now(UTC))
    if answer.status == "error":
        refused = entry.upload.model_copy(update={"state": "refused", "reason": answer.message})
        ledger.write(entry.model_copy(update={"upload": refused}))
        kept = keep_rejection(answer, out_folder(SyncOptions.model_validate(entry.options), settings))
        raise AppendRejected(
            f"The platform refused append request {accepted.request_id}: {describe(answer)}\nIts whole answer is in {kept}.",
            columns(answer),
        )
    raise unfinished(accepted, answer.status, usual, settings)


@task(task_run_name="invoke_forecast", **_RETRIED)
def invoke_forecast(completed: CompletedAppend | BaseException, args: dict[str, Any]) -> InvokedForecast:
    """Completed append -> invocation: nothing but a :class:`CompletedAppend` leads to the POST (S: only after ``completed``)."""
    if not isinstance(completed, CompletedAppend):
        why = f"No forecast was invoked, since the append is not completed: {completed}"
        return Cancelled(name="Skipped", message=why)  # type: ignore[return-value] # prefect takes a returned state as the task's own
    settings, ledger = load_settings(), _ledger()
    entry = _known_entry(ledger, completed.accepted.collection, completed.accepted.fingerprint)

    def record(forecast: Sending) -> None:
        ledger.write(entry.model_copy(update={"forecast": forecast}))

    with _reached(settings) as platform:

        def post() -> str:
            return platform.invoke(entry.collection, horizon=args["horizon"], first_month=args["first_month"]).id

        forecast = send_once(entry.forecast, record, post, what=f"forecast of {entry.collection}", policy=settings.on_unknown)
    say("invoke", f"forecast of {args['horizon']} months invoked as {forecast.id}", invocation_id=forecast.id)
    return _invoked_of(entry, forecast, args)


@task(task_run_name="await_forecast", **_RETRIED)
def await_forecast(invoked: InvokedForecast, usual: float | None = None) -> CompletedForecast:
    """Invocation -> finished forecast: one GET an attempt, as :func:`await_append`.

    Raises:
        ForecastFailed: the invocation, or its primary result, ended in ``error``.
    """
    settings, ledger = load_settings(), _ledger()
    entry = _known_entry(ledger, invoked.collection, invoked.fingerprint)
    if entry.forecast and entry.forecast.completed_at:
        return CompletedForecast(invoked, entry.forecast.completed_at)
    wait_for_first_look(invoked, usual, settings)
    try:
        answer = look(invoked, entry, settings)
    except NotFound as error:
        lost = Sending(state="unknown", intended_at=invoked.accepted_at, reason=str(error), doubt=True)
        ledger.write(entry.model_copy(update={"forecast": lost}))
        raise NotFound(f"{error} The platform lost the invocation; the deals are in: run the sync again for a new one.") from error
    if answer.failed:
        refused = Sending(state="refused", intended_at=invoked.accepted_at, reason=answer.message)
        ledger.write(entry.model_copy(update={"forecast": refused}))
        raise ForecastFailed(
            f"Invocation {invoked.invocation_id} failed: {(answer.message or 'no reason given').rstrip('.')}. "
            "The deals are in; run the sync again."
        )
    if answer.status != "completed":
        raise unfinished(invoked, answer.status, usual, settings)
    done = datetime.now(UTC)
    if entry.forecast:
        ledger.write(entry.model_copy(update={"forecast": entry.forecast.model_copy(update={"state": "completed", "completed_at": done})}))
    say("await", f"invocation {invoked.invocation_id} completed", invocation_id=invoked.invocation_id)
    return CompletedForecast(invoked, done)


@task(task_run_name="download_forecast", **_RETRIED)
def download_forecast(finished: CompletedForecast, options: SyncOptions) -> Forecast:
    """Finished forecast -> files: json, csv and xlsx, written only if they agree."""
    settings = load_settings()
    folder = out_folder(options, settings)
    show_progress(options.collection, 95, "fetching the forecast")
    with _reached(settings) as platform:
        files, months = download(platform, finished.invoked.invocation_id, folder)
    say("download", f"forecast of {len(months)} months in {folder}", months=len(months))
    return Forecast(finished.invoked.invocation_id, folder, files, months)


@task(task_run_name="publish_report", **UNCACHED)
def publish_report(outcome: Outcome) -> Outcome:
    """Everything -> report: ``report.md`` and ``certificate.json`` beside the forecast, and the Prefect artifacts."""
    publish(outcome, _ledger())
    _show(outcome)
    say("report", outcome.headline)
    return outcome


def _show(outcome: Outcome) -> None:
    """The outcome as artifacts, the report last and with links to the others."""
    collection, entry = outcome.options.collection, outcome.entry
    shown: list[ArtifactKind] = ["rejected"] if outcome.checked is not None and outcome.checked.quarantined else []
    if outcome.forecast is not None:
        show_forecast(collection, outcome.forecast.invocation_id, outcome.forecast.months, outcome.won_by_month)
        shown.append("forecast")
    if entry is not None and (outcome.sent or outcome.forecast):
        show_certificate(collection, certificate(entry))
        shown.append("certificate")
    show_report(collection, f"{report_text(outcome, known_as(collection))}\n{links(collection, shown)}", outcome.headline)


def accepted_of(entry: Entry) -> AcceptedAppend:
    """The accepted request that ``entry`` remembers."""
    if entry.upload.id is None or entry.upload.accepted_at is None:
        raise UnexpectedAnswer(f"The ledger has no request id for sync {entry.fingerprint} of {entry.collection}.")
    return AcceptedAppend(entry.collection, entry.fingerprint, entry.upload.id, entry.upload.accepted_at)


def forecast_args(options: SyncOptions) -> dict[str, Any] | None:
    """The invocation's arguments, or None where no forecast is asked for."""
    return None if options.forecast == "never" else {"horizon": options.horizon, "first_month": options.first_month}


def _ledger() -> Ledger:
    return Ledger(load_settings().ledger_url)


def _known_entry(ledger: Ledger, collection: str, fingerprint: str) -> Entry:
    entry = ledger.read(collection, fingerprint)
    if entry is None:
        raise UnexpectedAnswer(f"The ledger lost sync {fingerprint} of {collection} while it ran: was it moved? Run the sync again.")
    return entry


def _entry_for(checked: CheckedDeals, options: SyncOptions, ledger: Ledger) -> Entry:
    """The ledger's entry of this very sync, begun now or by a run that did not end; its contents are kept before it is sent."""
    found = ledger.read(options.collection, checked.fingerprint)
    if found is not None and not found.finished and found.upload.state in ("accepted", "completed"):
        return found
    upload = Sending(state="unsent", intended_at=datetime.now(UTC), doubt=found is not None and found.in_doubt)
    if found is not None and not found.finished:
        upload = found.upload
    keep_content(ledger, options.collection, checked.fingerprint, checked.content)
    export = checked.staged.export
    return Entry(
        fingerprint=checked.fingerprint,
        collection=options.collection,
        mode=options.mode,
        created_at=datetime.now(UTC),
        export={
            "path": export.path,
            "sha256": export.sha256,
            "limited": is_part(checked, options),
            "won_by_month": checked.stats.won_by_month,
            **checked.stats.as_baseline(),
        },
        csv_sha256=checked.sha256,
        rows=checked.rows,
        quarantined=checked.quarantined,
        unchanged=checked.unchanged,
        totals=checked.totals,
        upload=upload,
        wanted=forecast_args(options),
        options=options.model_dump(),
    )


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
        except PlatformBusy as error:
            honor_retry_after(error)
            raise


def _probe(platform: Nostradamus) -> None:
    """Ask something small of a platform that could not take an earlier send: an outage is not to cost an upload at each try."""
    with suppress(PlatformRefused):
        next(platform.collections(), None)


def _ask_platform(collection: str, settings: Settings) -> tuple[str, str]:
    """Timezone and name of the collection."""
    with _reached(settings) as platform:
        held = list(platform.collections())
    for candidate in held:
        if candidate.id == collection:
            return candidate.timezone or "UTC", candidate.name
    yours = ", ".join(f"{candidate.id} ({candidate.name})" for candidate in held[:10]) or "none"
    raise NotFound(
        f"The platform knows no collection {collection!r} for this token; nothing was sent. It has: {yours}. "
        "Create one with `dealcast collections create NAME --timezone ZONE`."
    )


def _invoked_of(entry: Entry, forecast: Sending, args: dict[str, Any]) -> InvokedForecast:
    if forecast.id is None or forecast.accepted_at is None:
        raise UnexpectedAnswer(f"The ledger has no invocation id for sync {entry.fingerprint} of {entry.collection}.")
    return InvokedForecast(entry.collection, entry.fingerprint, forecast.id, args, forecast.accepted_at)

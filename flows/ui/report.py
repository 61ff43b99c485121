"""Files of a run for people: report and certificate."""

from __future__ import annotations

import json
import platform as machine
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from flows.deals.export_guard import old_in_words
from flows.deals.quarantine import rules_table
from flows.deals.records import CheckedDeals
from flows.delivery.forecast_targets import deliver_history
from flows.delivery.lifecycle import Forecast
from flows.errors import LedgerDamaged, UsageError
from flows.ledger.export_baseline import load_won
from flows.ledger.forecast_history import FILE as HISTORY
from flows.ledger.forecast_history import Invoked, add_forecast, read_history, revision
from flows.ledger.store import Entry, Ledger
from flows.options import SyncOptions, counted
from flows.runtime.atomic_files import private_folder, write_whole
from flows.runtime.step_log import say
from flows.settings import Settings
from flows.ui.chart import Chart, chart_of
from flows.ui.inert_text import code, inert, markdown_table
from flows.ui.provenance import origin, origin_line, sandbox_of

REPORT = "report.md"
_FRESH = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a sync: what was checked, what the ledger knows of the sending, and the forecast if there is one."""

    options: SyncOptions
    folder: Path
    checked: CheckedDeals | None = None
    entry: Entry | None = None
    forecast: Forecast | None = None
    sent: bool = False
    revision: str = ""
    """Movement of the forecast's sum since the collection's last one, as `+2.1 % since 19 Nov`; empty where there is none."""
    chart: Chart | None = None
    """The forecast as a picture shows it; None where there is none whose months are known."""
    undelivered: tuple[str, ...] = ()
    """The targets to which the history of forecasts could not be delivered this time, each with the reason."""

    @property
    def headline(self) -> str:
        """The outcome in one line."""
        if self.checked is not None and self.options.dry_run:
            return f"dry run: {counted(self.checked.rows, 'deal')} would be sent, {self.checked.quarantined:,} quarantined{self._gone}"
        sent = (
            f"{counted(self.rows_sent, 'deal')} sent{self._oddly}, {self.entry.quarantined:,} quarantined{self._gone}"
            if self.sent and self.entry
            else f"nothing new to send{self.left_out}"
        )
        forecast = f", {self.forecast.unread or f'forecast of {self._months}: {self._total}{self._moved}'}" if self.forecast else ""
        return f"{sent}{forecast}{self.not_delivered}"

    @property
    def _oddly(self) -> str:
        return " (completed with validation errors)" if self.entry is not None and self.entry.upload.reason else ""

    @property
    def short(self) -> str:
        """The outcome in as few words as a list of runs has room for."""
        if self.checked is not None and self.options.dry_run:
            return f"dry run, {self.checked.rows:,} to send"
        if not self.sent or self.entry is None:
            return f"{'forecast only' if self.forecast else 'nothing new'}{self.left_out}{self.age}"
        quarantined = f", {self.entry.quarantined:,} quarantined" if self.entry.quarantined else ""
        sent = f"{self.rows_sent:,} sent{quarantined}{self._gone}{self._old}"
        if self.forecast is None:
            return sent
        return f"{sent} · {'forecast not read' if self.forecast.unread else f'{self._total} in {self._months}{self._moved}'}"

    @property
    def deleted(self) -> int:
        """Gone deals that were deleted."""
        return self.entry.rows if self.sent and self.entry is not None and self.entry.deletes else 0

    @property
    def rows_sent(self) -> int:
        """Deals that were appended, or that an override put in place of all."""
        if self.entry is not None and not self.entry.deletes:
            return self.entry.rows
        return self.checked.rows if self.checked is not None else 0

    @property
    def _months(self) -> str:
        return counted(len(self.forecast.months), "month") if self.forecast else ""

    @property
    def _total(self) -> str:
        """The forecast's whole revenue."""
        return f"{sum(revenue for _, revenue in self.forecast.months) if self.forecast else 0.0:,.0f}"

    @property
    def _moved(self) -> str:
        return f" ({self.revision})" if self.revision else ""

    @property
    def left_out(self) -> str:
        """Deals that are quarantined and gone, for the end of a sentence; empty where there are none."""
        return (f", {self.checked.quarantined:,} quarantined" if self.checked is not None and self.checked.quarantined else "") + self._gone

    @property
    def not_delivered(self) -> str:
        """Targets that were not reached, for the end of a sentence; empty where all were."""
        count = len(self.undelivered)
        return f", not delivered to {counted(count, 'place')} (the next sync makes up for it)" if count else ""

    @property
    def _gone(self) -> str:
        if self.deleted:
            return f", {self.deleted:,} gone and deleted"
        if self.options.dry_run and self.checked is not None and self.checked.gone is not None and self.checked.deletes(self.options):
            return f", {self.checked.gone.count:,} gone would be deleted"
        return f", {self.checked.stats.gone:,} gone" if self.checked is not None and self.checked.stats.gone else ""

    @property
    def age(self) -> str:
        """Age of the export, for the end of a sentence, and whether it is the last one again; empty where nobody knows."""
        if self.checked is None:
            return ""
        modified = self.checked.staged.export.modified
        old = old_in_words(modified, datetime.now(UTC)) if modified is not None else ""
        if self.checked.same_export:
            return f", same export again{f' ({old})' if old else ''}"
        return f", export {old}" if old else ""

    @property
    def _old(self) -> str:
        """The same in the name of a run that sent something, where it is news: a fresh export is what everybody expects."""
        modified = self.checked.staged.export.modified if self.checked is not None else None
        return self.age if modified is not None and datetime.now(UTC) - modified >= _FRESH else ""


@dataclass(frozen=True, slots=True)
class DoneElsewhere:
    """The end of a sync that another process did: its forecast and its report lie there."""

    collection: str
    headline: str


def withdraw_report(folder: Path) -> None:
    """Remove the report of the last success, which would stand beside a new quarantine where this run ends early."""
    (folder / REPORT).unlink(missing_ok=True)


def publish(outcome: Outcome, ledger: Ledger) -> None:
    """Write ``report.md`` and, once data were sent, ``certificate.json``; then close the ledger's entry. Raises LockLost before."""
    ledger.require_lock(outcome.options.collection)
    private_folder(outcome.folder)
    text = report_text(outcome, ledger.name_of(outcome.options.collection))
    write_whole(outcome.folder / REPORT, [text.encode()])
    entry = outcome.entry
    if entry is not None and not entry.certified:
        write_whole(outcome.folder / "certificate.json", [json.dumps(certificate(entry), indent=1).encode()])
        months = [month[:7] for month, _ in outcome.forecast.months] if outcome.forecast else []
        ledger.write(entry.model_copy(update={"certified": True, "predicted": months}))
        ledger.prune(entry.collection)


def with_history(outcome: Outcome, ledger: Ledger, settings: Settings) -> Outcome:
    """Add the outcome's forecast to the collection's history, deliver that to where people look, and say how the sum moved.

    A place that is not reached is said, and no reason to fail.
    """
    made = _invoked(outcome, settings.platform_url)
    if made is not None and outcome.forecast is not None:
        try:
            add_forecast(ledger, made, outcome.forecast.months)
        except LedgerDamaged as error:
            ledger.set_aside(made.collection, HISTORY)
            say("report", f"the history of forecasts, {error.where}, is damaged: it is set aside, and begins anew")
            add_forecast(ledger, made, outcome.forecast.months)
        history, subject = read_history(ledger, made.collection), ledger.name_of(made.collection) or made.collection
        moved = revision(history, made.invocation_id)
        chart = chart_of(
            history, load_won(ledger, made.collection), subject, made.invocation_id, sandbox=sandbox_of(ledger, made.collection)
        )
        outcome = replace(outcome, revision=moved, chart=replace(chart, revision=moved))
    if outcome.options.dry_run:
        return outcome
    try:
        failed = deliver_history(ledger, outcome.options.collection, settings.forecast_targets(outcome.options))
    except UsageError as error:
        failed = (str(error),)
    for each in failed:
        say("report", f"forecasts not delivered to {each}; the next sync makes up for it")
    return replace(outcome, undelivered=failed)


def _invoked(outcome: Outcome, platform_url: str) -> Invoked | None:
    """The origin of the outcome's forecast; None where there is none whose months are known."""
    entry, forecast = outcome.entry, outcome.forecast
    if entry is None or forecast is None or not forecast.months or entry.forecast is None or entry.upload.completed_at is None:
        return None
    invoked_at = entry.forecast.accepted_at or entry.upload.completed_at
    request, currency = str(entry.upload.id), entry.export.get("currency")
    return Invoked(
        entry.upload.completed_at, invoked_at, currency, platform_url, entry.collection, request, forecast.invocation_id, entry.fingerprint
    )


def certificate(entry: Entry) -> dict[str, Any]:
    """Record of what was sent, what the platform made of it, and with which versions: enough to prove a sync later."""
    return {
        "made": origin(entry.collection),
        "collection": entry.collection,
        "fingerprint": entry.fingerprint,
        "mode": entry.mode,
        "export": entry.export,
        "file_sha256": entry.csv_sha256,
        "rows_sent": entry.rows,
        "rows_unchanged": entry.unchanged,
        "rows_quarantined": entry.quarantined,
        "value_by_status": entry.totals,
        "append": {
            "request_id": entry.upload.id,
            "accepted_at": _iso(entry.upload.accepted_at),
            "completed_at": _iso(entry.upload.completed_at),
        },
        "forecast": None
        if entry.forecast is None
        else {
            "invocation_id": entry.forecast.id,
            "arguments": entry.wanted,
            "accepted_at": _iso(entry.forecast.accepted_at),
            "completed_at": _iso(entry.forecast.completed_at),
        },
        "versions": {name: version(name) for name in ("dealcast", "prefect", "great-expectations", "pandas", "httpx")}
        | {"python": machine.python_version()},
    }


def report_text(outcome: Outcome, name: str | None = None) -> str:
    """The report in Markdown; it holds counts and rules, and of the rows only their line numbers."""
    parts = [f"# {inert(f'{name or outcome.options.collection}: {outcome.headline}')}", origin_line(outcome.options.collection)]
    if outcome.forecast is not None:
        rows = [f"| {month[:7]} | {revenue:,.2f} |" for month, revenue in outcome.forecast.months]
        notes = [f"* {inert(note)}" for note in outcome.forecast.notes]
        unit = f" ({outcome.chart.currency})" if outcome.chart and outcome.chart.currency else ""
        table = [f"| month | revenue{inert(unit)} |", "|---|---:|", *rows, *([""] if notes else []), *notes]
        parts.append("\n".join(["## Forecast", "", *([inert(outcome.forecast.unread)] if outcome.forecast.unread else table)]))
    if outcome.entry is not None:
        parts.append(_platform(outcome.entry, sent=outcome.sent))
    if outcome.checked is not None:
        parts += [_gate(outcome.checked), _came(outcome.checked)]
    if outcome.undelivered:
        parts.append(
            "\n".join(["## Not delivered", "", "The next sync makes up for it.", "", *(f"* {inert(each)}" for each in outcome.undelivered)])
        )
    parts.append(f"Files: {code(str(outcome.folder))}")
    return "\n\n".join(parts) + "\n"


def _came(checked: CheckedDeals) -> str:
    staged = checked.staged
    rows = f"{counted(staged.rows, 'row')}: {counted(staged.deals, 'deal')}"
    lines = [
        "## What came",
        "",
        f"{code(staged.export.path)} ({inert(staged.export.dialect)}, {inert(staged.export.form)}), {rows}",
    ]
    lines.append(f"* {inert(str(staged.export.zones))}")
    lines += [f"* {count:,} not taken: {inert(why)}" for why, count in staged.non_rows.items()]
    lines += [f"* {inert(remark)}" for remark in staged.remarks]
    lines += _freshness(checked) + _gone(checked)
    filled = [
        f"| {column} | {inert(', '.join(f'{how}: {rows:,}' for how, rows in hows.items()))} |"
        for column, hows in staged.filled.items()
        if hows
    ]
    return "\n".join([*lines, "", "| column | filled by: rows |", "|---|---|", *filled])


def _freshness(checked: CheckedDeals) -> list[str]:
    modified, newest = checked.staged.export.modified, checked.stats.newest_update
    lines = ["* same export again: byte for byte the last one"] if checked.same_export else []
    if modified is not None:
        lines.append(f"* file of {modified.astimezone(UTC):%Y-%m-%d %H:%M} UTC, {old_in_words(modified, datetime.now(UTC))}")
    return [*lines, f"* newest change {newest}"] if newest else lines


def _gone(checked: CheckedDeals) -> list[str]:
    """Known deals that the export no longer has, and what becomes of them."""
    stats = checked.stats
    if not stats.gone:
        return []
    named = f"; their ids are in {code(stats.gone_file)}" if stats.gone_file else ""
    return [f"* {stats.gone:,} of {stats.known:,} known deals are gone from the export{named}"]


def _gate(checked: CheckedDeals) -> str:
    report = checked.report
    head = f"{report.rows:,} checked, {checked.rows:,} to send, {checked.unchanged:,} unchanged, {checked.quarantined:,} quarantined"
    lines = ["## What was checked", "", f"{head}, {report.warnings:,} with a warning"]
    if table := rules_table(report):
        lines += ["", markdown_table(table)]
    return "\n".join(lines)


def _platform(entry: Entry, *, sent: bool) -> str:
    seconds = entry.upload.seconds()
    took = f", completed after {seconds:.0f} s" if seconds is not None else ""
    said = (
        f"{entry.mode} request {code(str(entry.upload.id))}{took}"
        if sent
        else f"nothing new; the last {entry.mode} was request {code(str(entry.upload.id))}"
    )
    odd = f"\n\n{inert(entry.upload.reason)}" if entry.upload.reason else ""
    return f"## What the platform said\n\n{said}{odd}"


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")

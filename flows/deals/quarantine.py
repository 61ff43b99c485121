"""Deals that the gate quarantines: a CSV that names what to fix, and that syncs by itself once fixed (``--crm canonical``)."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from expectations import CheckReport, Severity, Verdict
from expectations.deals_schema import COLUMN_NAMES, SOURCE_LINE
from expectations.rules import CLOSED_NEEDS_DATE, REQUIRED
from flows.crm.extraction import QUARANTINE_REASONS
from flows.crm.files.location import sha256_of
from flows.crm.header_match import STAND_INS
from flows.deals.quarantine_workbook import write_workbook
from flows.deals.records import CheckedDeals
from flows.errors import StoppedByGate
from flows.ledger.store import Ledger
from flows.runtime.atomic_files import private_folder, write_whole
from flows.runtime.data_process import in_data_process
from flows.runtime.step_log import say

QUARANTINE_SCHEMA = pa.schema(
    [
        ("line", pa.int64()),
        *((name, pa.string()) for name in QUARANTINE_REASONS),
        *((name, pa.string()) for name in COLUMN_NAMES),
    ]
)
"""A row per deal: its line in the export, what failed (several joined with ``; ``), and the deal as the 35 columns."""

_JOIN = "; "
_PIECE = 1 << 20
_FILES = ".csv", ".xlsx"

_LINES = 3
"""Lines of the export that a table names for each rule."""

_REMEDIES = {
    ("value", REQUIRED): "have no value: --default value=0 fills them",
    (
        "closedDatetime",
        CLOSED_NEEDS_DATE,
    ): "are closed without a date: --closed-date stage, modified or created takes one that the export has",
    ("lastUpdateDatetime", REQUIRED): f"have no last change: {STAND_INS['lastUpdateDatetime']}",
    ("stage", REQUIRED): "have no stage: --default stage=none names one",
}
"""The remedies for the commonest gaps, by column and rule."""


def way_on(report: CheckReport, dialect: str) -> str:
    """The options that settle what failed, as sentences that end in a blank; empty where none does."""
    failed = {(result.column, result.rule): result.failed for result in report.failed_rules}
    said = [f"{failed[key]:,} {remedy}" for key, remedy in _REMEDIES.items() if key in failed and dialect != "canonical"]
    known = f"{'; '.join(said)} (the same can be said in a dialect of your own). " if said else ""
    assumed = [
        f"--assume-accepted {shlex.quote(f'{result.column}:{result.rule}')} ({result.failed:,}, {result.standing})"
        for result in report.failed_assumptions
        if report.assumed  # else each such row breaks a documented rule too, and would still fail
    ]
    return known + (f"What is only assumed to be refused is sent, with a warning, by {' '.join(assumed)}. " if assumed else "")


def keep_quarantine(checked: CheckedDeals, folder: Path, ledger: Ledger, collection: str) -> Path | None:
    """Put the quarantine, as CSV and as workbook, into ``folder``; where no row failed, earlier ones go, since they would mislead.

    People fix those files: one that is the export itself, or no longer as it was written, is kept. The folder is made in any case:
    one that cannot be made is to show before anything is sent. Returns the CSV's place.
    """
    private_folder(folder)
    places = [folder / f"quarantine{kind}" for kind in _FILES]
    if Path(checked.staged.export.path).resolve() in [place.resolve() for place in places if place.exists()]:
        places = [folder / f"quarantine-again{kind}" for kind in _FILES]
    for place in places:
        _clear(place, ledger, collection)
    if checked.quarantine is None:
        return None
    book = checked.quarantine.with_suffix(".xlsx")
    if refused := in_data_process(write_workbook, checked.quarantine, book):
        say("check", f"{places[0].name} has no workbook beside it: {refused}")
    for place, source in zip(places, [checked.quarantine, *([] if refused else [book])], strict=False):
        with source.open("rb") as stream:
            write_whole(place, iter(partial(stream.read, _PIECE), b""))
        ledger.put(collection, f"_{place.name}.sha256", sha256_of(place).encode())
    return places[0]


def _clear(place: Path, ledger: Ledger, collection: str) -> None:
    """Remove a quarantine file, or rename it where it was edited since it was written."""
    if place.exists() and sha256_of(place).encode() != ledger.get(collection, f"_{place.name}.sha256"):
        edited = place.with_name(f"{place.stem}-edited-{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}{place.suffix}")
        place.rename(edited)
        say("check", f"{place} was edited, and is kept as {edited.name}")
    place.unlink(missing_ok=True)


def stop_beyond_limit(checked: CheckedDeals, allowed: int, kept: Path | None) -> None:
    """Stop a sync of which more rows fail than the quarantine may hold, or every one; ``kept`` is where they are.

    Raises:
        StoppedByGate: with the table of rules as its details.
    """
    nothing_left = 0 < checked.quarantined == checked.report.rows
    if checked.quarantined <= allowed and not nothing_left:
        return
    critical = [rule for rule in checked.report.failed_rules if rule.severity == "critical"]
    worst = "; ".join(f"{rule.column}: {rule.text} ({rule.failed:,})" for rule in critical)
    error = StoppedByGate(
        f"{checked.report.refusals}, {allowed:,} may be quarantined; "
        f"nothing was sent. Failed: {worst}. {way_on(checked.report, checked.staged.export.dialect)}"
        + (
            f"Fix the rows named in {kept}."
            if nothing_left
            else f"Send the rest with --quarantine-limit {checked.quarantined}, or fix the rows named in {kept}."
        )
    )
    error.details = rules_table(checked.report)
    raise error


def rules_table(report: CheckReport) -> list[tuple[str, ...]]:
    """The rules that some row breaks, as a table with its header; empty where none is broken."""
    rows = [
        (rule.column, rule.text, f"{rule.failed:,}", str(rule.severity), ", ".join(str(failure.line) for failure in rule.samples[:_LINES]))
        for rule in report.failed_rules
    ]
    return [("column", "rule", "rows", "severity", "first lines"), *rows] if rows else []


def open_quarantine(path: Path) -> pacsv.CSVWriter:
    """Open ``path`` for writing tables of :data:`QUARANTINE_SCHEMA`."""
    return pacsv.CSVWriter(path, QUARANTINE_SCHEMA)


def quarantined(table: pa.Table, verdict: Verdict) -> pa.Table:
    """The rows of ``table`` that the gate refuses, with the reasons."""
    failing = table.filter(pc.invert(verdict.passing))
    failures = verdict.failures.filter(pc.equal(verdict.failures["severity"], str(Severity.CRITICAL)))
    reasons = failures.group_by(SOURCE_LINE, use_threads=False).aggregate([("column", "list"), ("value", "list"), ("rule", "list")])
    place = pc.index_in(failing[SOURCE_LINE], value_set=reasons[SOURCE_LINE].combine_chunks())
    reasons = reasons.take(place.combine_chunks())
    joined = [_joined(reasons[f"{what}_list"]) for what in ("column", "value", "rule")]
    return pa.table([failing[SOURCE_LINE], *joined, *(failing[name] for name in COLUMN_NAMES)], schema=QUARANTINE_SCHEMA)


def _joined(lists: pa.ChunkedArray) -> pa.Array:
    """Lists of text as one text each; a null entry (an empty cell) is shown as nothing."""
    lists = lists.combine_chunks()
    flat = pc.fill_null(lists.flatten(), "")
    return pc.binary_join(pa.ListArray.from_arrays(lists.offsets, flat), _JOIN)

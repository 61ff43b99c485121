"""Deals that the gate quarantines: a CSV that names what to fix, and that syncs by itself once fixed (``--crm canonical``).

A workbook with the same rows, every cell text, is for spreadsheet programs, which run a CSV's formulas and rewrite its dates.
It is written here and not by openpyxl, which puts the rows into a file of TMPDIR, where a kill would leave them.
"""

from __future__ import annotations

import csv
import io
import re
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from expectations import CheckReport, Severity, Verdict
from expectations.rules import CLOSED_NEEDS_DATE, REQUIRED
from expectations.schema import COLUMN_NAMES, SOURCE_LINE
from flows.crm.extraction import QUARANTINE_REASONS
from flows.crm.files.location import sha256_of
from flows.crm.header_match import STAND_INS
from flows.deals.content_index_file import sent_ids
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

MOST_ROWS, _LONGEST_CELL = 1_048_576, 32_767
"""The bounds of a sheet in Excel: rows, and UTF-16 units of a cell."""

_IN_ESCAPES = re.compile("_(?=x[0-9A-Fa-f]{4}_)|[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""Characters that a workbook writes by their code: those that XML cannot hold or rewrites, and the start of what reads as a code."""

_OFFICE = "http://schemas.openxmlformats.org"
_SHEETS, _RELATIONS = f"{_OFFICE}/spreadsheetml/2006/main", f"{_OFFICE}/officeDocument/2006/relationships"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    + "".join(
        f'<Override PartName="/xl/{part}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.{kind}+xml"/>'
        for part, kind in (("workbook", "sheet.main"), ("styles", "styles"), ("worksheets/sheet1", "worksheet"))
    )
    + "</Types>",
    "_rels/.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_RELATIONS}">'
    '<sheets><sheet name="quarantine" sheetId="1" r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="r2" Type="{_RELATIONS}/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{_SHEETS}"><fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>',
}
"""The parts of a workbook beside its sheet; the second format, 49, is text, and the sheet's columns have it for what is typed anew."""

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


def keep_gone(checked: CheckedDeals, place: Path) -> CheckedDeals:
    """Write the ids of the deals that are gone into ``gone.csv`` in the folder ``place``, the one place that has them as they are.

    Where none is gone, an earlier sync's file is removed.
    """
    path = place / "gone.csv"
    if checked.gone is None:
        path.unlink(missing_ok=True)
        return checked
    sink = io.BytesIO()
    with pacsv.CSVWriter(sink, pa.schema([("id", pa.string())])) as rows:
        for ids in sent_ids(checked.gone.path):
            rows.write(pa.table({"id": ids.cast(pa.string())}))
    write_whole(private_folder(place) / path.name, [sink.getvalue()])
    return replace(checked, stats=replace(checked.stats, gone_file=str(path)))


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


def write_workbook(quarantine: Path, place: Path, most_rows: int = MOST_ROWS) -> str:
    """Write the rows of the CSV ``quarantine`` into the workbook ``place``, every cell as text, a row at a time in memory.

    Returns:
        Why there is no workbook, where a sheet cannot hold the rows, of which it has ``most_rows`` with the header; else nothing.
    """
    with quarantine.open(encoding="utf-8", newline="") as source:
        refused = _beyond_a_sheet(csv.reader(source), most_rows)
        if refused:
            return refused
        source.seek(0)
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as book:
            for name, part in _PARTS.items():
                book.writestr(name, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{part}')
            with book.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
                sheet.write(
                    f'<worksheet xmlns="{_SHEETS}"><cols><col min="1" max="16384" width="18" style="1"/></cols><sheetData>'.encode()
                )
                for row in _sheet_rows(csv.reader(source)):
                    sheet.write(row.encode())
                sheet.write(b"</sheetData></worksheet>")
    return ""


def _beyond_a_sheet(rows: Iterator[Sequence[str]], most_rows: int) -> str:
    for number, row in enumerate(rows, 1):
        if number > most_rows:
            return f"a sheet holds {most_rows:,} rows, its header included"
        if max(map(len, row)) * 2 > _LONGEST_CELL and any(len(cell.encode("utf-16-le")) > 2 * _LONGEST_CELL for cell in row):
            return f"row {number:,} has a cell of more than the {_LONGEST_CELL:,} characters that one of a sheet holds"
    return ""


def _sheet_rows(rows: Iterator[Sequence[str]]) -> Iterator[str]:
    """The rows as the elements of a sheet; an empty cell is left out, and each other one names its place."""
    columns: list[str] = []
    for number, row in enumerate(rows, 1):
        columns = columns or [_letters(place) for place in range(len(row))]
        cells = (
            f'<c r="{column}{number}" s="1" t="inlineStr"><is><t xml:space="preserve">{_in_xml(cell)}</t></is></c>'
            for column, cell in zip(columns, row, strict=True)
            if cell
        )
        yield f'<row r="{number}">{"".join(cells)}</row>'


def _letters(place: int) -> str:
    """The name of a sheet's column, from 0 on: A to Z, AA, ..."""
    return (_letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)


def _in_xml(text: str) -> str:
    return escape(_IN_ESCAPES.sub(lambda found: f"_x{ord(found[0]):04X}_", text))


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

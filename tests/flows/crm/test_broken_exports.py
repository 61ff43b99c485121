"""Ways in which an export is broken: each is one clear error with its exit code, a quarantine, or an account of what was left out.

A quarantine is asked of the gate itself, since what extraction cannot convert must be what the gate refuses.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fsspec
import openpyxl
import pytest

from expectations import Severity, check
from expectations.deals_schema import COLUMN_NAMES
from flows.errors import DealcastError, ExportError, ExportNotFound, ExportUnmappable, ExportUnreadable, UsageError
from tests.flows.crm.conftest import Export, extract


@dataclass(frozen=True)
class Quarantine:
    """The gate refuses these columns of the row on this line, and nothing else."""

    columns: tuple[str, ...]
    line: int = 2


@dataclass(frozen=True)
class LeftOut:
    """Everything is read; these rows are no deals."""

    non_rows: dict[str, int]
    deals: int = 3


@dataclass(frozen=True)
class Broken:
    """One kind: how the file is made, what must come of it, and what the error must say (the file's name goes without saying)."""

    make: Callable[[Export, Path], object]
    outcome: type[DealcastError] | Quarantine | LeftOut
    says: tuple[str, ...] = ()
    crm: str = "hubspot"
    options: tuple[tuple[str, Any], ...] = ()


def _as(export: Export) -> Callable[[Export, Path], object]:
    return lambda _, path: export.write(path)


def _edited(edit: Callable[[str], str]) -> Callable[[Export, Path], object]:
    return lambda export, path: path.write_text(edit(export.text()), "utf-8", newline="")


def _raw(content: bytes) -> Callable[[Export, Path], object]:
    return lambda _, path: path.write_bytes(content)


def _zip(*names: str) -> Callable[[Export, Path], object]:
    def make(export: Export, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for place, name in enumerate(names):
                archive.writestr(name, (export.without("Deal Name") if place else export).text())

    return make


def _workbook(*rows: list[object]) -> Callable[[Export, Path], object]:
    def make(_: Export, path: Path) -> None:
        book = openpyxl.Workbook()
        sheet = book.worksheets[0]
        for row in rows:
            sheet.append(row)
        book.save(path)

    return make


def _merged(export: Export, path: Path) -> None:
    """As people merge the cells of one client's deals; the title above is merged too, which is nobody's loss."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["All deals"])
    sheet.append(list(export.deals[0]))
    for deal in export.deals:
        sheet.append(list(deal.values()))
    sheet.merge_cells("A1:J1")
    sheet.merge_cells("I4:I5")
    book.save(path)


E = Export()
ONE = replace(E, deals=E.deals[:1])
CANONICAL = ",".join(COLUMN_NAMES)
FOOTED = replace(E, below=[["Grand Totals (3 records)"], ["Confidential Information - Do Not Distribute"]])
SF = Export(
    [
        {
            "Id": f"006{n}",
            "Name": "a",
            "StageName": "Won",
            "Amount": "1",
            "CloseDate": "2025-01-02",
            "IsClosed": "1",
            "IsWon": "1",
            "CreatedDate": "2025-01-01",
            "LastModifiedDate": "2025-01-03",
        }
        for n in range(3)
    ]
)
SALESFORCE_FOOT = replace(
    SF,
    below=[
        ["Grand Totals (3 records)"],
        [],
        ["Confidential Information - Do Not Distribute"],
        ["Copyright (c) 2000-2026 salesforce.com, inc. All rights reserved."],
    ],
)
AMBIGUOUS = E.each(Create_Date="03/04/26", Close_Date="05/06/26", Last_Modified_Date="05/04/26")
MONEY = E.each(Currency="EUR")
NUMBERS = SF.with_deal(0, {"Amount": "1,234"})

KINDS = {
    "no such file": Broken(lambda *_: None, ExportNotFound, ("Check the path",)),
    "a folder": Broken(lambda _, path: path.mkdir(), ExportNotFound, ("folder",)),
    "empty": Broken(_raw(b""), ExportUnreadable, ("empty",)),
    "only blanks": Broken(_raw(b" \r\n\n \t\n"), ExportUnreadable, ("blanks",)),
    "a PDF": Broken(_raw(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), ExportUnreadable, ("PDF",)),
    "a picture": Broken(_raw(b"\x89PNG\r\n\x1a\n" + bytes(range(256))), ExportUnreadable, ("image",)),
    "a bzip2 archive": Broken(lambda e, path: path.write_bytes(bz2.compress(e.text().encode())), ExportUnreadable, ("a bzip2 archive",)),
    "gzip in gzip": Broken(
        lambda e, path: path.write_bytes(gzip.compress(gzip.compress(e.text().encode()))), ExportUnreadable, ("within",)
    ),
    "an executable": Broken(_raw(b"\x7fELF\x02\x01\x01" + bytes(500)), ExportUnreadable, ("not a CSV",)),
    "a login page": Broken(_raw(b"\n<!DOCTYPE html><html><body>Sign in, please</body></html>"), ExportUnreadable, ("HTML",)),
    "JSON": Broken(_raw(b'[{"id": 1, "name": "x"}]'), ExportUnreadable, ("JSON",)),
    "prose": Broken(_raw(b"Dear all\nplease find the deals attached\nregards\n"), ExportUnreadable, ("not a table",)),
    "one column": Broken(_raw(b"Record ID\n1\n2\n"), ExportUnreadable, ("not a table",)),
    "a cut gzip": Broken(lambda e, path: path.write_bytes(gzip.compress(e.text().encode())[:-9]), ExportUnreadable, ("damaged",)),
    "a cut zip": Broken(_raw(b"PK\x03\x04" + bytes(40)), ExportUnreadable, ("damaged",)),
    "a zip without a file": Broken(_zip(), ExportUnreadable),
    "a zip of two exports": Broken(_zip("deals.csv", "more.csv"), ExportUnreadable, ("deals.csv", "more.csv")),
    "cells merged over rows": Broken(_merged, ExportUnmappable, ("line 4, column 'Is Deal Closed?'", "down to line 5", "Unmerge")),
    "an empty workbook": Broken(_workbook(), ExportUnreadable, ("cell",)),
    "two encodings in one file": Broken(
        lambda e, path: path.write_bytes(e.each(Deal_Name="Café").text().encode() + b'"x","Caf\xe9"\n'),
        ExportUnreadable,
        ("line 5", "UTF-8"),
    ),
    "a character cut in two": Broken(
        lambda e, path: path.write_bytes(e.each(Deal_Name="Zürich").text().encode() + b"\xc3"), ExportUnreadable, ("UTF-8",)
    ),
    "a quote that never closes": Broken(_edited(lambda text: text + '"99","open'), ExportUnreadable, ("line 5", "quote")),
    "a separator that is not quoted": Broken(
        _as(replace(E, quoting=csv.QUOTE_MINIMAL, below=[["9", "a", "b", "c", "d", "e", "f", "g", "h", "i", "surplus"]])),
        ExportUnreadable,
        ("line 5 (11 cells)", "the header has 10 cells"),
    ),
    "a wrong dialect": Broken(_as(E), ExportUnmappable, ("--crm hubspot", "Id", "CreatedDate"), "salesforce"),
    "an unknown dialect": Broken(_as(E), UsageError, ("Did you mean 'hubspot'", "salesforce"), "hubspt"),
    "a dialect file that is missing": Broken(_as(E), UsageError, ("Check the path",), "nowhere.toml"),
    "no header row": Broken(_edited(lambda text: text.split("\n", 1)[1]), ExportUnmappable, ("'Record ID'",)),
    "no id": Broken(_as(E.without("Record ID")), ExportUnmappable, ("id:", "'Record ID'")),
    "no creation date": Broken(_as(E.without("Create Date")), ExportUnmappable, ("creationDatetime:", "'Create Date'")),
    "no close date": Broken(_as(E.without("Close Date")), ExportUnmappable, ("closedDatetime:",)),
    "no stage": Broken(_as(E.without("Deal Stage")), ExportUnmappable, ("stage:",)),
    "no amount": Broken(_as(E.without("Amount")), ExportUnmappable, ("value:", "'Amount'")),
    "no last change": Broken(_as(E.without("Last Modified Date")), ExportUnmappable, ("lastUpdateDatetime:",)),
    "several columns missing": Broken(_as(E.without("Record ID", "Amount")), ExportUnmappable, ("id, value",)),
    "a misspelled canonical column": Broken(
        _raw(CANONICAL.replace("addDatetime", "AddDatetime").encode() + b"\n"), ExportUnmappable, ("addDatetime",), "canonical"
    ),
    "a canonical column missing": Broken(
        _raw(CANONICAL.replace(",lastSyncedAt", "").encode() + b"\n"), ExportUnmappable, ("lastSyncedAt",), "canonical"
    ),
    "dates that may be either": Broken(_as(AMBIGUOUS), ExportUnmappable, ("line 2", "--date-order", "99/99/99")),
    "dates of both orders": Broken(
        _as(AMBIGUOUS.with_deal(0, {"Create Date": "25/04/26"}).with_deal(2, {"Close Date": "05/26/26"})),
        ExportUnmappable,
        ("line 2", "line 4", "day-first"),
    ),
    "a date order that a value disproves": Broken(
        _as(AMBIGUOUS.with_deal(1, {"Create Date": "25/04/26"})),
        ExportUnmappable,
        ("line 3", "disproved"),
        options=(("date_order", "month-first"),),
    ),
    "an amount that may be thousands": Broken(_as(NUMBERS), ExportUnmappable, ("line 2", "--decimal", "9,999"), "salesforce"),
    "amounts of both number formats": Broken(
        _as(NUMBERS.with_deal(1, {"Amount": "1.234,50"}).with_deal(2, {"Amount": "2,345.60"})),
        ExportUnmappable,
        ("line 3", "line 4"),
        "salesforce",
    ),
    "several currencies": Broken(
        _as(MONEY.with_deal(1, {"Currency": "USD"})), ExportUnmappable, ("EUR: 2 rows", "USD: 1 row", "--currency")
    ),
    "several currency signs": Broken(
        _as(E.each(Amount="$10").with_deal(1, {"Amount": "€10"})), ExportUnmappable, ("$: 2 rows", "EUR: 1 row")
    ),
    "a currency that nothing is in": Broken(_as(MONEY), UsageError, ("EUR: 3 rows",), options=(("currency", "CHF"),)),
    "several pipelines": Broken(
        _as(E.with_deal(1, {"Pipeline": "Renewals"})), ExportUnmappable, ("Sales Pipeline: 2 rows", "Renewals: 1 row", "--pipeline")
    ),
    "an unknown pipeline": Broken(_as(E), UsageError, ("Did you mean 'Sales Pipeline'",), options=(("pipeline", "Sales pipelin"),)),
    "a pipeline where there is no such column": Broken(
        _as(E.without("Pipeline")), UsageError, ("no pipeline column",), options=(("pipeline", "Sales Pipeline"),)
    ),
    "an unknown timezone": Broken(_as(E), UsageError, ("Did you mean 'Europe/Rome'",), options=(("timezone", "Europe/Roma"),)),
    "a pipeline where every cell is empty": Broken(
        _as(E.each(Pipeline="")), UsageError, ("No pipeline 'Sales Pipeline'",), options=(("pipeline", "Sales Pipeline"),)
    ),
    "a carriage return without quotes": Broken(_edited(lambda text: text + "15,a\rb,c\n"), ExportUnreadable, ("line 5", "carriage return")),
    "ids that a spreadsheet rounded": Broken(
        _as(E.with_deal(1, {"Record ID": "1.43163E+10"}).with_deal(2, {"Record ID": "1.43163E+10"})), Quarantine(("id",), 4)
    ),
    "an id that a program rounded": Broken(_as(E.with_deal(1, {"Record ID": "1.43163e+10"})), Quarantine(("id",), 3)),
    "an amount in words": Broken(_as(E.with_deal(0, {"Amount": "a lot"})), Quarantine(("value",))),
    "an amount with a unit": Broken(_as(E.with_deal(0, {"Amount": "10k"})), Quarantine(("value",))),
    "a negative amount": Broken(_as(E.with_deal(0, {"Amount": "(120.00)"})), Quarantine(("value",))),
    "no amount in one row": Broken(_as(E.with_deal(2, {"Amount": ""})), Quarantine(("value",), 4)),
    "a day that does not exist": Broken(
        _as(E.with_deal(0, {"Last Modified Date": "2026-02-30 10:00"})), Quarantine(("lastUpdateDatetime",))
    ),
    "a month that does not exist": Broken(
        _as(AMBIGUOUS.with_deal(0, {"Close Date": "31/13/26"}).with_deal(1, {"Create Date": "28/12/25"})),
        Quarantine(("expectedClosureDatetime",)),
    ),
    "an hour that does not exist": Broken(
        _as(E.with_deal(0, {"Close Date": "2026-12-18 24:30"})), Quarantine(("expectedClosureDatetime",))
    ),
    "a date in words": Broken(_as(E.with_deal(0, {"Close Date": "next week"})), Quarantine(("expectedClosureDatetime",))),
    "a date before 1970": Broken(_as(E.with_deal(0, {"Close Date": "1950-12-30 00:00"})), Quarantine(("expectedClosureDatetime",))),
    "no creation date in one row": Broken(
        _as(E.with_deal(0, {"Create Date": ""})), Quarantine(("creationDatetime", "addDatetime", "currentStageStartDatetime"))
    ),
    "no stage in one row": Broken(_as(E.with_deal(0, {"Deal Stage": ""})), Quarantine(("stage",))),
    "no id in one row": Broken(_as(E.with_deal(0, {"Record ID": ""})), Quarantine(("id",))),
    "an id of blanks": Broken(_as(E.with_deal(0, {"Record ID": " \u00a0"})), Quarantine(("id",))),
    "a deal twice": Broken(_as(replace(E, deals=[*E.deals, E.deals[0]])), Quarantine(("id",))),
    "closed without a close date": Broken(
        _as(E.with_deal(1, {"Is Deal Closed?": "true", "Is Closed Won": "true", "Close Date": ""})), Quarantine(("closedDatetime",), 3)
    ),
    "a status of no known word": Broken(
        _as(
            Export(
                [
                    {
                        "Deal - ID": "1",
                        "Deal - Title": "a",
                        "Deal - Value": "1",
                        "Deal - Stage": "x",
                        "Deal - Status": "Paused",
                        "Deal - Won time": "2025-01-02",
                        "Deal - Deal created": "2025-01-01",
                        "Deal - Update time": "2025-01-03",
                    }
                ]
            )
        ),
        Quarantine(("status", "closedDatetime")),
        crm="pipedrive",
    ),
    "a row that ends early": Broken(
        _as(replace(ONE, quoting=csv.QUOTE_MINIMAL, below=[["15", "Short", "Contract Sent"]])),
        ExportUnreadable,
        ("line 3 (3 cells)", "the header has 10 cells"),
    ),
    "a footer": Broken(_as(SALESFORCE_FOOT), LeftOut({"footer": 3, "blank row": 1}), crm="salesforce"),
    "blank rows": Broken(_edited(lambda text: text.replace("\n", "\n\n", 2) + ",,,,,,,,,\n"), LeftOut({"blank row": 3})),
    "a header repeated among the rows": Broken(_edited(lambda text: text + text.split("\n", 1)[0] + "\n"), LeftOut({"header repeated": 1})),
    "deleted rows": Broken(
        _as(SF.each(IsDeleted="0").with_deal(1, {"IsDeleted": "1"})), LeftOut({"deleted in the CRM": 1}, 2), crm="salesforce"
    ),
    "title lines above the header": Broken(_as(replace(E, above=[["All deals"], ["exported", "2026-11-02"], []])), LeftOut({})),
    "a header and no rows": Broken(_edited(lambda text: text.split("\n", 1)[0] + "\n"), LeftOut({}, 0)),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_broken_export_ends_in_one_clear_outcome(kind: Broken, export: Export, tmp_path: Path) -> None:
    path = tmp_path / "deals.csv"
    kind.make(export, path)
    if isinstance(kind.outcome, type):
        with pytest.raises(kind.outcome) as caught:
            extract(str(path), kind.crm, **dict(kind.options))
        message = str(caught.value)
        assert caught.type is kind.outcome
        assert all(word in message for word in kind.says), message
        assert "deals.csv" in message or kind.outcome is UsageError
        return
    frame, account = extract(str(path), kind.crm, **dict(kind.options))
    if isinstance(kind.outcome, LeftOut):
        assert dict(account.non_rows) == kind.outcome.non_rows
        assert account.deals == kind.outcome.deals
    else:
        refused = [failure for failure in check(frame).failures if failure.severity is Severity.CRITICAL]
        assert {failure.column for failure in refused} == set(kind.outcome.columns)
        assert kind.outcome.line in {failure.line for failure in refused}


def test_every_error_of_an_export_has_a_kind_that_ends_in_it() -> None:
    assert set(ExportError.__subclasses__()) <= {kind.outcome for kind in KINDS.values() if isinstance(kind.outcome, type)}


@pytest.mark.parametrize(
    "kind",
    [kind for kind in KINDS.values() if isinstance(kind.outcome, type)],
    ids=[name for name, kind in KINDS.items() if isinstance(kind.outcome, type)],
)
def test_nothing_of_the_export_stays_behind(kind: Broken, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error removes the private copy as a good end does."""
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    path = tmp_path / "deals.csv"
    kind.make(export, path)
    location = str(path)
    if path.is_file():  # a fetched export alone has a private copy
        fsspec.filesystem("memory").pipe("/kinds/deals.csv", path.read_bytes())
        location = "memory://kinds/deals.csv"
    with pytest.raises(kind.outcome):  # type: ignore[arg-type] # the parameters are those whose outcome is an error
        extract(location, kind.crm, **dict(kind.options))
    assert [*tmp_path.glob("home/staging/*")] == []

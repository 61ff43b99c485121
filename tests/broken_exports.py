"""Broken exports of all kinds, with a person in every column that may hold one, for the tests that look for them where no cell may be."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable

import openpyxl

from expectations.schema import COLUMN_NAMES, COLUMNS
from tests.conftest import DEAL

PERSON = "Giovanna Kanari, g.kanari@example.org, +39 345 6789012"
NEEDLE = re.compile(r"kanari|(?<!\d)6789012(?!\d)|giovanna", re.IGNORECASE)
"""Every cell that has it has an address or a long number too: only so is a name told from that of a stage or a column."""

Row = dict[str, str]
Make = Callable[[list[Row]], bytes]


def rows_of(count: int = 6) -> list[Row]:
    """Good canonical deals with a person in every column that may hold one."""
    deals = []
    for number in range(count):
        deal = dict.fromkeys(COLUMN_NAMES, "") | DEAL | {"id": f"kanari-{6789012 + number}", "name": PERSON, "description": PERSON}
        deals.append(deal | {"contactEmailDomain": "kanari.example", "companyName": PERSON} if "companyName" in deal else deal)
    return deals


def text_of(rows: list[Row], separator: str = ",", quoting: int = csv.QUOTE_ALL, end: str = "\n") -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=end)  # type: ignore[arg-type] # csv's int
    writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    return stream.getvalue()


def cell(column: str, text: str, row: int = 1) -> Make:
    """One cell of this text."""
    return lambda rows: text_of([each | ({column: text} if place == row else {}) for place, each in enumerate(rows)]).encode()


def edited(edit: Callable[[str], str], encoding: str = "utf-8", quoting: int = csv.QUOTE_ALL) -> Make:
    return lambda rows: edit(text_of(rows, quoting=quoting)).encode(encoding)


def lines_edited(edit: Callable[[list[str]], list[str]]) -> Make:
    return edited(lambda text: "\n".join(edit(text.splitlines())) + "\n")


def zipped(*names: str) -> Make:
    def make(rows: list[Row]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name in names:
                archive.writestr(name, text_of(rows))
        return stream.getvalue()

    return make


def workbook(edit: Callable[[list[list[object]]], list[list[object]]], sheets: int = 1) -> Make:
    def make(rows: list[Row]) -> bytes:
        book, stream = openpyxl.Workbook(), io.BytesIO()
        for number in range(sheets):
            sheet = book.worksheets[0] if not number else book.create_sheet()
            for row in edit([list[object](rows[0]), *(list[object](each.values()) for each in rows)]):
                sheet.append(row)
        book.save(stream)
        return stream.getvalue()

    return make


def headed(**names: str) -> Make:
    """Other header names."""
    return lambda rows: text_of([{names.get(name, name): text for name, text in row.items()} for row in rows]).encode()


COLUMNS_OF_ALL_KINDS: dict[str, Make] = {f"a person in {column}": cell(column, PERSON) for column in COLUMN_NAMES}
ONE_OF_A_KIND = {column.kind: column.name for column in COLUMNS}.values()
"""A column of each kind."""

LONG_ID = {"the id of a person, twice": cell("id", "kanari-6789012"), "an id of two forms": cell("id", "KANARI-6789012")}

KINDS: dict[str, Make] = {
    **COLUMNS_OF_ALL_KINDS,
    **LONG_ID,
    "a date with a person's number": cell("creationDatetime", "2026-13-45 6789012"),
    "a number with a unit": cell("value", "6789012 kanari"),
    "a number out of bounds": cell("value", "67890126789012e300"),
    "a year of no calendar": cell("closedDatetime", "6789-01-26789012"),
    "an empty value": cell("value", ""),
    "an empty id": cell("id", ""),
    "a cell of line breaks": cell("description", f"{PERSON}\n{PERSON}\n" * 40),
    "a long cell": cell("description", PERSON * 2000),
    "control characters": cell("name", f"{PERSON}\x1b[2J\x00\x07"),
    "a short row": edited(lambda text: text + '"kanari-9","Giovanna"\n'),
    "a long row": edited(lambda text: text + ",".join([PERSON] * 60) + "\n"),
    "a row of one cell": edited(lambda text: text + "Giovanna Kanari\n"),
    "a quote that never closes": edited(lambda text: text + f'"kanari-9","{PERSON}\n'),
    "a quote that closes late": edited(lambda text: text.replace(f'"{PERSON}",', f'"{PERSON},', 1)),
    "an escaped quote": edited(lambda text: text.replace("Giovanna", 'Giovanna \\"Gio\\" ', 2)),
    "unquoted separators": edited(lambda text: text.replace('"', "")),
    "a lone carriage return": edited(lambda text: text + "kanari-8,Giovanna\rKanari,x\n"),
    "no header": lines_edited(lambda lines: lines[1:]),
    "only a header of people": lines_edited(lambda lines: lines[1:2]),
    "two headers of one name": headed(name="description"),
    "a header that is a person": headed(name=PERSON),
    "all headers people": lambda rows: text_of([{f"{PERSON} {name}": text for name, text in row.items()} for row in rows]).encode(),
    "a header without its id": headed(id=PERSON),
    "a header in the middle": lines_edited(lambda lines: [*lines[1:3], lines[0], *lines[3:]]),
    "title lines of a person": edited(lambda text: f"{PERSON}\nfor Giovanna Kanari\n\n{text}"),
    "footers of a person": edited(lambda text: f"{text}\n{PERSON}\nTotal,6789012\n"),
    "a BOM": edited(lambda text: "\ufeff" + text),
    "a BOM in the middle": edited(lambda text: text.replace("kanari-6789014", "\ufeffkanari-6789014")),
    "UTF-16": edited(lambda text: text, "utf-16"),
    "UTF-16 cut": lambda rows: text_of(rows).encode("utf-16")[:-3],
    "Latin letters": lambda rows: text_of(rows).replace("Giovanna", "Giovannà-Kanarì").encode("latin-1"),
    "two encodings": lambda rows: text_of(rows).replace("Giovanna", "Giovannà").encode() + text_of(rows[:1]).encode("utf-16"),
    "one bad byte": lambda rows: text_of(rows).encode().replace(b"Giovanna", b"Giovann\xff", 1),
    "bytes of no encoding": lambda rows: text_of(rows).encode().replace(b"Kanari", b"Kanari\x81\x8d\x8f\x90"),
    "zero bytes": lambda rows: text_of(rows).encode().replace(b"Giovanna", b"Giovanna\0\0", 1),
    "semicolons": lambda rows: text_of(rows, ";", csv.QUOTE_MINIMAL).encode(),
    "separators of two kinds": edited(lambda text: text[: len(text) // 2] + text[len(text) // 2 :].replace(",", ";")),
    "old line ends": lambda rows: text_of(rows, end="\r").encode(),
    "gzip": lambda rows: gzip.compress(text_of(rows).encode()),
    "a cut gzip": lambda rows: gzip.compress(text_of(rows).encode())[:-9],
    "a zip": zipped("deals.csv"),
    "a zip of two": zipped("one.csv", "two.csv"),
    "a cut zip": lambda rows: zipped("one.csv")(rows)[:-30],
    "a workbook": workbook(lambda rows: rows),
    "a workbook of two sheets": workbook(lambda rows: rows, 2),
    "a workbook with a bad date": workbook(lambda rows: [rows[0], [PERSON] * len(rows[0]), *rows[1:]]),
    "a workbook with a short row": workbook(lambda rows: [*rows, ["kanari-9", PERSON]]),
    "a workbook without header": workbook(lambda rows: rows[1:]),
    "a cut workbook": lambda rows: workbook(lambda each: each)(rows)[:-200],
    "HTML": lambda _: f"<html><body>{PERSON}</body></html>".encode(),
    "JSON": lambda _: f'[{{"id": "{PERSON}"}}]'.encode(),
    "prose": lambda _: f"Dear {PERSON}\nregards, {PERSON}\nGiovanna Kanari\n".encode(),
    "one column": lambda _: f"id\n{PERSON.replace(',', '')}\nkanari-2\n".encode(),
}

HUBSPOT = {
    "Record ID": "kanari-1", "Deal Name": PERSON, "Deal Stage": "Contract Sent", "Pipeline": "Sales", "Amount": "9800", "Currency": "EUR",
    "Create Date": "2026-09-01 08:00", "Close Date": "2026-12-18 17:00", "Last Modified Date": "2026-10-30 12:00",
    "Is Deal Closed?": "false", "Is Closed Won": "false",
}  # fmt: skip


def hubspot(**cells: str) -> Make:
    """Three deals of a CRM's own columns, the second with these cells."""
    named = {name.replace("_", " "): text for name, text in cells.items()}
    deals = [HUBSPOT | {"Record ID": f"kanari-{number}"} | (named if number == 1 else {}) for number in range(3)]
    return lambda _: text_of(deals).encode()


OF_A_CRM: dict[str, Make] = {
    **{f"a person in {column}": hubspot(**{column: PERSON}) for column in HUBSPOT},
    "a person's own words in all": hubspot(**dict.fromkeys(HUBSPOT, PERSON)),
    "dates of two orders": hubspot(Create_Date="25/04/2026 6789012", Close_Date="04/25/26"),
    "an open order": hubspot(Create_Date="03/04/26"),
    "amounts of two forms": hubspot(Amount="6,789,012"),
    "an id of two forms": hubspot(**{"Record ID": "kanari-0.0"}),
}  # fmt: skip


CASES = {name: (make, "canonical") for name, make in KINDS.items() if name not in COLUMNS_OF_ALL_KINDS}
CASES |= {f"hubspot: {name}": (make, "hubspot") for name, make in OF_A_CRM.items()}
CASES |= {f"a person in {column}": (COLUMNS_OF_ALL_KINDS[f"a person in {column}"], "canonical") for column in ONE_OF_A_KIND}
CASES |= {name: (make, "canonical") for name, make in COLUMNS_OF_ALL_KINDS.items()}

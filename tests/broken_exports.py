"""Broken exports of all kinds, with a person in every column that may hold one, for the tests that look for them where no cell may be."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import openpyxl

from expectations.deals_schema import COLUMN_NAMES, COLUMNS
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


WITHOUT_FLAGS = {name: text for name, text in HUBSPOT.items() if name not in ("Is Deal Closed?", "Is Closed Won")}
PERSONS_ID = {PERSON: "1"} | HUBSPOT
"""A column before the others, whose header is a person."""


def table(*deals: Row, **csv_options: Any) -> Make:
    """These rows as they are, by the header of the first."""
    return lambda _: text_of(list(deals), **csv_options).encode()


def after(make: Make, edit: Callable[[str], str]) -> Make:
    return lambda rows: edit(make(rows).decode()).encode()


def of_sheets(*names: str, deals: Sequence[Row] = (HUBSPOT,), merged: str = "") -> Make:
    """A workbook of sheets with these names and the same deals."""

    def make(_: list[Row]) -> bytes:
        book, stream = openpyxl.Workbook(), io.BytesIO()
        for number, name in enumerate(names):
            sheet = book.worksheets[0] if not number else book.create_sheet()
            sheet.title = name
            for row in [list(deals[0]), *(list(deal.values()) for deal in deals)]:
                sheet.append(row)
            if merged:
                sheet.merge_cells(merged)
        book.save(stream)
        return stream.getvalue()

    return make


def in_a_workbook(part: str, edit: Callable[[str], str]) -> Make:
    """A workbook of deals with one of its parts edited."""

    def make(rows: list[Row]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(of_sheets("Deals")(rows))) as book, zipfile.ZipFile(stream, "w") as edited_book:
            for name in book.namelist():
                text = book.read(name)
                edited_book.writestr(name, edit(text.decode()).encode() if name == part else text)
        return stream.getvalue()

    return make


def of_files(files: dict[str, bytes], *, flags: int = 0) -> Make:
    """A zip of these files; ``flags`` are those of each, such as 1 for one that is encrypted."""

    def make(_: list[Row]) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, text in files.items():
                archive.writestr(name, text)
        packed = bytearray(stream.getvalue())
        place = 0
        while flags and (place := packed.find(b"PK\x01\x02", place) + 1):
            packed[place + 7] |= flags
        return bytes(packed)

    return make


SHEET = "xl/worksheets/sheet1.xml"
OF_FORMS: dict[str, Make] = {
    "a sheet named for a person": of_sheets("+39 345 6789012", "g.kanari@example.org"),
    "merged cells below a person's header": of_sheets("Deals", deals=(PERSONS_ID, PERSONS_ID), merged="A2:A3"),
    "a workbook of no cells": workbook(lambda _: []),
    "a workbook with an error that is a person": in_a_workbook(SHEET, lambda text: re.sub(r'<c r="B2"[^>]*>', '<c r="B2" t="e">', text)),
    "a workbook with a place that is a person": in_a_workbook(SHEET, lambda text: text.replace('r="B2"', 'r="KANARI6789012"')),
    "nothing": lambda _: b"",
    "nothing but blanks": lambda _: b" \n" * 40,
    "a header without end": lambda _: f"{PERSON},".encode() * 9000,
    "a zip of a person's files": of_files({"g.kanari@example.org.csv": b"id,name\n1,2\n", "+39 345 6789012.csv": b"a,b\n1,2\n"}),
    "a zip of no table": of_files({"kanari-6789012/": b""}),
    "a zip of a person's workbook": of_files({"g.kanari@example.org.xlsx": b"PK\x03\x04"}),
    "an encrypted zip": of_files({"g.kanari@example.org.csv": b"id,name\n1,2\n"}, flags=1),
    "a zip of too many files": of_files({f"g.kanari@example.org-{number}.csv": b"id,name\n1,2\n" for number in range(1001)}),
    "a zip with another name in its directory": lambda rows: zipped("g.kanari@example.org.csv")(rows).replace(b"g.k", b"G.K", 1),
    "a gzip with a person behind it": lambda rows: gzip.compress(text_of(rows).encode()) + PERSON.encode(),
    "a gzip with zeros behind it": lambda rows: gzip.compress(text_of(rows).encode()) + bytes(1 << 17),
    "a text encoded twice": lambda rows: text_of(rows).replace("Giovanna", "Giovannà").encode().decode("latin-1").encode(),
    "a cell that swallowed rows below a person's header": lambda _: text_of(
        [HUBSPOT | {PERSON: f"x{chr(10)}{',' * 11}{chr(10)}y"}]
    ).encode(),
}  # fmt: skip

OF_ROWS: dict[str, Make] = {
    "a column of the platform's twice": after(table(rows_of()[0]), lambda text: text.replace('"description"', '"name"', 1)),
    "an id without end": cell("id", PERSON * 100),
    "an id in two spellings": lambda rows: text_of(
        [row | {"id": f"{6789012 + place // 2}{'.0' * (place % 2)}"} for place, row in enumerate(rows)]
    ).encode(),
}

OF_HUBSPOT: dict[str, Make] = {
    "a person's sign of a currency": hubspot(Amount="€ 6789012", Currency=PERSON),
    "another header in the middle": table(PERSONS_ID, {name: name if name != PERSON else "x" for name in PERSONS_ID}, PERSONS_ID),
    "two columns that differ": after(table(HUBSPOT | {"Twice": PERSON}), lambda text: text.replace('"Twice"', '"Amount"', 1)),
    "letters of several zones": hubspot(Create_Date="2026-09-01 08:00 CST"),
    "stages of people that say no outcome": table(
        *(WITHOUT_FLAGS | {"Record ID": str(number), "Deal Stage": f"{PERSON} {number}"} for number in range(3))
    ),
    "dates of two writers": table(
        *(HUBSPOT | {"Record ID": str(number), "Create Date": day} for number, day in enumerate(["25/04/2026", "04/25/2026", "25/04/2026"]))
    ),
    "dates of two orders in two columns": table(HUBSPOT | {"Create Date": "25/04/2026", "Close Date": "04/25/2026"}),
    "numbers of two forms": table(
        *(HUBSPOT | {"Record ID": str(number), "Amount": text} for number, text in enumerate(["67,89.012", "6789012,5", "6789012.5"]))
    ),
    "a number of either form": hubspot(Amount="678,901"),
    "several pipelines of people": table(*(HUBSPOT | {"Record ID": str(number), "Pipeline": f"{PERSON} {number}"} for number in range(3))),
    "several currencies of people": table(*(HUBSPOT | {"Record ID": str(number), "Currency": f"{PERSON} {number}"} for number in range(3))),
    "a flag of a person's": hubspot(**{"Is Deal Closed?": PERSON}),
    "a deal that is there and deleted": table(HUBSPOT | {"Deleted": "false"}, HUBSPOT | {"Deleted": "true"}),
}

CASES = {name: (make, "canonical") for name, make in KINDS.items() if name not in COLUMNS_OF_ALL_KINDS}
CASES |= {f"hubspot: {name}": (make, "hubspot") for name, make in OF_A_CRM.items()}
CASES |= {name: (make, "hubspot") for name, make in OF_FORMS.items()}
CASES |= {name: (make, "canonical") for name, make in OF_ROWS.items()}
CASES |= {f"hubspot: {name}": (make, "hubspot") for name, make in OF_HUBSPOT.items()}
CASES |= {f"a person in {column}": (COLUMNS_OF_ALL_KINDS[f"a person in {column}"], "canonical") for column in ONE_OF_A_KIND}
CASES |= {name: (make, "canonical") for name, make in COLUMNS_OF_ALL_KINDS.items()}

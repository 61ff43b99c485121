"""A program of its own that parses a workbook: what it claims can end this process, and no other.

It is run by `flows.crm.files.workbooks`, in isolation, and imports nothing of dealcast. A workbook on stdin, rows to the file
descriptor that it is told, and the sheets as JSON on stdout.
"""

from __future__ import annotations

import json
import marshal
import os
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

DAMAGED, TOO_LARGE = 3, 4
"""Exit codes: what is no workbook; what takes more than it may (where the system does not end the process first)."""

_MOST_ROWS, _HEAVIEST = 1000, 4 << 20
_CELL = 16
"""Bytes that an empty cell weighs."""


_CHUNK, _OVERLAP, _ABOVE_A_HEADER = 1 << 20, 1 << 12, 32
_HIDDEN = re.compile(rb'<(?:\w+:)?row\b[^>]*\bhidden="(?:1|true)"[^>]*>')
_ROW, _STYLE, _CELL_NAME = (re.compile(pattern) for pattern in (rb'\br="(\d+)"', rb'\bs="(\d+)"', rb'\br="([A-Z]+)(\d+)"'))
_FILLED = re.compile(rb"<(?:\w+:)?c\b[^>]*[^/>]>")
_UNVALUED = re.compile(
    rb"<(?:\w+:)?c\b([^>]*)>\s*<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
"""A formula without its value: whoever wrote it does not calculate. The value of one that makes an empty text is a text."""

_SIGN = re.compile("([$\u00a3\u00a5\u20a0-\u20bf])")
_ODS_MONEY = re.compile(rb'office:currency="([^"]*)"')
_ODS_FORMULA = re.compile(rb"<[\w:]*table-cell\b[^>]*formula=[^>]*>")
_ODS_ODD = re.compile(rb'number-rows-spanned="(?!1")|visibility="(?:collapse|filter)"|null-date[^>]*"1904')

Traits = dict[str, Any]


def main() -> int:
    """Parse within the limits of the arguments: a JSON object with ``path``, ``memory``, ``seconds``, ``disk``, ``rows``, ``mark``."""
    told = json.loads(sys.argv[1])
    sys.path[:] = told["path"]
    for limit, bound in (resource.RLIMIT_AS, told["memory"]), (resource.RLIMIT_CPU, told["seconds"]), (resource.RLIMIT_FSIZE, told["disk"]):
        resource.setrlimit(limit, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from python_calamine import CalamineError, load_workbook  # noqa: PLC0415 -- found by the path that was told

    try:
        with os.fdopen(told["rows"], "wb") as sink:
            book, traits = load_workbook(sys.stdin.buffer), _traits(sys.stdin.buffer)
            print(json.dumps(_sheets(book, traits, sink, told["mark"])))
    except CalamineError as error:
        print(json.dumps(type(error).__name__))
        return DAMAGED
    except (MemoryError, OSError):
        return TOO_LARGE
    return 0


def _sheets(book: Any, traits: dict[str, Traits], sink: IO[bytes], mark: str) -> list[tuple[str, int, Traits]]:
    """The name of each sheet that is not empty, where its rows begin, and what its rows do not show."""
    found = []
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        if sheet.total_height:
            found.append((name, sink.tell(), _of_sheet(sheet, traits.get(name, {}))))
            for rows in _batches(sheet.iter_rows(), mark):
                marshal.dump(rows, sink)
            marshal.dump([], sink)
    return found


def _of_sheet(sheet: Any, traits: Traits) -> Traits:
    """The traits with rows counted from 1, and columns from the first that is read."""
    left = sheet.start[1]
    ranges = [(first + 1, last + 1, begin, end) for (first, begin), (last, end) in sheet.merged_cell_ranges or []]
    merged = [(first, last, begin - left, end - left) for first, last, begin, end in (*ranges, *traits.get("merged", ())) if last > first]
    unvalued = [(row, column - left) for row, column in traits.get("unvalued", ())]
    money = [(column - left, name, row) for column, name, row in traits.get("money", ())]
    return traits | {"merged": merged, "unvalued": unvalued, "money": money}


def _traits(book: IO[bytes]) -> dict[str, Traits]:
    """Traits of each sheet that its cells do not show, in a workbook that is an archive; none where it is not built as all are.

    ``merged`` cells (first and last row, first and last column), ``unvalued`` formulas (row and column, the first of each column), the
    currencies by which cells are formatted (``money``: column, currency, first row), ``hidden`` rows (how many, the first, the last),
    and whether plain numbers count days ``from_1904``.
    """
    try:
        with zipfile.ZipFile(book) as archive:
            return _of_ods(archive) if "content.xml" in archive.namelist() else _of_xlsx(archive)
    except (zipfile.BadZipFile, KeyError, ValueError, ET.ParseError, expat.ExpatError):
        return {}


def _of_xlsx(archive: zipfile.ZipFile) -> dict[str, Traits]:
    book = _xml(archive, "xl/workbook.xml")
    places = {each.get("Id"): each.get("Target", "") for each in _xml(archive, "xl/_rels/workbook.xml.rels")}
    from_1904 = any(_local(each) == "workbookPr" and each.get("date1904") in {"1", "true"} for each in book)
    money = _money(archive)
    found = {}
    for sheet in (each for each in book.iter() if _local(each) == "sheet"):
        place = next((places.get(value, "") for name, value in sheet.items() if name.endswith("}id")), "").lstrip("/")
        with archive.open(place if place.startswith("xl/") else f"xl/{place}") as stream:
            found[sheet.get("name", "")] = _scanned(stream, money) | {"from_1904": from_1904}
    return found


def _xml(archive: zipfile.ZipFile, name: str) -> ET.Element:
    return ET.fromstring(archive.read(name))  # noqa: S314 -- what it claims can end this process, and no other


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _money(archive: zipfile.ZipFile) -> dict[bytes, str]:
    """The currency of each cell style that shows one, where there are several currencies."""
    if "xl/styles.xml" not in archive.namelist():
        return {}
    styles = _xml(archive, "xl/styles.xml")
    codes = {each.get("numFmtId"): each.get("formatCode", "") for each in styles.iter() if _local(each) == "numFmt"}
    cells = next((each for each in styles if _local(each) == "cellXfs"), ())
    named = {str(place).encode(): _currency(codes.get(each.get("numFmtId"), "")) for place, each in enumerate(cells)}
    return {style: name for style, name in named.items() if name} if len({*named.values()} - {""}) > 1 else {}


def _currency(code: str) -> str:
    """The currency in a number format, empty for none."""
    code = code.partition(";")[0]
    found = re.search(r"\[\$([^\]-]+)", code) or re.search(r'"\s*([A-Z]{3}|[Kk]r\.?|z\u0142|Fr\.)\s*"', code) or _SIGN.search(code)
    return found[1].strip() if found else ""


def _scanned(stream: IO[bytes], money: dict[bytes, str]) -> Traits:
    """The traits of a sheet's XML, a chunk of whole rows at a time; what few sheets have is looked for by a word first."""
    hidden, unvalued, shown, rest = list[int](), list[tuple[int, int]](), dict[tuple[int, str], int](), b""
    while chunk := stream.read(_CHUNK):
        text = rest + chunk
        end = text.rfind(b"row>") + 4
        text, rest = (text[:end], text[end:]) if end > 3 else (b"", text)
        if b"hidden=" in text:
            hidden += [int(number[1]) for tag in _HIDDEN.findall(text) if (number := _ROW.search(tag))]
        if b"<f" in text or b":f" in text:
            unvalued += [_place(found[1]) for found in _UNVALUED.finditer(text) if b't="str"' not in found[1]]
        for tag in _FILLED.findall(text) if money else ():
            if (style := _STYLE.search(tag)) and (name := money.get(style[1])):
                row, column = _place(tag)
                shown.setdefault((column, name), row)
    return {
        "hidden": (len(hidden), min(hidden), max(hidden)) if hidden else (),
        "unvalued": _first(unvalued),
        "money": [(column, name, row) for (column, name), row in shown.items()],
    }


def _first(cells: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The first cells of each column, more than stand above a header."""
    rows: dict[int, list[int]] = {}
    for row, column in cells:
        rows.setdefault(column, []).append(row)
    return sorted((row, column) for column, each in rows.items() for row in each[:_ABOVE_A_HEADER])


def _place(tag: bytes) -> tuple[int, int]:
    """Row and column of a cell, the first counted from 1, the second from 0; row 0 where it does not say them."""
    found = _CELL_NAME.search(tag)
    column = 0
    for letter in found[1] if found else b"@":
        column = column * 26 + letter - 64
    return int(found[2]) if found else 0, column - 1


def _of_ods(archive: zipfile.ZipFile) -> dict[str, Traits]:
    """By a parser that is called for each cell, where a first look finds anything: it takes longer than reading the cells does."""
    with archive.open("content.xml") as stream:
        rest, found, money = b"", False, set[bytes]()
        while not found and (chunk := stream.read(_CHUNK)):
            text, rest = rest + chunk, chunk[-_OVERLAP:]
            money.update(_ODS_MONEY.findall(text))
            unvalued = b"formula=" in text and any(b"value-type=" not in tag for tag in _ODS_FORMULA.findall(text))
            found = len(money) > 1 or unvalued or bool(_ODS_ODD.search(text))
    if not found:
        return {}
    table = _Ods()
    with archive.open("content.xml") as stream:
        table.parse(stream)
    return table.found


class _Ods:
    """The traits of the sheets of an OpenDocument, taken down while its XML is parsed."""

    def __init__(self) -> None:
        self.found: dict[str, Traits] = {}
        self._sheet: Traits = {}
        self._row, self._rows, self._column, self._from_1904 = 1, 1, 0, False

    def parse(self, stream: IO[bytes]) -> None:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.ParseFile(stream)
        for sheet in self.found.values():
            sheet["from_1904"] = self._from_1904
            sheet["unvalued"] = _first(sheet["unvalued"])
            sheet["money"] = [(column, name, row) for (column, name), row in sheet["money"].items()]

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        kind = name.rpartition(":")[2]
        if kind not in {"table", "null-date", "table-row", "table-cell", "covered-table-cell"}:
            return
        said = {key.rpartition(":")[2]: value for key, value in attributes.items()}
        if kind == "table":
            self._row = 1
            self._sheet = self.found[said.get("name", "")] = {"merged": [], "unvalued": [], "money": {}, "hidden": ()}
        elif kind == "null-date":
            self._from_1904 = said.get("date-value", "").startswith("1904")
        elif kind == "table-row":
            self._rows, self._column = int(said.get("number-rows-repeated", 1)), 0
            if said.get("visibility") in {"collapse", "filter"}:
                count, first, _ = self._sheet["hidden"] or (0, self._row, 0)
                self._sheet["hidden"] = (count + self._rows, first, self._row + self._rows - 1)
        else:
            self._cell(said)

    def _cell(self, said: dict[str, str]) -> None:
        row, column = self._row, self._column
        self._column += int(said.get("number-columns-repeated", 1))
        if (down := int(said.get("number-rows-spanned", 1))) > 1:
            across = int(said.get("number-columns-spanned", 1))
            self._sheet["merged"].append((row, row + down - 1, column, column + across - 1))
        if "formula" in said and "value-type" not in said:
            self._sheet["unvalued"].append((row, column))
        if "currency" in said:
            self._sheet["money"].setdefault((column, said["currency"]), row)

    def _end(self, name: str) -> None:
        if name.rpartition(":")[2] == "table-row":
            self._row += self._rows


def _batches(rows: Iterator[list[Any]], mark: str) -> Iterator[list[list[str]]]:
    """Rows as text, as many at a time as a reader holds with ease."""
    batch, weight = [], 0
    for cells in rows:
        texts = [cell if type(cell) is str else _text(cell, mark) for cell in cells]
        batch.append(texts)
        weight += sum(map(len, texts)) + _CELL * len(texts)
        if len(batch) == _MOST_ROWS or weight > _HEAVIEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _text(cell: Any, mark: str) -> str:
    """A cell as text; ``mark`` stands before a fraction."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else f"{mark}{cell!r}"
    if isinstance(cell, datetime):
        return cell.replace(microsecond=0).isoformat(sep=" ") if cell.time() != time.min else cell.date().isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if not isinstance(cell, timedelta) else str(cell.total_seconds())


if __name__ == "__main__":
    sys.exit(main())

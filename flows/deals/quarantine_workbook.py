"""The quarantine as a workbook, every cell text, for spreadsheet programs, which run a CSV's formulas and rewrite its dates.

It is written here and not by openpyxl, which puts the rows into a file of TMPDIR, where a kill would leave them.
"""

from __future__ import annotations

import csv
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

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

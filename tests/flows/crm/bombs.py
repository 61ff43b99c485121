"""Files of a few kilobytes that would take all memory or time, and a program that reads them and says what became of it."""

from __future__ import annotations

import gzip
import json
import re
import resource
import sys
import zipfile
from pathlib import Path

from flows.crm import open_export
from flows.errors import ExportError

HEADER = "Record ID,Deal Name,Deal Stage,Pipeline,Amount,Create Date,Close Date,Last Modified Date,Is Deal Closed?,Is Closed Won"
DEAL = ("7", "Deal", "Contract Sent", "Sales", "5", "2026-01-01", "2026-12-01", "2026-02-01", "false", "false")

_NAMESPACE = "http://schemas.openxmlformats.org"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_NAMESPACE}/package/2006/content-types"/>',
    "_rels/.rels": f'<Relationships xmlns="{_NAMESPACE}/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_NAMESPACE}/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>'
    "</Relationships>",
    "xl/workbook.xml": f'<workbook xmlns="{_NAMESPACE}/spreadsheetml/2006/main" xmlns:r="{_NAMESPACE}/officeDocument/2006/relationships">'
    '<sheets><sheet name="Deals" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_NAMESPACE}/package/2006/relationships">'
    f'<Relationship Id="rId1" Type="{_NAMESPACE}/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_NAMESPACE}/officeDocument/2006/relationships/sharedStrings" Target="sharedStrings.xml"/>'
    "</Relationships>",
}


def workbook(path: Path, *rows: str, shared: str = "", sheets: int = 1) -> Path:
    """A workbook with a header, a deal and more ``rows`` as XML, under the names of so many sheets; its one shared string is ``shared``."""
    cells = [_row(1, HEADER.split(",")), _row(2, DEAL)]
    main = f'xmlns="{_NAMESPACE}/spreadsheetml/2006/main"'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        named = "".join(f'<sheet name="Deals{number}" sheetId="{number}" r:id="rId1"/>' for number in range(1, sheets + 1))
        for name, text in _PARTS.items():
            archive.writestr(name, text.replace('<sheet name="Deals" sheetId="1" r:id="rId1"/>', named) if sheets > 1 else text)
        archive.writestr("xl/sharedStrings.xml", f"<sst {main}><si><t>{shared}</t></si></sst>")
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {main}><sheetData>{''.join([*cells, *rows])}</sheetData></worksheet>")
    return path


def cell(reference: str, text: str) -> str:
    """A cell with a text of its own."""
    return f'<c r="{reference}" t="inlineStr"><is><t>{text}</t></is></c>'


def shared_rows(first: int, last: int) -> str:
    """Rows of which every cell is the shared string."""
    return "".join(
        f'<row r="{row}">' + "".join(f'<c r="{column}{row}" t="s"><v>0</v></c>' for column in "ABCDEFGHIJ") + "</row>"
        for row in range(first, last)
    )


def long_rows(folder: Path) -> dict[Path, str]:
    """Files of a few more megabytes than a row may have, each with a part of the sentence that refuses it."""
    deal, much = ",".join(DEAL), 20 << 20
    made = {
        "one line": "7," + "a" * much,
        "an open quote": '7,"' + "a\n" * (much // 2),
        "quotes": '7,"' + '""\n' * (much // 3),
        "a stray quote, and then one line": f'7,De"al,{deal[7:]}\n' * 9 + "7," + "a" * much,
    }
    for name, text in made.items():
        (folder / f"{name}.csv").write_text(f"{HEADER}\n{deal}\n{text}\n", "ascii")
    return {folder / f"{name}.csv": "within 16 MB" for name in made}


def bombs(folder: Path) -> dict[Path, str]:
    """Each file, with a part of the one sentence that refuses it."""
    book, header = "DEALCAST_WORKBOOK_LIMIT", "does not end within 256 KB"
    made = {
        workbook(folder / "corner.xlsx", f'<row r="1048576">{cell("XFD1048576", "x")}</row>'): book,
        workbook(folder / "row.xlsx", f'<row r="99999999999">{cell("A99999999999", "x")}</row>'): book,
        workbook(folder / "shared.xlsx", shared_rows(3, 30_000), shared="A" * 20_000): book,
        workbook(folder / "blanks.xlsx", " " * (300 << 20)): "200 times its size",
    }
    for name, text in {
        "header": HEADER + ",x" * (4 << 20),
        "quoted": f'"{HEADER}' + ",x\n" * (4 << 20),
        "blanks": "\n" + " " * (8 << 20) + "x",
    }.items():
        path = folder / f"{name}.csv.gz"
        path.write_bytes(gzip.compress(text.encode(), 1))
        made[path] = header if name != "blanks" else "blanks"
    return made


def _row(number: int, texts: tuple[str, ...] | list[str]) -> str:
    return f'<row r="{number}">{"".join(cell(f"{chr(65 + place)}{number}", text) for place, text in enumerate(texts))}</row>'


def main() -> None:
    """Read each of the arguments; print the answers, and the most memory that this process and its children had, in MiB."""
    answers = {}
    for location in sys.argv[1:]:
        try:
            answers[location] = f"{sum(len(frame) for frame in open_export(location, crm='hubspot'))} deals"
        except ExportError as error:
            answers[location] = str(error)
    own = int(re.findall(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text("ascii"))[0])
    print(json.dumps([answers, [own >> 10, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10]]))


if __name__ == "__main__":
    main()

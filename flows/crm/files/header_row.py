"""The beginning of the table: its separator, the title lines above it, its header row."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from flows.crm.files.contents import Contents
from flows.crm.values.cells import visible
from flows.errors import ExportUnreadable, printable

SEPARATORS = (",", ";", "\t", "|")
_SAMPLE = 1 << 18
_TITLE_LINES = 30
_VALUE = re.compile(r"[^\w]*\d[\d\s.,:/TZ+-]*[^\w]*")

Recognises = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Layout:
    """The header row and where the data begin. ``separator`` is None for a workbook; lines count from 1."""

    headers: tuple[str, ...]
    separator: str | None
    header_line: int
    first_line: int
    """Line of the first row below the header."""
    offset: int
    """Bytes of the UTF-8 text before that row; for a workbook, rows."""
    recognised: int
    repeated: tuple[tuple[int, ...], ...] = ()
    """The positions of each header that stands there more than once; blanks and case make no other header."""


def folded(header: str) -> str:
    """A header as it is compared: without case, signs of no width, surrounding or repeated blanks, and with straight apostrophes."""
    return " ".join(visible(header).replace("\u2019", "'").split()).casefold()


def find_layout(contents: Contents, location: str, recognises: Recognises) -> Layout:
    """The layout under which most headers are recognised. Raises ExportUnreadable for text that is no table."""
    layout = _of_sheet(contents, recognises) if contents.rows else _of_text(contents, location, recognises)
    if sum(1 for header in layout.headers if header.strip()) < 2:
        sheets = " Nor has any of its other sheets." if contents.unread else ""
        raise ExportUnreadable(
            f"{location} is not a table: no row among its first {_TITLE_LINES} has two named columns."
            f" Export the deals as CSV or XLSX.{sheets}"
        )
    return layout


def _of_sheet(contents: Contents, recognises: Recognises) -> Layout:
    assert contents.rows is not None  # noqa: S101 -- the caller asked; this tells mypy
    rows = list(islice(contents.rows(), _TITLE_LINES))
    best, cells = _header_row([cells for _, cells in rows], recognises)
    number = rows[best][0]
    return Layout(_distinct(cells), None, number, number + 1, best + 1, _score(cells, recognises), _repeated(cells))


def _of_text(contents: Contents, location: str, recognises: Recognises) -> Layout:
    assert contents.open is not None  # noqa: S101 -- the caller asked; this tells mypy
    try:
        with contents.open() as stream:
            sample = stream.read(_SAMPLE).decode("utf-8", errors="ignore")
    except UnicodeDecodeError as error:
        raise ExportUnreadable(f"{location} is not valid {contents.encoding}: {error}. Export again as UTF-8.") from error
    if len(sample) * 4 >= _SAMPLE and _one_row(sample):
        raise ExportUnreadable(
            f"{location}, line 1: the first row does not end within {_SAMPLE >> 10} KB, the bound of a header, which no setting raises."
            " Export fewer columns, or close the quote that opens in it."
        )
    layouts = [_with_separator(sample, separator, recognises) for separator in SEPARATORS]
    best = max(layouts, key=lambda layout: (layout.recognised, len(layout.headers)))
    if not best.recognised and (sniffed := _sniffed(sample)):
        return _with_separator(sample, sniffed, recognises)
    return best


def _one_row(sample: str) -> bool:
    """True if no line of the sample ends outside of quotes, except by blank lines before it."""
    return "\n" not in re.sub(r'"[^"]*"?', "", sample.strip())


def _sniffed(sample: str) -> str | None:
    try:
        return csv.Sniffer().sniff(sample, "".join(SEPARATORS)).delimiter
    except csv.Error:
        return None


def _with_separator(sample: str, separator: str, recognises: Recognises) -> Layout:
    lines = io.StringIO(sample, newline="\n").readlines()
    reader = csv.reader(lines, delimiter=separator)
    rows: list[list[str]] = []
    ends = []
    try:
        for row in islice(reader, _TITLE_LINES):
            rows.append(row)
            ends.append(reader.line_num)
    except csv.Error:
        pass
    best, cells = _header_row(rows or [[]], recognises)
    end = ends[best] if ends else 0
    begin = ends[best - 1] if best else 0
    offset = len("".join(lines[:end]).encode("utf-8"))
    return Layout(_distinct(cells), separator, begin + 1, end + 1, offset, _score(cells, recognises), _repeated(cells))


def _header_row(rows: Sequence[list[str]], recognises: Recognises) -> tuple[int, list[str]]:
    """The row with most recognised headers; where none has any, the first with as many names as the widest.

    A row of data may hold a header's name. It is no header where it has numbers, or few known names, and a row of names as wide is above.
    """
    scores, widths = [_score(row, recognises) for row in rows], [sum(1 for cell in row if cell.strip()) for row in rows]
    best = max(range(len(rows)), key=lambda index: (scores[index], -index)) if any(scores) else widths.index(max(widths))
    if scores[best] <= max(1, widths[best] // 3) or not _names(rows[best]):
        best = next((above for above in range(best) if widths[above] >= widths[best] and _names(rows[above])), best)
    return best, list(rows[best])


def _names(row: Sequence[str]) -> bool:
    """True if the cells could be headers: all different, none a number or a date."""
    filled = [cell.strip() for cell in row if cell.strip()]
    return len(set(filled)) == len(filled) and not any(_VALUE.fullmatch(cell) for cell in filled)


def _score(row: Iterable[str], recognises: Recognises) -> int:
    return sum(1 for cell in row if recognises(cell))


def _repeated(cells: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    places = defaultdict[str, list[int]](list)
    for position, cell in enumerate(cells):
        places[folded(cell)].append(position)
    return tuple(tuple(same) for header, same in places.items() if header and len(same) > 1)


def _distinct(cells: Sequence[str]) -> tuple[str, ...]:
    """Every header once: the second `Amount` becomes `Amount (2)`, a blank one `column 7`."""
    taken: set[str] = set()
    copies = Counter[str]()
    names = []
    for position, cell in enumerate(cells, start=1):
        own = name = printable(" ".join(cell.splitlines())) or f"column {position}"
        while name in taken:
            copies[own] += 1
            name = f"{own} ({copies[own] + 1})"
        taken.add(name)
        names.append(name)
    return tuple(names)

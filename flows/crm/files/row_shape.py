"""The shape that the header promises for each row: as many cells, and none that swallowed the rows after it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import numpy as np

from expectations.disclosure import name_or_shape
from flows.crm.files.blocks import Block, Starts
from flows.crm.values.cells import is_found
from flows.errors import ExportUnreadable

Row = tuple[int, list[str]]

_NAMED = 200
_ESCAPED_QUOTE = rb'\\"(?![\r\n"%b]|$)'
"""No CSV has that: a quote inside a cell is doubled, and one that ends a cell stands before a separator or a line break."""


@dataclass(frozen=True, slots=True)
class RowShape:
    """The shape of a text's rows: the ``headers``, and the ``width`` that all rows have; ``footers`` are patterns of rows that need not."""

    location: str
    headers: tuple[str, ...]
    width: int
    separator: str
    footers: tuple[str, ...]

    @property
    def surplus(self) -> range:
        """The positions that rows have beyond the header, which must be empty."""
        return range(len(self.headers), self.width)

    def fits(self, cells: Sequence[str]) -> bool:
        """True if a row has its shape, or is blank, or a footer."""
        alike = len(cells) == self.width and not any(cell.strip() for cell in cells[len(self.headers) :])
        return alike or not any(cell.strip() for cell in cells) or is_footer(cells, self.footers)

    def refuse_irregular(self, rows: Iterator[Row], escaped: Callable[[], bool]) -> None:
        """Raise ExportUnreadable naming the first of the ``rows``, all that do not fit, which may be any number.

        Once they were looked at, ``escaped`` says whether a backslash stands before quotes in the file.
        """
        first = list(islice(rows, _NAMED))
        beyond = sum(1 for _ in rows)
        named = ", ".join(f"line {line} ({len(cells)} cells)" for line, cells in first)
        more = f" and {beyond:,} more" if beyond else ""
        others = "" if self.width == len(self.headers) else f", the other rows {self.width}"
        why = (
            "A backslash stands before quotes inside cells, where CSV doubles the quote"
            if escaped()
            else "A separator inside a cell is not quoted, or a row is cut short"
        )
        raise ExportUnreadable(
            f"{self.location}, {named}{more}: the header has {len(self.headers)} cells{others}. {why}."
            f" Fix {'this line' if len(first) == 1 else 'these lines'}, or export again."
        )

    def refuse_escaped_quotes(self, block: Block, line: int) -> None:
        """Raise ExportUnreadable where the block, which starts on ``line``, has a quote that a backslash escapes."""
        if not block.holds(b'\\"'):
            return
        text = bytes(block.text)
        if found := re.search(_ESCAPED_QUOTE % re.escape(self.separator.encode()), text):
            below = text.count(b"\n", 0, found.start())
            raise ExportUnreadable(
                f"{self.location}, line {line + below}: a backslash stands before a quote inside a cell, where CSV doubles the quote."
                ' Export again with doubled quotes, or replace \\" by "" throughout.'
            )

    def refuse_swallowed(self, block: Block, starts: Starts, line: int) -> None:
        """Raise ExportUnreadable where a row of several lines has, inside one cell, what reads as the rows after it.

        Only a row whose first line and another have as many separators as a whole row is looked at cell by cell.
        """
        ends = np.append(starts.rows[1:], len(starts.lines))
        several = np.flatnonzero(ends - starts.rows > 1)
        if not len(several):
            return
        text, separator = cast("bytearray", block.text.obj), self.separator.encode()
        begins = np.append(starts.lines, len(block.text))
        firsts = starts.rows[several]
        places = zip(firsts.tolist(), ends[several].tolist(), begins[firsts].tolist(), begins[firsts + 1].tolist(), strict=True)
        for first, end, begin, below in places:
            if text.count(separator, begin, below) < self.width - 1:
                continue
            if any(text.count(separator, begins[place], begins[place + 1]) >= self.width - 1 for place in range(first + 1, end)):
                cells = bytes(block.text[begin : begins[end]]).decode("utf-8").splitlines(keepends=True)
                self.refuse_row_that_swallowed(line + first, next(csv.reader(cells, delimiter=self.separator)))

    def refuse_row_that_swallowed(self, line: int, cells: Sequence[str]) -> None:
        """Raise ExportUnreadable where a cell of the row on ``line`` has other rows in it."""
        for place, cell in enumerate(cells[: self.width]):
            if "\n" in cell and self._swallowed(place, cell.split("\n")):
                header = name_or_shape(self.headers[place]) if place < len(self.headers) else f"column {place + 1}"
                breaks = cell.count("\n")
                raise ExportUnreadable(
                    f"{self.location}, line {line}, column {header!r}: the cell has {breaks} line breaks and the separators of whole rows:"
                    " a quote opens there and closes too late, and the rows between would be lost. Fix the quotes, or export again."
                )

    def _swallowed(self, place: int, lines: Sequence[str]) -> bool:
        """True if the lines of a cell are the end of a row, whole rows, and the start of one, by their separators."""
        counts = [line.count(self.separator) for line in lines]
        prose = sum(line.count(f"{self.separator} ") for line in lines) * 2 > sum(counts)
        ends = counts[0] == self.width - 1 - place and counts[-1] == place
        return not prose and (ends or self.width - 1 in counts[1:-1])


def is_footer(cells: Sequence[str], footers: Iterable[str]) -> bool:
    """True if a row is a footer by its first cell, the others being empty."""
    return bool(cells) and not any(cell.strip() for cell in cells[1:]) and any(is_found(pattern, cells[0]) for pattern in footers)


def shape_of(rows: Iterator[Row], location: str, headers: tuple[str, ...], separator: str, footers: tuple[str, ...]) -> RowShape:
    """The shape of the first ``rows``: another width than the header's only where all of them have that one."""
    full = [cells for _, cells in rows if any(cell.strip() for cell in cells) and not is_footer(cells, footers)]
    widths = {len(cells) for cells in full}
    return RowShape(location, headers, widths.pop() if len(widths) == 1 else len(headers), separator, footers)

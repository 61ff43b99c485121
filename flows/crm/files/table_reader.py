"""The rows below the header as Arrow tables of text, each with the line it starts on, at the speed of Arrow's CSV reader.

A block that Arrow reads into as many rows as it has lines needs no more; line breaks inside cells are counted; anything
irregular (ragged rows, stray quotes) is read again with Python's csv module, which gives the same cells more slowly.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from expectations.disclosure import name_or_shape
from flows.crm.files.blocks import BOM, LONGEST_ROW, Block, Lines, line_without_end, lines_of, row_aligned, row_starts, skip
from flows.crm.files.contents import DAMAGED, Contents, damaged
from flows.crm.files.encodings import is_utf8
from flows.crm.files.header_row import Layout
from flows.crm.files.row_shape import Row, RowShape, shape_of
from flows.crm.values.cells import masked, report_rows, unmarked
from flows.errors import ExportUnreadable

_TOGETHER = 4
"""Blocks that make a batch: Arrow's reader is fastest where a block stays in the processor's cache, all after it where batches are few."""

_AHEAD = 2
"""Batches that are being read while the rows of another are at work."""

_SLOW_ROWS, _HEAVIEST = 20_000, 16 << 20
_CELL = 16
"""Bytes that an empty cell weighs."""

_FIRST_ROWS = 1000
_END = "\0end of rows"

csv.field_size_limit(LONGEST_ROW)


@dataclass(frozen=True, slots=True)
class RawRows:
    """Some rows as text: one column a wanted header, named by its position; null for an empty cell.

    ``blank`` rows without any cell filled were left out; ``padded`` ones had fewer cells than the header.
    """

    table: pa.Table
    lines: Lines
    blank: int = 0
    padded: int = 0


Reading = Future[list[RawRows] | None]

_UNREADABLE = (ExportUnreadable, UnicodeDecodeError, *DAMAGED)


class _NeverCloses(Exception):
    """A quote opens on some line, and the text ends before it closes."""


@dataclass(frozen=True)
class TableReader:
    """Reads the wanted columns (positions in the header) of one export, as often as asked.

    In the columns at ``numbers`` the fractions that a workbook holds as numbers keep `NUMERIC_CELL`, which tells them from texts.
    Rows that match one of the ``footers`` may be shorter than the header.
    """

    contents: Contents
    layout: Layout
    location: str
    numbers: frozenset[int] = frozenset()
    footers: tuple[str, ...] = ()

    @cached_property
    def _shape(self) -> RowShape:
        """The shape that all rows of a text must have."""
        headers, separator = self.layout.headers, self.layout.separator or ","
        footers = (*self.footers, *report_rows().values())
        try:
            with self._opened(self.layout.offset) as stream:
                first = islice(self._rows(lines_of(b"", stream), self.layout.first_line), _FIRST_ROWS)
                return shape_of(first, self.location, headers, separator, footers)
        except (_NeverCloses, *_UNREADABLE):  # whoever reads the rows says so
            return RowShape(self.location, headers, len(headers), separator, footers)

    def read(self, wanted: Sequence[int]) -> Iterator[RawRows]:
        """The rows, in batches of 16 MB or so.

        Raises ExportUnreadable for rows that have not the header's shape, that swallowed others, or never end.
        """
        if self.contents.rows is not None:
            yield from self._slow(islice(self.contents.rows(), self.layout.offset, None), wanted)
            return
        try:
            yield from self._in_blocks(wanted)
        except _NeverCloses as error:
            raise ExportUnreadable(
                f"{self.location}, {error}: a quote opens here and never closes. Fix the line, or export again."
            ) from None
        except UnicodeDecodeError as error:
            told = f"{self.location} is not valid {self.contents.encoding} throughout: {error}. Export again as UTF-8."
            raise ExportUnreadable(told) from error
        except DAMAGED as error:
            raise damaged(self.location, error) from error

    def warnings(self, cuts: AbstractSet[int] = frozenset()) -> tuple[str, ...]:
        """Warnings of what the rows do not show: hidden ones, and lines that may be cut short, with those of ``cuts``."""
        parts = [f"line {line}, the last of its part, has no line end and may be cut short" for line in sorted(cuts | self.contents.cuts)]
        count, _, last = self.contents.traits.get("hidden") or (0, 0, 0)
        are = "is" if count == 1 else "are"
        hidden = f"{count:,} of the sheet's rows {are} hidden, and read as the others are" if last >= self.layout.first_line else ""
        return tuple(filter(None, (hidden, *parts, self._cut_short())))

    def _cut_short(self) -> str:
        """A warning of a last line that may be cut short, since it alone has no line end, with its last cell's form; empty for others."""
        try:
            found = line_without_end(self.contents.open) if self.contents.open is not None else None
            if found is None:
                return ""
            number, text = found
            cells = next(csv.reader([text], delimiter=self.layout.separator or ","))
        except (csv.Error, *_UNREADABLE):  # whoever reads the rows says so
            return ""
        place = len(cells) - 1
        header = self.layout.headers[place] if len(cells) == self._shape.width and place < len(self.layout.headers) else ""
        where = f", in column {name_or_shape(header)!r}," if header else ""
        form = f"has the form {masked(cells[-1])}" if cells[-1] else "is empty"
        told = f"line {number}, the last, has no line end, where the lines before it have one, and may be cut short"
        return f"{told}: its last cell{where} {form}"

    def _in_blocks(self, wanted: Sequence[int]) -> Iterator[RawRows]:
        """A few blocks at a time, some being read ahead; from those of which one ends within a cell, the rest goes the slow way."""
        offset = self.layout.offset
        with self._opened(offset) as stream, ThreadPoolExecutor(_AHEAD) as pool:
            for some, line, reading in self._ahead(row_aligned(stream, self.location, self.layout.first_line), wanted, pool):
                batches = reading.result()
                if batches is None:
                    with self._opened(offset) as rest:
                        yield from self._slow(self._rows(lines_of(b"", rest), line), wanted)
                    return
                yield from batches
                offset += sum(len(block.text) for block in some)

    def _ahead(self, blocks: Iterator[Block], wanted: Sequence[int], pool: Executor) -> Iterator[tuple[list[Block], int, Reading]]:
        """Some blocks at a time, the line where they start, and their rows, which are being read."""
        coming: deque[tuple[list[Block], int, Reading]] = deque()
        line = self.layout.first_line
        try:
            for some in _together(blocks):
                coming.append((some, line, pool.submit(self._read_blocks, some, line, wanted)))
                line += sum(block.newlines for block in some)
                if len(coming) > _AHEAD:
                    yield coming.popleft()
        except _UNREADABLE:
            yield from coming  # a stray quote among them may be what is wrong, and the slow way can read it
            raise
        yield from coming

    def _opened(self, offset: int) -> BinaryIO:
        assert self.contents.open is not None  # noqa: S101 -- the caller asked; this tells mypy
        stream = self.contents.open()
        skip(stream, offset)
        return stream

    def _read_blocks(self, blocks: Iterable[Block], line: int, wanted: Sequence[int]) -> list[RawRows] | None:
        """The blocks' rows as one batch, if there are any, or None where a block ends within a cell."""
        parts: list[RawRows] = []
        for block in blocks:
            self._shape.refuse_escaped_quotes(block, line)
            rows = self._fast(block, line, wanted) or self._slow_block(block, line, wanted)
            if rows is None:
                return None
            parts += rows
            line += block.newlines
        return [_joined(parts)] if len(parts) > 1 else parts

    def _fast(self, block: Block, line: int, wanted: Sequence[int]) -> list[RawRows] | None:
        """The block by Arrow, or None where it is not UTF-8, or Arrow and the line breaks disagree."""
        separator = self.layout.separator or ","
        odd = not block.balanced or block.ends_within_a_cell(separator) or block.holds(BOM.encode())
        if odd or not is_utf8(block.text):
            return None
        if (table := self._arrow(block.text, wanted)) is None:
            return None
        padded = table.num_rows if self._shape.width < len(self.layout.headers) else 0
        if table.num_rows == block.lines:
            return [RawRows(table, np.arange(line, line + table.num_rows, dtype=np.int64), padded=padded)]
        starts = row_starts(block.text)
        if len(starts.rows) != table.num_rows:
            return None
        self._shape.refuse_swallowed(block, starts, line)
        return [RawRows(table, starts.rows + line, starts.blank, padded)]

    def _slow_block(self, block: Block, line: int, wanted: Sequence[int]) -> list[RawRows] | None:
        """The block by the csv module, or None where it ends within a cell."""
        try:
            return list(self._slow(self._rows(lines_of(block.text), line), wanted))
        except _NeverCloses:
            return None

    def _arrow(self, text: memoryview, wanted: Sequence[int]) -> pa.Table | None:
        """The block by Arrow, or None where a row has not its shape."""
        width, surplus = self._shape.width, [str(position) for position in self._shape.surplus]
        include = [str(position) for position in wanted if position < width] + surplus
        try:
            table = pacsv.read_csv(
                pa.py_buffer(text),
                read_options=pacsv.ReadOptions(column_names=[str(position) for position in range(width)], block_size=len(text) + 1),
                parse_options=pacsv.ParseOptions(delimiter=self.layout.separator, newlines_in_values=True),
                convert_options=pacsv.ConvertOptions(
                    include_columns=include,
                    column_types=dict.fromkeys(include, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                    check_utf8=False,  # the block is: asking cell by cell takes a quarter of the reading
                ),
            )
        except pa.ArrowInvalid:
            return None
        if any(table.column(name).null_count < table.num_rows for name in surplus):
            return None
        for position in wanted:
            if position >= width:
                table = table.append_column(str(position), pa.nulls(table.num_rows, pa.string()))
        return table.select([str(position) for position in wanted]).combine_chunks()

    def _rows(self, lines: Iterable[str], line: int) -> Iterator[Row]:
        reader = csv.reader(chain(lines, [_END]), delimiter=self.layout.separator or ",")
        start = line
        try:
            for cells in reader:
                if cells == [_END]:
                    return
                if cells and cells[-1].endswith(_END):
                    raise _NeverCloses(f"line {start}")
                yield start, cells
                start = line + reader.line_num
        except csv.Error as error:
            told = "a carriage return stands in a cell without quotes" if "new-line" in str(error) else str(error)
            raise ExportUnreadable(f"{self.location}, line {start}: {told}. Fix the line, or export again.") from error

    def _refuse_odd(self, rows: Sequence[Row]) -> None:
        """Raise ExportUnreadable for a row that swallowed others; where one has not its shape, naming every such row of the file."""
        for line, cells in rows:
            if any("\n" in cell for cell in cells):
                self._shape.refuse_row_that_swallowed(line, cells)
        if all(self._shape.fits(cells) for _, cells in rows):
            return
        with self._opened(self.layout.offset) as stream:
            lines = _Seen(lines_of(b"", stream))
            all_rows = self._until_trouble(self._rows(lines, self.layout.first_line))
            self._shape.refuse_irregular((row for row in all_rows if not self._shape.fits(row[1])), lambda: lines.escaped)

    def _until_trouble(self, rows: Iterator[Row]) -> Iterator[Row]:
        try:
            yield from rows
        except (_NeverCloses, *_UNREADABLE):
            return

    def _slow(self, rows: Iterator[Row], wanted: Sequence[int]) -> Iterator[RawRows]:
        width = len(self.layout.headers)
        for batch in _batches(rows):
            full = [(line, cells) for line, cells in batch if any(cell.strip() for cell in cells)]
            if self.contents.rows is None:
                self._refuse_odd(full)
            columns = [pa.array([cells[p] or None if p < len(cells) else None for _, cells in full], pa.string()) for p in wanted]
            if self.contents.rows is not None:
                columns = [column if p in self.numbers else unmarked(column) for p, column in zip(wanted, columns, strict=True)]
            table = pa.Table.from_arrays(columns, names=[str(position) for position in wanted])
            lines = np.array([line for line, _ in full], dtype=np.int64)
            yield RawRows(table, lines, len(batch) - len(full), sum(1 for _, cells in full if len(cells) < width))


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Rows in lists of as many as are held with ease, however long they are."""
    batch: list[Row] = []
    weight = 0
    for row in rows:
        batch.append(row)
        weight += sum(map(len, row[1])) + _CELL * len(row[1])
        if len(batch) == _SLOW_ROWS or weight > _HEAVIEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


@dataclass
class _Seen:
    """Lines that pass by, and whether in any of them a backslash stands before a quote."""

    lines: Iterator[str]
    escaped: bool = False

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.escaped = self.escaped or '\\"' in line
            yield line


def _together(blocks: Iterator[Block]) -> Iterator[list[Block]]:
    """A few blocks at a time; where no more can be read, those before it first."""
    some: list[Block] = []
    try:
        for block in blocks:
            some.append(block)
            if len(some) == _TOGETHER:
                yield some
                some = []
    except _UNREADABLE:
        if some:
            yield some
        raise
    if some:
        yield some


def _joined(parts: Sequence[RawRows]) -> RawRows:
    return RawRows(
        pa.concat_tables([part.table for part in parts]).combine_chunks(),
        np.concatenate([part.lines for part in parts]),
        sum(part.blank for part in parts),
        sum(part.padded for part in parts),
    )

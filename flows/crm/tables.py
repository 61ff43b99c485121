"""The rows below the header as Arrow tables of text, each with the line it starts on, at the speed of Arrow's CSV reader.

The file is read in blocks that end where a row ends. A block that Arrow reads into as many rows as it has lines needs no
more; line breaks inside cells are counted; anything irregular (ragged rows, stray quotes) is read again with Python's csv
module, which gives the same cells more slowly.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv

from flows.crm.contents import Contents
from flows.crm.layout import Layout
from flows.errors import ExportUnreadable

ROWS = 100_000
_FIRST_BLOCK = 1 << 20
_LARGEST_BLOCK = 96 << 20
_LONGEST_ROW = 256 << 20
_SLOW_ROWS = 20_000
_END = "\0end of block"

csv.field_size_limit(_LONGEST_ROW)

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RawRows:
    """Some rows as text: one column a wanted header, null for an empty cell; ``blank`` lines without any cell were left out."""

    table: pa.Table
    lines: Lines
    blank: int = 0
    padded: int = 0


@dataclass(frozen=True)
class TableReader:
    """Reads the wanted columns (positions in the header) of one export, as often as asked."""

    contents: Contents
    layout: Layout
    location: str

    def read(self, wanted: Sequence[int]) -> Iterator[RawRows]:
        """The rows, in batches of about 100k. Raises ExportUnreadable for a row that is longer than the header or never ends."""
        if self.contents.rows is not None:
            rows = islice(self.contents.rows(), self.layout.offset, None)
            yield from self._slow(rows, wanted)
            return
        with ThreadPoolExecutor(1) as ahead:
            blocks = self._blocks(wanted)
            coming = ahead.submit(next, blocks, None)
            while (batches := coming.result()) is not None:
                coming = ahead.submit(next, blocks, None)
                yield from batches

    def _blocks(self, wanted: Sequence[int]) -> Iterator[list[RawRows]]:
        assert self.contents.open is not None  # noqa: S101 -- the caller asked; this tells mypy
        try:
            with self.contents.open() as stream:
                _skip(stream, self.layout.offset)
                line = self.layout.first_line
                for block in _row_aligned(stream, self.location, line):
                    yield self._parse(block, line, wanted)
                    line += block.newlines
        except UnicodeDecodeError as error:
            raise ExportUnreadable(
                f"{self.location} is not valid {self.contents.encoding} throughout: {error}. Export again as UTF-8."
            ) from error
        except EOFError as error:
            raise ExportUnreadable(f"{self.location} ends in the middle ({error}). Download it again.") from error

    def _parse(self, block: _Block, line: int, wanted: Sequence[int]) -> list[RawRows]:
        table = None if block.unbalanced else self._arrow(block.text, wanted)
        if table is not None:
            if table.num_rows == block.rows_at_most:
                return [RawRows(table, np.arange(line, line + table.num_rows, dtype=np.int64))]
            starts, blank = _row_starts(block.text)
            if len(starts) == table.num_rows:
                return [RawRows(table, starts + line, blank)]
        return list(self._slow(self._csv_rows(block, line), wanted))

    def _arrow(self, text: memoryview, wanted: Sequence[int]) -> pa.Table | None:
        """The block by Arrow, or None where a row has more or fewer cells than the header."""
        names = [str(position) for position in range(len(self.layout.headers))]
        ragged: list[str] = []

        def notice(_row: pacsv.InvalidRow) -> str:
            ragged.append("")
            return "error"

        include = [str(position) for position in wanted]
        try:
            table = pacsv.read_csv(
                pa.py_buffer(text),
                read_options=pacsv.ReadOptions(column_names=names, block_size=4 << 20),
                parse_options=pacsv.ParseOptions(delimiter=self.layout.separator, newlines_in_values=True, invalid_row_handler=notice),
                convert_options=pacsv.ConvertOptions(
                    include_columns=include,
                    column_types=dict.fromkeys(include, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=True,
                ),
            )
        except pa.ArrowInvalid:
            return None
        return None if ragged else table.combine_chunks()

    def _csv_rows(self, block: _Block, line: int) -> Iterator[tuple[int, list[str]]]:
        lines = io.StringIO(bytes(block.text).decode("utf-8"), newline="\n")
        reader = csv.reader(_with_end(lines), delimiter=self.layout.separator or ",")
        start = line
        try:
            for cells in reader:
                if cells == [_END]:
                    return
                if cells and cells[-1].endswith(_END):
                    raise ExportUnreadable(
                        f"{self.location}, line {start}: a quote opens here and never closes. Mend the line, or export again."
                    )
                yield start, cells
                start = line + reader.line_num
        except csv.Error as error:
            raise ExportUnreadable(f"{self.location}, line {start}: {error}. Mend the line, or export again.") from error

    def _slow(self, rows: Iterator[tuple[int, list[str]]], wanted: Sequence[int]) -> Iterator[RawRows]:
        width = len(self.layout.headers)
        while batch := list(islice(rows, _SLOW_ROWS)):
            full = [(line, cells) for line, cells in batch if any(cell.strip() for cell in cells)]
            for line, cells in full:
                if len(cells) > width and any(cell.strip() for cell in cells[width:]):
                    raise ExportUnreadable(
                        f"{self.location}, line {line}: {len(cells)} cells where the header has {width};"
                        f" the surplus begins with {cells[width]!r}."
                        " A separator inside a cell is not quoted. Mend the line, or export again."
                    )
            columns = [pa.array([cells[p] or None if p < len(cells) else None for _, cells in full], pa.string()) for p in wanted]
            table = pa.Table.from_arrays(columns, names=[str(position) for position in wanted])
            lines = np.array([line for line, _ in full], dtype=np.int64)
            yield RawRows(table, lines, len(batch) - len(full), sum(1 for _, cells in full if len(cells) < width))


@dataclass(frozen=True, slots=True)
class _Block:
    """Bytes from the start of one row to the end of another. ``unbalanced``: its quotes do not pair."""

    text: memoryview
    newlines: int
    rows_at_most: int
    unbalanced: bool = False


def _row_aligned(stream: BinaryIO, location: str, line: int) -> Iterator[_Block]:
    carried, size = b"", _FIRST_BLOCK
    while True:
        read = stream.read(size)
        text = carried + read
        if not read:
            if text:
                yield _block(text, len(text), unbalanced=bool(_quotes(text) & 1))
            return
        end = _last_row_end(text)
        if end:
            block = _block(text, end)
            yield block
            line += block.newlines
            size = min(_LARGEST_BLOCK, max(_FIRST_BLOCK, ROWS * end // max(block.newlines, 1)))
        elif len(text) > _LONGEST_ROW:
            raise ExportUnreadable(
                f"{location}, line {line}: from here no row ends within {_LONGEST_ROW >> 20} MB:"
                " a quote opens and never closes. Export again."
            )
        carried = text[end:]


def _block(text: bytes, end: int, *, unbalanced: bool = False) -> _Block:
    newlines = text.count(b"\n", 0, end)
    return _Block(memoryview(text)[:end], newlines, newlines + (text[end - 1] != 0x0A), unbalanced)


def _last_row_end(text: bytes) -> int:
    """The position after the last line break that no quotes enclose; 0 if there is none."""
    end = text.rfind(b"\n")
    quotes = _quotes(text[: end + 1])
    while end >= 0 and quotes & 1:
        before = text.rfind(b"\n", 0, end)
        quotes -= text.count(b'"', before + 1, end)
        end = before
    return end + 1


def _quotes(text: bytes) -> int:
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == 0x22))


def _row_starts(text: memoryview) -> tuple[Lines, int]:
    """For each row the line it starts on (from 0), blank lines left out but counted: a line break with quotes open ends no row."""
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw == 0x0A)
    if not len(ends) or ends[-1] != len(raw) - 1:
        ends = np.append(ends, len(raw))
    begins = np.concatenate(([0], ends[:-1] + 1))
    odd = np.add.reduceat((raw == 0x22).view(np.uint8), begins, dtype=np.uint8) & 1
    open_after = np.cumsum(odd) & 1
    fresh = np.concatenate(([True], open_after[:-1] == 0))
    length = ends - begins
    empty = (length == 0) | ((length == 1) & (raw[np.minimum(begins, len(raw) - 1)] == 0x0D))
    return np.flatnonzero(fresh & ~empty), int(np.count_nonzero(fresh & empty))


def _with_end(lines: io.StringIO) -> Iterator[str]:
    yield from lines
    yield _END


def _skip(stream: BinaryIO, count: int) -> None:
    while count > 0 and (read := stream.read(min(count, 1 << 20))):
        count -= len(read)

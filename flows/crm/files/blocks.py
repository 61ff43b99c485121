"""A file's bytes in blocks that end where a row ends, found by counting quotes; and where in a block each row starts."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from flows.errors import ExportUnreadable

ROWS = 100_000
_FIRST_BLOCK = 1 << 20
_LARGEST_BLOCK = 4 << 20
LONGEST_ROW = 16 << 20
"""Bytes of a row, of a line and of a cell: some hundred times what the longest texts of a CRM take."""

_SLICE = 1 << 18
_SHOWN_OF_A_LINE = 1 << 16
_NEWLINE, _QUOTE, _RETURN = 0x0A, 0x22, 0x0D

BOM = "\ufeff"

Lines = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes from the start of one row to the end of another. ``balanced``: its quotes pair."""

    text: memoryview
    newlines: int
    balanced: bool = True

    @property
    def lines(self) -> int:
        """The number of lines, a last one without line break included."""
        return self.newlines + (self.text[-1] != _NEWLINE)

    def holds(self, what: bytes) -> bool:
        """True if these bytes are in it. One byte is found many times faster than several, and those that are asked for are rare."""
        text, end = cast("bytearray", self.text.obj), len(self.text)
        first = text.find(what[:1], 0, end)
        return first >= 0 and text.find(what, first, end) >= 0

    def ends_within_a_cell(self, separator: str) -> bool:
        """True if the last quote of the last line opens a cell: a stray quote before has made the count of quotes lie."""
        text = bytes(self.text[-(1 << 16) :])
        line = text[text.rfind(b"\n", 0, -1) + 1 :]
        place = line.rfind(b'"')
        opens = place == 0 or line[max(place - 1, 0) : place] == separator.encode()
        return line.count(b'"') % 2 == 1 and opens


def row_aligned(stream: BinaryIO, location: str, line: int) -> Iterator[Block]:
    """Blocks of 4 MB, or 100k short rows. Raises ExportUnreadable where no row ends within 16 MB; ``line`` is where the stream stands."""
    carried, size = bytearray(), _FIRST_BLOCK
    while True:
        text = bytearray(len(carried) + size)  # filled in place: a read put behind what was carried would be all of it twice
        text[: len(carried)] = carried
        with memoryview(text) as room:
            read = stream.readinto(room[len(carried) :])  # type: ignore[attr-defined] # every stream that contents.py opens is buffered
        del text[len(carried) + read :]
        if not read:
            if text:
                yield _block(text, len(text), balanced=_count(text, _QUOTE, len(text)) % 2 == 0)
            return
        end = _last_row_end(text)
        if end:
            block = _block(text, end)
            yield block
            line += block.newlines
            size = min(_LARGEST_BLOCK, max(_FIRST_BLOCK, ROWS * end // max(block.newlines, 1)))
        elif len(text) > LONGEST_ROW:
            raise ExportUnreadable(
                f"{location}, line {line}: from here no row ends within {LONGEST_ROW >> 20} MB, which no setting raises: a quote opens and "
                "never closes, or the lines have no end. Export again."
            )
        else:
            size = max(size, len(text))
        carried = text[end:]


class Starts(NamedTuple):
    """The starts of a text's rows: the line of each (from 0), and the place where each line begins; ``blank`` lines begin no row."""

    rows: Lines
    lines: Lines
    blank: int


def row_starts(text: memoryview) -> Starts:
    """For each row the line it starts on: a line break with quotes open ends no row."""
    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw == _NEWLINE)
    if not len(ends) or ends[-1] != len(raw) - 1:
        ends = np.append(ends, len(raw))
    begins = np.concatenate(([0], ends[:-1] + 1))
    odd = np.add.reduceat((raw == _QUOTE).view(np.uint8), begins, dtype=np.uint8) & 1
    open_after = np.cumsum(odd) & 1
    fresh = np.concatenate(([True], open_after[:-1] == 0))
    length = ends - begins
    empty = (length == 0) | ((length == 1) & (raw[np.minimum(begins, len(raw) - 1)] == _RETURN))
    return Starts(np.flatnonzero(fresh & ~empty), begins, int(np.count_nonzero(fresh & empty)))


def lines_of(text: memoryview | bytes, stream: BinaryIO | None = None) -> Iterator[str]:
    """The lines of ``text``, and of the ``stream`` after it, with their line breaks; only a newline breaks a line.

    A BOM in front of a line is left out: a file joined to another has one where it begins.

    Raises:
        csv.Error: a line is too long.
    """
    pending = bytes(text) or (stream.read(_FIRST_BLOCK) if stream else b"")
    while pending:
        *whole, pending = pending.split(b"\n")
        for line in whole:
            yield line.decode("utf-8").removeprefix(BOM) + "\n"
        more = stream.read(_FIRST_BLOCK) if stream else b""
        if not more:
            break
        if len(pending) > LONGEST_ROW:
            raise csv.Error(f"it does not end within {LONGEST_ROW >> 20} MB")
        pending += more
    if pending:
        yield pending.decode("utf-8").removeprefix(BOM)


def line_without_end(opened: Callable[[], BinaryIO]) -> tuple[int, str] | None:
    """The number and the text of the last line where it has no line break and the lines before it have one; None elsewhere.

    Of a line of more than 64 KB only the end is given, and a blank one is no line.
    """
    with opened() as stream:
        if stream.seekable() and stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) == b"\n":
                return None
            stream.seek(0)
        number, last = 1, b""
        while read := stream.read(_FIRST_BLOCK):
            number += read.count(b"\n")
            last = (read if b"\n" in read else last + read)[read.rfind(b"\n") + 1 :][-_SHOWN_OF_A_LINE:]
    cut = number > 1 and last.strip() and not last.endswith(b"\r")
    return (number, last.decode("utf-8", "replace").removeprefix(BOM)) if cut else None


def skip(stream: BinaryIO, count: int) -> None:
    """Read ``count`` bytes and forget them."""
    while count > 0 and (read := stream.read(min(count, 1 << 20))):
        count -= len(read)


def _block(text: bytearray, end: int, *, balanced: bool = True) -> Block:
    return Block(memoryview(text)[:end], _count(text, _NEWLINE, end), balanced)


def _last_row_end(text: bytearray) -> int:
    """The position after the last line break that no quotes enclose; 0 if there is none."""
    end = text.rfind(b"\n")
    if _count(text, _QUOTE, end + 1) % 2 == 0:
        return end + 1
    before = end
    while before >= 0:
        opening = text.rfind(b'"', 0, before)
        before = text.rfind(b'"', 0, opening)
        end = text.rfind(b"\n", before + 1, opening)
        if end >= 0:
            return end + 1
    return 0


def _count(text: bytearray, byte: int, end: int) -> int:
    """Number of times that ``byte`` is in ``text`` before ``end``, counted in slices that the processor's cache holds."""
    if text.find(byte, 0, end) < 0:
        return 0
    raw = np.frombuffer(text, np.uint8, end)
    return sum(int(np.count_nonzero(raw[start : start + _SLICE] == byte)) for start in range(0, end, _SLICE))

"""The deals CSV as the platform wants it: one header, 35 columns in the specification's order (S), comma, UTF-8.

A null is an empty cell. A row in which some cell has to be quoted is quoted whole, no other is: what was read comes back byte for
byte, and no more is sent than must be.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from expectations.deals_schema import COLUMN_NAMES
from expectations.formats import holds
from flows.crm.files.blocks import row_starts
from flows.crm.mapped_columns import DEALS_SCHEMA

SEPARATOR = ","

_BARE = pacsv.WriteOptions(include_header=False, quoting_style="none", delimiter=SEPARATOR)
_QUOTED = pacsv.WriteOptions(include_header=False, quoting_style="needed", delimiter=SEPARATOR)
_STRUCTURAL = f'{SEPARATOR}"\r\n'.encode()
_HEADER = f"{SEPARATOR.join(COLUMN_NAMES)}\n".encode()
_NEWLINE, _QUOTE = 0x0A, 0x22

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class CsvRows:
    """Rows as they are sent, without a header; ``begins`` and ``ends`` say where in ``text`` each one starts and its line break is."""

    text: memoryview
    begins: Places
    ends: Places

    @classmethod
    def of(cls, deals: pa.Table) -> CsvRows:
        """The 35 columns of ``deals``; others are left out."""
        table = deals if deals.schema.equals(DEALS_SCHEMA) else deals.select(list(COLUMN_NAMES)).cast(DEALS_SCHEMA)
        try:
            return cls._rendered(table, _BARE)
        except pa.ArrowInvalid:  # some cell has to be quoted
            return cls._mixed(table, _to_be_quoted(table).to_numpy())

    @classmethod
    def _mixed(cls, table: pa.Table, quoted: npt.NDArray[np.bool_]) -> CsvRows:
        parts = [cls._rendered(table.filter(pa.array(which)), style) for which, style in ((~quoted, _BARE), (quoted, _QUOTED))]
        lengths = np.empty(len(quoted), np.int64)
        for which, part in zip((~quoted, quoted), parts, strict=True):
            lengths[which] = part.ends + 1 - part.begins
        runs = np.flatnonzero(np.diff(quoted, prepend=~quoted[:1]))
        streams = [io.BytesIO(part.text) for part in parts]
        sizes = zip(quoted[runs].tolist(), np.add.reduceat(lengths, runs).tolist(), strict=True)
        after = np.cumsum(lengths)
        return cls(memoryview(b"".join(streams[which].read(size) for which, size in sizes)), after - lengths, after - 1)

    @classmethod
    def _rendered(cls, table: pa.Table, style: pacsv.WriteOptions) -> CsvRows:
        sink = pa.BufferOutputStream()
        pacsv.write_csv(table, sink, style)
        text = memoryview(sink.getvalue())
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == _NEWLINE)
        begins = np.concatenate(([0], ends[:-1] + 1)) if len(ends) else ends
        if len(ends) != table.num_rows:  # some are within cells
            begins = begins[row_starts(text).rows]
            ends = np.append(begins[1:] - 1, len(text) - 1)
        return cls(text, begins, ends)

    def contents(self, synced: pa.ChunkedArray) -> Iterable[memoryview]:
        """Each row less ``lastSyncedAt``, its last cell, which is ``synced``: two rows share it only where their content is the same."""
        quotes = 2 * (np.frombuffer(self.text, np.uint8)[self.ends - 1] == _QUOTE)
        last = pc.fill_null(pc.binary_length(synced), 0).to_numpy() + quotes
        return map(self.text.__getitem__, map(slice, self.begins.tolist(), (self.ends - last).tolist()))


def _to_be_quoted(table: pa.Table) -> pa.ChunkedArray:
    suspects = [column for column in table.columns if holds(column, _STRUCTURAL)]
    masks = (pc.fill_null(pc.match_substring_regex(column, f"[{_STRUCTURAL.decode()}]"), fill_value=False) for column in suspects)
    return functools.reduce(pc.or_, masks)


class DealsCsv:
    """A deals CSV being written, batch by batch, and its digest; use as a context manager.

    One batch is written while the caller makes the next.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._beside = ThreadPoolExecutor(1)
        self._writing = self._beside.submit(self._put, _HEADER)

    def write(self, rows: CsvRows) -> None:
        """Write all ``rows``; an error in writing those before is raised here, or at the end."""
        self._writing.result()
        self._writing = self._beside.submit(self._put, rows.text)

    def _put(self, text: bytes | memoryview) -> None:
        self._digest.update(text)
        self._file.write(text)

    @property
    def sha256(self) -> str:
        """The digest of what was written, hexadecimal."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._file, self._beside:
            self._writing.result()


def write_deals_csv(batches: Iterable[pa.Table | pa.RecordBatch], path: Path) -> int:
    """Write ``batches`` (columns beyond the 35 are left out) and return the number of rows."""
    rows = 0
    with DealsCsv(path) as csv:
        for batch in batches:
            table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
            csv.write(CsvRows.of(table))
            rows += table.num_rows
    return rows

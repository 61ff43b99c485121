"""The deals CSV as the platform wants it: one header, 35 columns in the specification's order (S), comma, UTF-8.

A null is an empty cell; text is quoted only where it must be, so what was read comes back byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.csv as pacsv

from expectations.schema import COLUMN_NAMES

SEPARATOR = ","

CSV_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMN_NAMES])
_OPTIONS = pacsv.WriteOptions(include_header=True, quoting_style="needed", quoting_header="needed", delimiter=SEPARATOR)


class DealsCsv:
    """A deals CSV being written, table by table, and its digest; use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self._writer = pacsv.CSVWriter(self, CSV_SCHEMA, write_options=_OPTIONS)

    def write_table(self, table: pa.Table) -> None:
        """Write the 35 columns of ``table``; others are left out."""
        self._writer.write_table(table.select(list(COLUMN_NAMES)).cast(CSV_SCHEMA))

    def write(self, text: bytes) -> int:
        """Take in what Arrow writes."""
        self._digest.update(text)
        return self._file.write(text)

    @property
    def closed(self) -> bool:
        """As Arrow asks of a file."""
        return self._file.closed

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """End the file."""
        self._writer.close()
        self._file.close()

    @property
    def sha256(self) -> str:
        """The digest of what was written, hexadecimal."""
        return self._digest.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def write_deals_csv(batches: Iterable[pa.Table | pa.RecordBatch], path: Path) -> int:
    """Write ``batches`` (columns beyond the 35 are left out) and return the number of rows."""
    rows = 0
    with DealsCsv(path) as csv:
        for batch in batches:
            table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
            csv.write_table(table)
            rows += table.num_rows
    return rows

"""The deals CSV as the platform wants it: one header, 35 columns in the specification's order (S), comma, UTF-8.

A null is an empty cell; text is quoted only where it must be, so what was read comes back byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

from expectations.schema import COLUMN_NAMES

SEPARATOR = ","

CSV_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMN_NAMES])
_OPTIONS = pacsv.WriteOptions(include_header=True, quoting_style="needed", quoting_header="needed", delimiter=SEPARATOR)


def open_deals_csv(path: Path) -> pacsv.CSVWriter:
    """Open ``path`` for writing tables of the 35 string columns, batch by batch; use as a context manager."""
    return pacsv.CSVWriter(path, CSV_SCHEMA, write_options=_OPTIONS)


def write_deals_csv(batches: Iterable[pa.Table | pa.RecordBatch], path: Path) -> int:
    """Write ``batches`` (columns beyond the 35 are left out) and return the number of rows."""
    rows = 0
    with open_deals_csv(path) as writer:
        for batch in batches:
            table = pa.Table.from_batches([batch]) if isinstance(batch, pa.RecordBatch) else batch
            writer.write_table(table.select(list(COLUMN_NAMES)).cast(CSV_SCHEMA))
            rows += table.num_rows
    return rows

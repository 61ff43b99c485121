"""The deals that a collection holds: one SQLite file per collection, one row per deal.

A deal is kept as its 35 cells joined by NUL, which no accepted file contains; an empty cell is null, so nothing is lost.
A known id replaces that deal in its place (A). Each change is one transaction: all of a file, or none of it (S).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from deployments.sandbox.csv_reader import read_batches
from deployments.sandbox.deals_model import COLUMNS

_UPSERT = "INSERT INTO deal (id, cells) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET cells = excluded.cells"
_PAGE = 20_000


class Deals:
    """The deals of all collections, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _open(self, collection: str) -> closing[sqlite3.Connection]:
        connection = sqlite3.connect(self._folder / f"{collection}.sqlite", check_same_thread=False, timeout=600)
        connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536;"
            "CREATE TABLE IF NOT EXISTS deal (position INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, cells BLOB NOT NULL);"
        )
        return closing(connection)

    def merge(self, collection: str, upload: Path, separator: str, *, replace_all: bool) -> None:
        """Merge a valid file by id; with ``replace_all`` it replaces everything held (D)."""
        with self._open(collection) as connection, connection:
            if replace_all:
                connection.execute("DELETE FROM deal")
            for table in read_batches(upload, separator):
                cells = [pc.cast(pc.fill_null(table[name], ""), pa.binary()) for name in COLUMNS]
                joined = pc.binary_join_element_wise(*cells, b"\0")
                connection.executemany(_UPSERT, zip(table["id"].to_pylist(), joined.to_pylist(), strict=True))

    def delete(self, collection: str) -> None:
        """Delete all deals of a collection (D)."""
        with self._open(collection) as connection, connection:
            connection.execute("DELETE FROM deal")

    def any(self, collection: str) -> bool:
        """Whether the collection holds a deal."""
        with self._open(collection) as connection:
            return connection.execute("SELECT 1 FROM deal LIMIT 1").fetchone() is not None

    def pages(self, collection: str) -> Iterator[list[bytes]]:
        """Yield the deals held at one moment, in their order."""
        with self._open(collection) as connection:
            rows = connection.execute("SELECT cells FROM deal ORDER BY position")
            while page := rows.fetchmany(_PAGE):
                yield [cells for (cells,) in page]

    def tables(self, collection: str, columns: Sequence[str] = COLUMNS) -> Iterator[pa.Table]:
        """Yield columns of the deals held, null for empty cells."""
        for page in self.pages(collection):
            cells = _cells(page).flatten()
            first = np.arange(0, len(cells), len(COLUMNS))
            picked = {name: cells.take(pa.array(first + COLUMNS.index(name))) for name in columns}
            yield pa.table({name: pc.if_else(pc.equal(column, ""), None, column) for name, column in picked.items()})

    def dump(self, collection: str) -> Iterator[bytes]:
        """Yield the deals held as CSV: the header, then page by page; quotes only where they are needed."""
        yield ",".join(COLUMNS).encode() + b"\n"
        for page in self.pages(collection):
            cells = _cells(page)
            text = cells.flatten()
            quoted = pc.binary_join_element_wise('"', pc.replace_substring(text, '"', '""'), '"', "")
            written = pc.if_else(pc.match_substring_regex(text, '[",\r\n]'), quoted, text)
            rows = pc.binary_join(pa.ListArray.from_arrays(cells.offsets, written), ",")
            yield "\n".join([*rows.to_pylist(), ""]).encode()

    def clear(self) -> None:
        """Remove the deals of every collection."""
        for path in self._folder.iterdir():
            path.unlink()


def _cells(page: list[bytes]) -> pa.ListArray:
    return pc.split_pattern(pa.array(page, pa.binary()).cast(pa.string()), "\0")

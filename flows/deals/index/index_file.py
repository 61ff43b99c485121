"""The content index's form on disk: one Parquet file per collection in the ledger.

Its rows are the deals that the platform holds: ``id`` as text, ``content`` (a 64-bit hash, null while in doubt) and, of a sample,
``cells`` (32 bits a column). What a sync is about to send lies beside it in a file of the same form. An index of an earlier version
(``_known.xxh3``, ids as hashes) is read too; its deals move to the Parquet file as exports name them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.file_profile import HashPile
from expectations.formats import one_chunk
from flows.deals.index.content_hash import CELLS_BYTES, CONTENT_COLUMNS, DEAL, Deals, Hashes, Mask, cells_of, hash_ids, sampled
from flows.deals.index.content_index import IN_DOUBT, Held, among
from flows.ledger.checksums import named_if_damaged, require_sound_parquet, seal_parquet
from flows.ledger.store import CONTENT, OLD_CONTENT, PIECE, Ledger

INDEX = "_index"
OLD_INDEX = "_known"

_NEWEST = "newest"
"""In an index's metadata: the number of the newest sync that is in it."""

ROWS = 10_000
"""Rows that are read, and written, together."""

SCHEMA = pa.schema(
    [("id", pa.string()), ("content", pa.uint64()), ("cells", pa.binary())],
    metadata={"content": "xxh3 of the row as sent, less lastSyncedAt", "cells": f"32 bits of the xxh3 of: {','.join(CONTENT_COLUMNS)}"},
)


class DealsFile:
    """A Parquet file of deals being written; use as a context manager."""

    def __init__(self, sink: Path | IO[bytes], *, newest: int | None = None) -> None:
        self._file: IO[bytes] = sink.open("w+b") if isinstance(sink, Path) else sink
        self._owned = isinstance(sink, Path)
        self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False)
        self._writer.add_key_value_metadata({} if newest is None else {_NEWEST: str(newest)})
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Add deals; small tables are gathered, since each group of rows on disk costs a reader time."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._rows = [], 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with self._writer:
                if self._rows and error is None:
                    self._flush()
            seal_parquet(self._file)
        finally:
            if self._owned:
                self._file.close()


def rows_of(deals: Deals, batch: pa.Table, which: Mask, in_all: int) -> pa.Table:
    """The ``deals`` that ``which`` chooses of a ``batch`` as rows of the index; the cells are hashed of a sample of ``in_all``."""
    texts = one_chunk(batch["id"]) if which.all() else one_chunk(batch["id"]).filter(pa.array(which))
    has_cells = sampled(deals["id"], in_all)
    packed = cells_of(batch.take(pa.array(np.flatnonzero(which)[has_cells])))
    ends = np.concatenate(([0], np.cumsum(has_cells) * CELLS_BYTES)).astype(np.int32)
    buffers = [pa.array(has_cells).buffers()[1], pa.py_buffer(ends), pa.py_buffer(packed)]
    cells = pa.Array.from_buffers(pa.binary(), len(deals), buffers)
    return pa.table([texts, pa.array(deals["content"]), cells], schema=SCHEMA)


def ids_in(content: Path) -> Iterator[pa.Array]:
    """The ids of what is about to be sent, a :class:`DealsFile`."""
    with pq.ParquetFile(content) as file:
        for batch in file.iter_batches(ROWS, columns=["id"]):
            yield batch["id"]


def deals_held(ledger: Ledger, collection: str) -> int:
    """Number of deals in the index's Parquet file, by its footer."""
    return read_footer(ledger, collection)[0]


def read_footer(ledger: Ledger, collection: str) -> tuple[int, int | None]:
    """Of the index's Parquet file: its deals, and the number of the newest sync in it; None where there is none, or it does not say."""
    file = f"{INDEX}{CONTENT}"
    with suppress(FileNotFoundError), named_if_damaged(ledger.where(collection, file)), ledger.open(collection, file) as source:
        found = pq.ParquetFile(source).metadata
        newest = (found.metadata or {}).get(_NEWEST.encode())
        return int(found.num_rows), newest and int(newest)
    return 0, None


def write_index(ledger: Ledger, collection: str, deals: Iterable[Held], more: int, number: int | None = None) -> int:
    """Replace the index, with a sync of this ``number``: deals with a name as Parquet, the others as they were. Their number.

    Cells are kept of a sample alone, of as many deals as it had and ``more``.
    """
    unnamed: list[bytes] = []
    count, (before, newest) = 0, read_footer(ledger, collection)
    with tempfile.TemporaryFile() as file:
        with DealsFile(file, newest=newest if number is None else max(number, newest or 0)) as parquet:
            for rows in deals:
                count += len(rows.ids)
                if rows.table["id"].null_count:
                    has_name = rows.table["id"].is_valid().to_numpy()
                    unnamed.append(as_old(rows.only(~has_name)).tobytes())
                    rows = rows.only(has_name)  # noqa: PLW2901 - the rest of them
                parquet.write(_thinned(rows, before + more))
        file.seek(0)
        ledger.stream(collection, f"{INDEX}{CONTENT}", iter(partial(file.read, PIECE), b""))
    if unnamed:
        ledger.stream(collection, f"{OLD_INDEX}{OLD_CONTENT}", unnamed)
    else:
        ledger.delete(collection, f"{OLD_INDEX}{OLD_CONTENT}")
    return count


def _thinned(rows: Held, in_all: int) -> pa.Table:
    cells = pc.if_else(pa.array(sampled(rows.ids, in_all)), rows.table["cells"], pa.scalar(None, pa.binary()))
    return rows.table.set_column(2, SCHEMA.field("cells"), cells)


def stored(ledger: Ledger, collection: str, name: str, old: str, hashed: Hashes | None = None) -> Iterator[Held]:
    """The deals of a Parquet file, and those of its counterpart of an earlier version that it has not; ``hashed`` are its ids, if known."""
    there, where = HashPile(), ledger.where(collection, f"{name}{CONTENT}")
    with suppress(FileNotFoundError), named_if_damaged(where), ledger.open(collection, f"{name}{CONTENT}") as source:
        require_sound_parquet(source, where)
        parquet = pq.ParquetFile(source)
        same_columns = (parquet.schema_arrow.metadata or {}).get(b"cells") == SCHEMA.metadata[b"cells"]
        for batch in parquet.iter_batches(ROWS):
            table = pa.Table.from_batches([batch]).cast(SCHEMA)
            if not (same_columns and pc.all(pc.equal(pc.binary_length(table["cells"]), CELLS_BYTES), min_count=0).as_py()):
                table = table.set_column(2, SCHEMA.field("cells"), pa.nulls(len(table), pa.binary()))
            ids = hash_ids(one_chunk(table["id"])) if hashed is None else hashed[len(there) : len(there) + len(table)]
            there.add(ids)
            yield Held(ids, table)
    older = ledger.get(collection, f"{old}{OLD_CONTENT}")
    if older is not None:
        with named_if_damaged(ledger.where(collection, f"{old}{OLD_CONTENT}")):
            deals = np.frombuffer(older, DEAL)
        yield _of_old(deals[~among(deals["id"], np.sort(there.gathered()))])


def _of_old(deals: Deals) -> Held:
    content = pa.array(deals["content"], mask=deals["content"] == IN_DOUBT)
    cells = pa.nulls(len(deals), pa.binary())
    return Held(deals["id"].copy(), pa.table([pa.nulls(len(deals), pa.string()), content, cells], schema=SCHEMA))


def as_old(rows: Held) -> Deals:
    """Deals as an index of an earlier version has them: hashes alone, shape (n,)."""
    deals = np.empty(len(rows.ids), DEAL)
    deals["id"], deals["content"] = rows.ids, pc.fill_null(rows.table["content"], IN_DOUBT).to_numpy()
    return deals

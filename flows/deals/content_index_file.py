"""The content index on disk: one Parquet file per collection in the ledger, changed only after ``completed``.

Its rows are the deals that the platform holds: ``id`` as text, ``content`` (a 64-bit hash, null while in doubt) and, of a sample,
``cells`` (32 bits a column). What a sync is about to send lies beside it in a file of the same form. An index of an earlier version
(``_known.xxh3``, ids as hashes) is read too; its deals move to the Parquet file as exports name them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from expectations.file_profile import HashPile
from expectations.formats import one_chunk
from flows.deals.content_index import (
    CELLS_BYTES,
    CONTENT_COLUMNS,
    DEAL,
    IN_DOUBT,
    ContentIndex,
    Deals,
    Hashes,
    Held,
    Mask,
    among,
    cells_of,
    hash_ids,
    sampled,
)
from flows.deals.guard import BASELINE, save_baseline
from flows.errors import LedgerDamaged
from flows.ledger.checksums import named_if_damaged, require_sound_parquet, seal_parquet
from flows.ledger.store import CONTENT, OLD_CONTENT, PIECE, Entry, Ledger
from flows.options import counted

INDEX = "_index"
_OLD_INDEX = "_known"
_REBUILT = (BASELINE, f"{INDEX}{CONTENT}", f"{_OLD_INDEX}{OLD_CONTENT}")

_ROWS = 10_000
"""Rows that are read, and written, together."""

SCHEMA = pa.schema(
    [("id", pa.string()), ("content", pa.uint64()), ("cells", pa.binary())],
    metadata={"content": "xxh3 of the row as sent, less lastSyncedAt", "cells": f"32 bits of the xxh3 of: {','.join(CONTENT_COLUMNS)}"},
)


class DealsFile:
    """A Parquet file of deals being written; use as a context manager."""

    def __init__(self, sink: Path | IO[bytes]) -> None:
        self._file: IO[bytes] = sink.open("w+b") if isinstance(sink, Path) else sink
        self._owned = isinstance(sink, Path)
        self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd", use_dictionary=False, write_statistics=False)
        self._waiting: list[pa.Table] = []
        self._rows = 0

    def write(self, table: pa.Table) -> None:
        """Add deals; small tables are gathered, since each group of rows on disk costs a reader time."""
        self._waiting.append(table)
        self._rows += table.num_rows
        if self._rows >= _ROWS:
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


def load_index(ledger: Ledger, collection: str) -> ContentIndex:
    """The deals that the platform holds or may hold by the ledger; none where no sync has completed."""
    return ContentIndex(held(ledger, collection, ledger.entries(collection)))


def held(ledger: Ledger, collection: str, entries: Sequence[Entry] = ()) -> Iterator[Held]:
    """The index; what those of ``entries`` that are in doubt may have changed is in doubt, and what they may have added stands below it.

    An override in doubt puts everything in doubt, and so does what nothing says the deals of; a delete only what it named, which it
    may have left.

    Raises:
        LedgerDamaged: a file of them is.
    """
    doubtful = [entry for entry in entries if entry.in_doubt]
    index = _stored(ledger, collection, INDEX, _OLD_INDEX)
    if not doubtful:
        yield from index
        return
    everything = any(entry.mode == "override" or not _has_content(ledger, entry) for entry in doubtful)
    touched, there = _ids_sent(ledger, doubtful), HashPile()
    for rows in index:
        there.add(rows.ids)
        yield rows.in_doubt(np.full(len(rows.ids), fill_value=True) if everything else among(rows.ids, touched))
    known = np.sort(there.gathered())
    for entry in doubtful:
        if not entry.deletes:
            own = _ids_sent(ledger, [entry])
            for rows in _once(_sent(ledger, entry), own):
                new = rows.only(~among(rows.ids, known))
                yield new.in_doubt(np.full(len(new.ids), fill_value=True))
            known = np.union1d(known, own)


def gone_ids(ledger: Ledger, collection: str, index: ContentIndex) -> Iterator[pa.Array]:
    """The ids, as text, of known deals that the export was not seen to have."""
    for rows in held(ledger, collection, ledger.entries(collection)):
        unseen = rows.only(index.unseen(rows.ids))
        yield one_chunk(unseen.table["id"]).drop_null()


def sent_ids(content: Path) -> Iterator[pa.Array]:
    """The ids of what is about to be sent, a :class:`DealsFile`."""
    with pq.ParquetFile(content) as file:
        for batch in file.iter_batches(_ROWS, columns=["id"]):
            yield batch["id"]


def names_sent(ledger: Ledger, entry: Entry) -> list[str]:
    """The ids, as text, of what a sync is about to send."""
    return [str(name) for rows in _sent(ledger, entry) for name in rows.table["id"].to_pylist()]


def name_deals(ledger: Ledger, collection: str, names: Sequence[pa.Array]) -> None:
    """Move deals whose ids are ``names`` from an index of an earlier version to the Parquet file, as they are known."""
    texts = pa.concat_arrays(names)
    ids = hash_ids(texts)
    order = np.argsort(ids)

    def named() -> Iterator[Held]:
        for rows in held(ledger, collection):
            which = among(rows.ids, ids[order]) & rows.table["id"].is_null().to_numpy()
            place = np.where(which, order[np.minimum(np.searchsorted(ids[order], rows.ids), len(ids) - 1)], 0)
            filled = pc.if_else(pa.array(which), texts.take(pa.array(place)), rows.table["id"])
            yield Held(rows.ids, rows.table.set_column(0, SCHEMA.field("id"), filled))

    _write_index(ledger, collection, named(), deals_held(ledger, collection) + len(ids))


def merge_completed(ledger: Ledger, collection: str, fingerprint: str) -> None:
    """Merge a completed upload into the content index, once.

    Raises:
        LockLost: the lock is another's.
    """
    from flows.runtime.step_log import say  # noqa: PLC0415 - prefect, which the data process does without

    ledger.require_lock(collection)
    entry = ledger.read(collection, fingerprint)
    if entry is None or entry.upload.state != "completed" or entry.indexed:
        return
    try:
        merge_into_index(ledger, entry)
    except LedgerDamaged as error:
        say("ledger", set_damaged_aside(ledger, collection, error))
        merge_into_index(ledger, entry)


def set_damaged_aside(ledger: Ledger, collection: str, error: LedgerDamaged) -> str:
    """Go on without a damaged file that a full send makes anew: the content index or the baseline; a sentence for people says so.

    Raises:
        LedgerDamaged: the file is another.
    """
    name = next((name for name in _REBUILT if ledger.where(collection, name) == error.where), None)
    if name is None:
        raise error
    ledger.set_aside(collection, name)
    return (
        f"The ledger's file {error.where} is damaged, and is now _damaged{name} beside it. Every deal is sent again, which makes it anew; "
        "deals that the export lost since the last sync are not known as gone."
    )


def _has_content(ledger: Ledger, entry: Entry) -> bool:
    return any(ledger.has(entry.collection, f"{entry.fingerprint}{ending}") for ending in (CONTENT, OLD_CONTENT))


def merge_into_index(ledger: Ledger, entry: Entry) -> Entry:
    """Count what a completed ``entry`` sent as held by the platform, and earlier syncs that did not end as superseded.

    A crash at any point is fixed by doing it again: what is known is written first, and never holds what is in doubt as sure.
    """
    earlier = [other for other in ledger.entries(entry.collection) if other.order < entry.order]
    as_sent = _ids_as_sent(ledger, [entry])
    own = np.sort(as_sent)
    kept: Iterable[Held] = ()
    if entry.mode != "override":
        kept = (rows.only(~among(rows.ids, own)) for rows in held(ledger, entry.collection, earlier))
    sent = () if entry.deletes else _once(_sent(ledger, entry, as_sent), own)
    count = _write_index(ledger, entry.collection, chain(kept, sent), deals_held(ledger, entry.collection) + len(own))
    if not entry.export.get("limited"):
        save_baseline(ledger, entry.collection, entry.export | ({"vanished": 0} if entry.mode == "override" else {}))
    for other in earlier:
        if other.in_doubt or not other.finished:
            _supersede(ledger, other)
    late = datetime.now(UTC) if entry.upload.doubt else None
    entry = ledger.write(entry.model_copy(update={"indexed": True, "held": count, "late_since": late}))
    _forget_content(ledger, entry)
    return entry


def reconcile_late(ledger: Ledger, collection: str, deadline: float) -> Iterator[str]:
    """Put in doubt what an earlier send without a clear answer undid, should the platform have taken it in late; sentences for people.

    A later send has made good for it; ``deadline`` seconds after that it is taken to be in, or lost for good (A), and is forgotten.
    """
    for entry in ledger.entries(collection):
        if entry.late_since is None:
            continue
        since = min(entry.late_since, datetime.now(UTC))
        if since != entry.late_since:  # a clock that was ahead is not to put it off
            ledger.write(entry.model_copy(update={"late_since": since}))
        due = since + timedelta(seconds=deadline)
        what = f"The {entry.mode} of {entry.upload.intended_at:%Y-%m-%d %H:%M} UTC had a send without a clear answer"
        if due > datetime.now(UTC):
            yield f"{what}, which may be taken in late: the first sync after {due:%Y-%m-%d %H:%M} UTC sends again what that would undo."
            continue
        if count := _doubt_late(ledger, entry):
            yield f"{what}. Had the platform taken it in late, {counted(count, 'deal')} would be as before it: they are sent once more."
        _forget_content(ledger, ledger.write(entry.model_copy(update={"late_since": None})))


def _doubt_late(ledger: Ledger, entry: Entry) -> int:
    """Put those deals of the index in doubt that the send of ``entry``, done now, would change; their number."""
    as_sent = _ids_as_sent(ledger, [entry])
    own = np.sort(as_sent)
    sent, there, count = ContentIndex(_once(_sent(ledger, entry, as_sent), own)), HashPile(), 0
    everything = not _has_content(ledger, entry)

    def doubted() -> Iterator[Held]:
        nonlocal count
        for rows in _stored(ledger, entry.collection, INDEX, _OLD_INDEX):
            there.add(rows.ids)
            found, other = sent.compare(sent.find(rows.ids), _as_old(rows)["content"])
            touched = {"delete": found, "override": ~found | other}.get(entry.mode, other) | everything
            count += int(touched.sum())
            yield rows.in_doubt(touched)
        missing = np.setdiff1d(own, there.gathered())  # none where what made good for it sent them all
        for rows in _once(_sent(ledger, entry, as_sent), own) if len(missing) and not entry.deletes else ():
            new = rows.only(among(rows.ids, missing))
            count += len(new.ids)
            yield new.in_doubt(np.full(len(new.ids), fill_value=True))

    _write_index(ledger, entry.collection, doubted(), deals_held(ledger, entry.collection) + len(own))
    return count


def _write_index(ledger: Ledger, collection: str, deals: Iterable[Held], in_all: int) -> int:
    """Replace the index: deals with a name as Parquet, cells of a sample of ``in_all`` alone; the others as they were. Their number."""
    unnamed: list[bytes] = []
    count = 0
    with tempfile.TemporaryFile() as file:
        with DealsFile(file) as parquet:
            for rows in deals:
                count += len(rows.ids)
                if rows.table["id"].null_count:
                    has_name = rows.table["id"].is_valid().to_numpy()
                    unnamed.append(_as_old(rows.only(~has_name)).tobytes())
                    rows = rows.only(has_name)  # noqa: PLW2901 - the rest of them
                parquet.write(_thinned(rows, in_all))
        file.seek(0)
        ledger.stream(collection, f"{INDEX}{CONTENT}", iter(partial(file.read, PIECE), b""))
    if unnamed:
        ledger.stream(collection, f"{_OLD_INDEX}{OLD_CONTENT}", unnamed)
    else:
        ledger.delete(collection, f"{_OLD_INDEX}{OLD_CONTENT}")
    return count


def _thinned(rows: Held, in_all: int) -> pa.Table:
    cells = pc.if_else(pa.array(sampled(rows.ids, in_all)), rows.table["cells"], pa.scalar(None, pa.binary()))
    return rows.table.set_column(2, SCHEMA.field("cells"), cells)


def _stored(ledger: Ledger, collection: str, name: str, old: str, hashed: Hashes | None = None) -> Iterator[Held]:
    """The deals of a Parquet file, and those of its counterpart of an earlier version that it has not; ``hashed`` are its ids, if known."""
    there, where = HashPile(), ledger.where(collection, f"{name}{CONTENT}")
    with suppress(FileNotFoundError), named_if_damaged(where), ledger.open(collection, f"{name}{CONTENT}") as source:
        require_sound_parquet(source, where)
        parquet = pq.ParquetFile(source)
        same_columns = (parquet.schema_arrow.metadata or {}).get(b"cells") == SCHEMA.metadata[b"cells"]
        for batch in parquet.iter_batches(_ROWS):
            table = pa.Table.from_batches([batch]).cast(SCHEMA)
            if not (same_columns and pc.all(pc.equal(pc.binary_length(table["cells"]), CELLS_BYTES), min_count=0).as_py()):
                table = table.set_column(2, SCHEMA.field("cells"), pa.nulls(len(table), pa.binary()))
            ids = hash_ids(one_chunk(table["id"])) if hashed is None else hashed[len(there) : len(there) + len(table)]
            there.add(ids)
            yield Held(ids, table)
    known: Hashes | None = None
    for piece in ledger.pieces(collection, f"{old}{OLD_CONTENT}"):
        known = np.sort(there.gathered()) if known is None else known
        with named_if_damaged(ledger.where(collection, f"{old}{OLD_CONTENT}")):
            deals = np.frombuffer(piece, DEAL)
        yield _of_old(deals[~among(deals["id"], known)])


def _of_old(deals: Deals) -> Held:
    content = pa.array(deals["content"], mask=deals["content"] == IN_DOUBT)
    cells = pa.nulls(len(deals), pa.binary())
    return Held(deals["id"].copy(), pa.table([pa.nulls(len(deals), pa.string()), content, cells], schema=SCHEMA))


def _as_old(rows: Held) -> Deals:
    deals = np.empty(len(rows.ids), DEAL)
    deals["id"], deals["content"] = rows.ids, pc.fill_null(rows.table["content"], IN_DOUBT).to_numpy()
    return deals


def _sent(ledger: Ledger, entry: Entry, hashed: Hashes | None = None) -> Iterator[Held]:
    return _stored(ledger, entry.collection, entry.fingerprint, entry.fingerprint, hashed)


def _once(sent: Iterable[Held], ids: Hashes) -> Iterator[Held]:
    """Deals that were sent, ``ids`` in order; an id of several rows once and in doubt, since nobody knows which the platform keeps."""
    repeated, seen = np.unique(ids[1:][ids[1:] == ids[:-1]]), np.empty(0, np.uint64)
    for rows in sent:
        which = among(rows.ids, repeated)
        if not which.any():
            yield rows
            continue
        is_first = ~among(rows.ids, seen)
        is_first[np.setdiff1d(np.arange(len(rows.ids)), np.unique(rows.ids, return_index=True)[1])] = False
        yield rows.in_doubt(which).only(~which | is_first)
        seen = np.union1d(seen, rows.ids[which])


def _ids_sent(ledger: Ledger, entries: Sequence[Entry]) -> Hashes:
    """The ids of what syncs sent, in order."""
    return np.sort(_ids_as_sent(ledger, entries))


def _ids_as_sent(ledger: Ledger, entries: Sequence[Entry]) -> Hashes:
    pile = HashPile()
    for entry in entries:
        for rows in _sent(ledger, entry):
            pile.add(rows.ids)
    return pile.gathered()


def deals_held(ledger: Ledger, collection: str) -> int:
    """Number of deals in the index's Parquet file, by its footer."""
    file = f"{INDEX}{CONTENT}"
    with suppress(FileNotFoundError), named_if_damaged(ledger.where(collection, file)), ledger.open(collection, file) as source:
        return int(pq.ParquetFile(source).metadata.num_rows)
    return 0


def _supersede(ledger: Ledger, entry: Entry) -> None:
    """A later sync has sent those rows: nothing of ``entry`` is left to do, and its forecast would be of old data."""
    change: dict[str, Any] = {"wanted": None}
    if entry.in_doubt and not entry.indexed:
        change["late_since"] = datetime.now(UTC)
    if entry.upload.state != "completed":
        change["upload"] = entry.upload.model_copy(update={"state": "superseded"})
    else:
        change["indexed"] = True
    _forget_content(ledger, ledger.write(entry.model_copy(update=change)))


def _forget_content(ledger: Ledger, entry: Entry) -> None:
    """Remove what ``entry`` sent, unless the platform may yet take it in."""
    for ending in () if entry.late_since else (CONTENT, OLD_CONTENT):
        ledger.delete(entry.collection, f"{entry.fingerprint}{ending}")

"""A first look at the whole file: what no single batch can know.

Ids must be unique across the file, and a value is an outlier beside all other values of its stage. The profile streams: it
keeps 8 bytes a row, the ids themselves only in a temporary file, and per stage three sums.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import amounts, one_chunk, text

Hashes = npt.NDArray[np.uint64]

DEVIATIONS = 4.0
"""A value is an outlier more than so many standard deviations of the logarithm from its stage's mean ..."""

FACTOR = 10.0
"""... and at least so many times larger or smaller than it."""

_WORDS = 5
_SHORT_ID = 8 * _WORDS
"""Bytes; ids up to this length, a UUID's among them, are hashed vectorised."""

_ROOM = 1 << 23
"""Hashes that a pile has room for at first: 64 MiB, of which none is taken before it is used."""

_SPREAD = pa.schema([("stage", pa.string()), ("n", pa.int64()), ("sum", pa.float64()), ("squares", pa.float64())])


def quick_hashes(ids: pa.Array) -> Hashes:
    """A 64-bit hash of each text; nulls hash as the empty text."""
    filled = pc.fill_null(ids, "")
    long = pc.greater(pc.binary_length(filled), _SHORT_ID)
    padded = pc.ascii_rpad(pc.if_else(long, "", filled), _SHORT_ID, "\0")
    words = np.frombuffer(padded.buffers()[2], dtype=np.uint64, count=len(padded) * _WORDS, offset=padded.offset * _SHORT_ID)
    hashes = np.zeros(len(padded), dtype=np.uint64)
    for word in words.reshape(-1, _WORDS).T:
        hashes = (hashes ^ word) * np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    for position in pc.indices_nonzero(long).to_pylist():
        hashes[position] = hash(filled[position].as_py()) & 0xFFFFFFFFFFFFFFFF
    return hashes


class HashPile:
    """Hashes being gathered in place: a concatenation of millions would hold all of them twice.

    The room is mapped by itself, takes no memory before it is used, and leaves no hole among other memory as it grows.
    """

    def __init__(self) -> None:
        self._room: Hashes = np.empty(_ROOM, dtype=np.uint64)
        self._count = 0

    def add(self, more: Hashes) -> None:
        """Put ``more`` behind those that are there."""
        end = self._count + len(more)
        if end > len(self._room):
            self._room.resize(end, refcheck=False)
        self._room[self._count : end] = more
        self._count = end

    def __len__(self) -> int:
        return self._count

    def gathered(self) -> Hashes:
        """All of them, in the room itself: to be asked for when no more come."""
        return self._room[: self._count]


@dataclass(frozen=True)
class FileProfile:
    """Facts of the whole file about its rows; made by :meth:`of`.

    ``stages`` are those with a spread of values, ``low`` and ``high`` the amounts beyond which a value is an outlier there.
    """

    rows: int
    stages: pa.Array
    low: pa.Array
    high: pa.Array
    _repeated: Hashes
    _lookalikes: pa.Array

    @classmethod
    def of(cls, batches: Iterable[pa.Table | pa.RecordBatch]) -> FileProfile:
        """Read all batches once; only the columns ``id``, ``stage`` and ``value`` are looked at."""
        rows, hashes = 0, HashPile()
        spreads: list[Future[pa.Table]] = []
        with tempfile.TemporaryFile() as spool, ThreadPoolExecutor(1) as pool:
            with pa.ipc.new_stream(spool, pa.schema([("id", pa.string())])) as writer:
                for batch in batches:
                    if spreads:
                        spreads[-1].result()  # no more than one batch waits in memory
                    spreads.append(pool.submit(_spread, batch.column("stage"), batch.column("value")))
                    ids = one_chunk(text(batch.column("id")))
                    writer.write_batch(pa.record_batch({"id": ids}))
                    rows += len(ids)
                    hashes.add(quick_hashes(ids.drop_null()))
            repeated, lookalikes = _confirm(_repeated(hashes.gathered()), spool)
        stages, low, high = _limits(pa.concat_tables([_SPREAD.empty_table(), *(spread.result() for spread in spreads)]))
        return cls(rows, stages, low, high, repeated, lookalikes)

    @property
    def repeats(self) -> bool:
        """True if any id occurs more than once in the file."""
        return bool(len(self._repeated))

    def duplicated(self, ids: pa.ChunkedArray) -> npt.NDArray[np.int64]:
        """Positions of the ids that occur more than once in the file."""
        if not len(self._repeated) or not len(ids):
            return np.empty(0, dtype=np.int64)
        hashes = quick_hashes(one_chunk(ids))
        nearest = self._repeated[np.minimum(np.searchsorted(self._repeated, hashes), len(self._repeated) - 1)]
        alone = pc.or_(pc.is_null(ids), pc.is_in(ids, value_set=self._lookalikes))
        positions: npt.NDArray[np.int64] = np.flatnonzero((nearest == hashes) & ~alone.to_numpy(zero_copy_only=False))
        return positions


def _repeated(hashes: Hashes) -> Hashes:
    hashes.sort()
    return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def _confirm(repeated: Hashes, spool: IO[bytes]) -> tuple[Hashes, pa.Array]:
    """Split ids that share a hash into those that really occur twice and those that only look alike."""
    suspects: list[pa.Array] = [pa.array([], pa.string())]
    if len(repeated):
        spool.seek(0)
        for batch in pa.ipc.open_stream(spool):
            ids = batch.column("id").drop_null()
            suspects.append(ids.filter(pa.array(np.isin(quick_hashes(ids), repeated))))
    counts = pc.value_counts(pa.concat_arrays(suspects))
    twice = pc.greater(counts.field("counts"), 1)
    ids = counts.field("values")
    return np.unique(quick_hashes(ids.filter(twice))), ids.filter(pc.invert(twice))


def _spread(stage: pa.ChunkedArray, value: pa.ChunkedArray) -> pa.Table:
    """Count, sum and sum of squares of the logarithm of the positive values of each stage."""
    amount = amounts(text(value))
    logs = pc.ln(pc.if_else(pc.greater(amount, 0), amount, None))
    table = pa.table({"stage": text(stage), "log": logs, "square": pc.multiply(logs, logs)})
    grouped = table.group_by("stage", use_threads=False).aggregate([("log", "count"), ("log", "sum"), ("square", "sum")])
    return grouped.select(["stage", "log_count", "log_sum", "square_sum"]).rename_columns(_SPREAD.names).cast(_SPREAD)


def _limits(spreads: pa.Table) -> tuple[pa.Array, pa.Array, pa.Array]:
    merged = spreads.group_by("stage").aggregate([("n", "sum"), ("sum", "sum"), ("squares", "sum")])
    merged = merged.filter(pc.and_(pc.is_valid(merged["stage"]), pc.greater(merged["n_sum"], 0)))
    n, total, squares = (merged[name].to_numpy() for name in ("n_sum", "sum_sum", "squares_sum"))
    mean = total / n
    reach = np.maximum(DEVIATIONS * np.sqrt(np.maximum(squares / n - mean**2, 0)), np.log(FACTOR))
    with np.errstate(over="ignore"):
        low, high = np.exp(mean - reach), np.exp(mean + reach)
    return one_chunk(merged["stage"]), pa.array(low), pa.array(high)

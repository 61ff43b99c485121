"""The content of a deal, by which a changed one is told: a hash of the row as it is sent, without ``lastSyncedAt``.

So the clock never makes a deal look changed. Of a sample of the deals each cell's hash is known too, so that a change can be told by its
columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from expectations.deals_schema import COLUMN_NAMES
from expectations.formats import memory, offsets, one_chunk
from flows.deals.deals_csv import CsvRows

CONTENT_COLUMNS = tuple(name for name in COLUMN_NAMES if name != "lastSyncedAt")

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Deals = npt.NDArray[np.void]
"""Deals as :data:`DEAL`: sixteen bytes each, so that millions of them are compared in little memory."""

DEAL = np.dtype([("id", "<u8"), ("content", "<u8")])
"""64-bit hashes of a deal's id and of its content, which has the id in it: only where both collide is a change missed."""

CELLS_BYTES = 4 * len(CONTENT_COLUMNS)
SAMPLE = 5_000
"""Deals, or up to twice as many, whose cells are hashed one by one: all of a small collection, a share of a large one."""

_CELL = "\x1f"


def hashes(texts: Iterable[memoryview], count: int) -> Hashes:
    """A 64-bit hash of each of ``count`` texts, the same in every process."""
    return np.fromiter(map(xxh3_64_intdigest, texts), np.uint64, count)


def hash_ids(ids: pa.StringArray) -> Hashes:
    """The hashes of ids; a null hashes as the empty text."""
    filled = pc.fill_null(ids, "") if ids.null_count else ids
    at = offsets(filled)
    ends = (at - at[0]).tolist()
    return hashes(map(memory(filled).__getitem__, map(slice, ends, ends[1:])), len(filled))


def deals_of(ids: Hashes, batch: pa.Table, rows: CsvRows) -> Deals:
    """The deals of ``batch``, whose ids have the hashes ``ids``, and which are sent as ``rows``."""
    deals = np.empty(len(ids), DEAL)
    deals["id"], deals["content"] = ids, hashes(rows.contents(batch["lastSyncedAt"]), len(ids))
    return deals


def sampled(ids: Hashes, deals: int) -> Mask:
    """Those of ``ids`` whose cells are hashed in a collection of so many ``deals``."""
    every = 1
    while deals >= 2 * SAMPLE * every:
        every *= 2
    chosen: Mask = (ids & np.uint64(every - 1)) == 0
    return chosen


def cells_of(deals: pa.Table) -> npt.NDArray[np.uint32]:
    """A 32-bit hash of each cell of :data:`CONTENT_COLUMNS`, one row a deal."""
    found = np.empty((deals.num_rows, len(CONTENT_COLUMNS)), "<u4")
    for place, name in enumerate(CONTENT_COLUMNS):
        found[:, place] = hash_ids(one_chunk(deals[name])) & np.uint64(0xFFFFFFFF)
    return found


class Fingerprint:
    """A hash of what would be sent: the same export to the same collection has the same, whatever the clock says."""

    def __init__(self, collection: str, mode: str) -> None:
        self._hash = hashlib.sha256(f"{collection}{_CELL}{mode}{_CELL}".encode())

    def add(self, deals: Deals) -> None:
        """Take in deals; how they are batched makes no difference."""
        self._hash.update(deals.tobytes())

    def hex(self) -> str:
        """The fingerprint so far, 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]

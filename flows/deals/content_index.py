"""What the platform is known to hold: a content hash per id, kept in the ledger and changed only after ``completed``.

The content is the row as it is sent, without ``lastSyncedAt``, so that the clock never makes a deal look changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from xxhash import xxh3_64_intdigest

from expectations.file_profile import HashPile
from expectations.formats import memory, offsets
from expectations.schema import COLUMN_NAMES
from flows.deals.deals_csv import CsvRows
from flows.deals.guard import save_baseline
from flows.ledger.store import CONTENT, PIECE, Entry, Ledger

CONTENT_COLUMNS = tuple(name for name in COLUMN_NAMES if name != "lastSyncedAt")

Hashes = npt.NDArray[np.uint64]
Deals = npt.NDArray[np.void]
"""Deals as :data:`DEAL`: sixteen bytes each, so that millions of them are compared in little memory."""

DEAL = np.dtype([("id", "<u8"), ("content", "<u8")])
"""64-bit hashes of a deal's id and of its content, which has the id in it: only where both collide is a change missed."""

_NONE: Hashes = np.empty(0, np.uint64)

_INDEX = f"_known{CONTENT}"
_CELL = "\x1f"


def hashes(texts: Iterable[memoryview], count: int) -> Hashes:
    """A 64-bit hash of each of ``count`` texts, the same in every process."""
    return np.fromiter(map(xxh3_64_intdigest, texts), np.uint64, count)


def hash_ids(ids: pa.StringArray) -> Hashes:
    """The hashes of ids; a null hashes as the empty text."""
    filled = pc.fill_null(ids, "")
    at = offsets(filled)
    ends = (at - at[0]).tolist()
    return hashes(map(memory(filled).__getitem__, map(slice, ends, ends[1:])), len(filled))


def deals_of(ids: Hashes, batch: pa.Table, rows: CsvRows) -> Deals:
    """The deals of ``batch``, whose ids have the hashes ``ids``, and which are sent as ``rows``."""
    deals = np.empty(len(ids), DEAL)
    deals["id"], deals["content"] = ids, hashes(rows.contents(batch["lastSyncedAt"]), len(ids))
    return deals


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


class ContentIndex:
    """The deals that a collection is known to hold."""

    def __init__(self, ids: Hashes = _NONE, contents: Hashes = _NONE, *, whole: bool = True) -> None:
        """Take the ids, in order, and the content of each; ``whole``: the collection surely holds no other deals."""
        self._ids, self._contents, self.whole = ids, contents, whole
        self._seen = np.zeros(len(ids), dtype=bool)

    @classmethod
    def load(cls, ledger: Ledger, collection: str) -> ContentIndex:
        """What the ledger has; nothing where no sync has completed."""
        id_pile, content_pile = HashPile(), HashPile()
        for piece in ledger.pieces(collection, _INDEX):
            deals = np.frombuffer(piece, DEAL)
            id_pile.add(deals["id"])
            content_pile.add(deals["content"])
        ids, contents = id_pile.gathered(), content_pile.gathered()
        order = np.argsort(ids)
        for each in (ids, contents):  # in turn and in place: one copy at a time
            each[:] = each[order]
        return cls(ids, contents)

    def __len__(self) -> int:
        return len(self._ids)

    def without_doubtful(self, ledger: Ledger, entries: Sequence[Entry]) -> ContentIndex:
        """The same less what those of ``entries`` that are in doubt may have changed: an override, everything."""
        doubtful = [entry for entry in entries if entry.in_doubt]
        if any(entry.mode == "override" for entry in doubtful):
            return ContentIndex(whole=False)
        if not doubtful:
            return self
        kept = ~_among(self._ids, _ids_sent(ledger, doubtful))
        return ContentIndex(self._ids[kept], self._contents[kept], whole=False)

    def changed(self, deals: Deals) -> npt.NDArray[np.bool_]:
        """Which of ``deals`` are new or differ from what is known."""
        place, found = self._find(deals["id"])
        found[found] = self._contents[place[found]] == deals["content"][found]
        return ~found

    def see(self, ids: Hashes) -> None:
        """Note that the export has deals of these ids."""
        place, found = self._find(ids)
        self._seen[place[found]] = True

    def vanished(self) -> int:
        """How many known deals the export was not seen to have."""
        return len(self) - int(self._seen.sum())

    def _find(self, ids: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
        if not len(self):
            return np.zeros(len(ids), np.intp), np.zeros(len(ids), np.bool_)
        place = np.minimum(np.searchsorted(self._ids, ids), len(self) - 1)
        return place, self._ids[place] == ids


def keep_content(ledger: Ledger, collection: str, fingerprint: str, content: Path) -> None:
    """Put what a sync is about to send, a file of :data:`DEAL`, into the ledger before it is sent."""
    with content.open("rb") as source:
        ledger.stream(collection, f"{fingerprint}{CONTENT}", iter(partial(source.read, PIECE), b""))


def merge_into_index(ledger: Ledger, entry: Entry) -> Entry:
    """Count what a completed ``entry`` sent as held by the platform, and earlier syncs that did not end as superseded.

    A crash at any point is fixed by doing it again: what is known is written first, and never holds what is in doubt.
    """
    earlier = [other for other in ledger.entries(entry.collection) if other.created_at < entry.created_at]
    sent = ledger.pieces(entry.collection, _content(entry))
    ledger.stream(entry.collection, _INDEX, chain(_kept(ledger, entry, earlier), sent))
    if not entry.export.get("limited"):
        save_baseline(ledger, entry.collection, entry.export | ({"vanished": 0} if entry.mode == "override" else {}))
    for other in earlier:
        if other.in_doubt or not other.finished:
            _supersede(ledger, other)
    entry = ledger.write(entry.model_copy(update={"indexed": True}))
    ledger.delete(entry.collection, _content(entry))
    return entry


def _kept(ledger: Ledger, entry: Entry, earlier: Sequence[Entry]) -> Iterator[bytes]:
    """What of the known deals ``entry`` has left as it was, and no ``earlier`` sync that is in doubt has touched."""
    doubtful = [other for other in earlier if other.in_doubt]
    if "override" in (entry.mode, *(other.mode for other in doubtful)):
        return
    gone: Hashes | None = None
    for piece in ledger.pieces(entry.collection, _INDEX):
        if gone is None:
            gone = _ids_sent(ledger, [entry, *doubtful])
        deals = np.frombuffer(piece, DEAL)
        yield deals[~_among(deals["id"], gone)].tobytes()


def _ids_sent(ledger: Ledger, entries: Sequence[Entry]) -> Hashes:
    """The ids of what syncs sent, in order."""
    pile = HashPile()
    for entry in entries:
        for piece in ledger.pieces(entry.collection, _content(entry)):
            pile.add(np.frombuffer(piece, DEAL)["id"])
    ids = pile.gathered()
    ids.sort()
    return ids


def _among(ids: Hashes, others: Hashes) -> npt.NDArray[np.bool_]:
    """Which of ``ids`` are among ``others``, which are in order."""
    if not len(others):
        return np.zeros(len(ids), np.bool_)
    found: npt.NDArray[np.bool_] = others[np.minimum(np.searchsorted(others, ids), len(others) - 1)] == ids
    return found


def _supersede(ledger: Ledger, entry: Entry) -> None:
    """A later sync has sent those rows: nothing of ``entry`` is left to do, and its forecast would be of old data."""
    change: dict[str, Any] = {"wanted": None}
    if entry.upload.state != "completed":
        change["upload"] = entry.upload.model_copy(update={"state": "superseded"})
    else:
        change["indexed"] = True
    ledger.write(entry.model_copy(update=change))
    ledger.delete(entry.collection, _content(entry))


def _content(entry: Entry) -> str:
    return f"{entry.fingerprint}{CONTENT}"

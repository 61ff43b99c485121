"""What the platform is known to hold: a content hash per id, kept in the ledger and changed only after ``completed``.

The content is the row as it is sent, without ``lastSyncedAt``, so that the clock never makes a deal look changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations.schema import COLUMN_NAMES
from flows.guard import trust
from flows.ledger import Entry, Ledger

CONTENT_COLUMNS = tuple(name for name in COLUMN_NAMES if name != "lastSyncedAt")
KNOWN_SCHEMA = pa.schema([("id", pa.string()), ("content", pa.uint64())])

_KNOWN = "_known.arrow"
_CELL, _NULL, _ROW = "\x1f", "\x00", "\x1e"


def canonical_text(batch: pa.Table) -> pa.Array:
    """One string per row that two rows share only where their content is the same."""
    columns = [batch[name].combine_chunks() for name in CONTENT_COLUMNS]
    text = pc.binary_join_element_wise(*columns, _ROW, _CELL, null_handling="replace", null_replacement=_NULL)
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


def content_of(batch: pa.Table, text: pa.Array) -> pa.Table:
    """Ids with a 64-bit hash of ``text``, their canonical text."""
    hashes = pd.util.hash_array(np.asarray(text.to_numpy(zero_copy_only=False), dtype=object), categorize=False)
    return pa.table([batch["id"].combine_chunks(), pa.array(hashes, pa.uint64())], schema=KNOWN_SCHEMA)


class Fingerprint:
    """A hash of what would be sent: the same export to the same collection has the same, whatever the clock says."""

    def __init__(self, collection: str, mode: str) -> None:
        self._hash = hashlib.sha256(f"{collection}{_CELL}{mode}{_ROW}".encode())

    def add(self, text: pa.Array) -> None:
        """Take in rows by their canonical text; how they are batched makes no difference."""
        offsets = np.frombuffer(text.buffers()[1], dtype=np.int32)[text.offset : text.offset + len(text) + 1]
        if len(text):
            self._hash.update(text.buffers()[2][int(offsets[0]) : int(offsets[-1])])

    def hex(self) -> str:
        """The fingerprint so far, 32 hexadecimal digits."""
        return self._hash.hexdigest()[:32]


class Known:
    """The deals that a collection is known to hold, as (id, content)."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @classmethod
    def load(cls, ledger: Ledger, collection: str) -> Known:
        """What the ledger has; nothing where no sync has completed."""
        return cls(_read(ledger, collection, _KNOWN))

    def sure(self, ledger: Ledger, entries: Sequence[Entry]) -> Known:
        """The same less what those of ``entries`` that are in doubt may have changed: an override, everything."""
        known, doubtful = self, [entry for entry in entries if entry.in_doubt]
        if any(entry.mode == "override" for entry in doubtful):
            return Known(self.table.slice(0, 0))
        for entry in doubtful:
            known = known.without(_read(ledger, entry.collection, _content(entry))["id"])
        return known

    def without(self, ids: pa.ChunkedArray) -> Known:
        """The same less ``ids``."""
        return self if not len(ids) else Known(self.table.filter(pc.invert(pc.is_in(self.table["id"], value_set=ids.combine_chunks()))))

    def changed(self, content: pa.Table) -> pa.BooleanArray:
        """Which rows of ``content`` are new or differ from what is known."""
        if not self.table.num_rows:
            return pa.array(np.ones(content.num_rows, dtype=bool))
        place = pc.index_in(content["id"], value_set=self.table["id"].combine_chunks())
        same = pc.equal(self.table["content"].combine_chunks().take(place.combine_chunks()), content["content"].combine_chunks())
        return pc.invert(pc.fill_null(same, False))

    def vanished(self, ids: pa.ChunkedArray) -> int:
        """How many known ids are not among ``ids``."""
        return int(self.table.num_rows) - int(pc.sum(pc.is_in(self.table["id"], value_set=ids.combine_chunks())).as_py() or 0)


def write_content(content: pa.Table, path: Path) -> None:
    """Write what a sync is to send as an Arrow file."""
    path.write_bytes(_bytes(content))


def keep_content(ledger: Ledger, collection: str, fingerprint: str, content: Path) -> None:
    """Put what a sync is about to send into the ledger, before it is sent."""
    ledger.put(collection, f"{fingerprint}.arrow", content.read_bytes())


def absorb(ledger: Ledger, entry: Entry) -> Entry:
    """Count what a completed ``entry`` sent as held by the platform, and earlier syncs that did not end as superseded.

    A crash at any point is mended by doing it again: what is known is written first, and never holds what is in doubt.
    """
    earlier = [other for other in ledger.entries(entry.collection) if other.created_at < entry.created_at]
    sent = _read(ledger, entry.collection, _content(entry))
    if entry.mode == "append":
        kept = Known.load(ledger, entry.collection).sure(ledger, earlier).without(sent["id"]).table
        sent = pa.concat_tables([kept, sent])
    ledger.put(entry.collection, _KNOWN, _bytes(sent))
    if not entry.export.get("limited"):
        trust(ledger, entry.collection, entry.export)
    for other in earlier:
        if other.in_doubt or not other.finished:
            _supersede(ledger, other)
    entry = ledger.write(entry.model_copy(update={"absorbed": True}))
    ledger.delete(entry.collection, _content(entry))
    return entry


def _supersede(ledger: Ledger, entry: Entry) -> None:
    """A later sync has sent those rows: nothing of ``entry`` is left to do, and its forecast would be of old data."""
    change: dict[str, Any] = {"wanted": None}
    if entry.upload.state != "completed":
        change["upload"] = entry.upload.model_copy(update={"state": "superseded"})
    else:
        change["absorbed"] = True
    ledger.write(entry.model_copy(update=change))
    ledger.delete(entry.collection, _content(entry))


def _content(entry: Entry) -> str:
    return f"{entry.fingerprint}.arrow"


def _read(ledger: Ledger, collection: str, name: str) -> pa.Table:
    data = ledger.get(collection, name)
    return KNOWN_SCHEMA.empty_table() if data is None else pa.ipc.open_file(pa.BufferReader(data)).read_all()


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, KNOWN_SCHEMA) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())

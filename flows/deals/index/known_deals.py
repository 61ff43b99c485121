"""The deals that the platform holds or may hold: the content index, and what syncs in doubt may have made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.file_profile import HashPile
from flows.deals.index.content_hash import Hashes, hash_ids
from flows.deals.index.content_index import ContentIndex, Held, among
from flows.deals.index.index_file import INDEX, OLD_INDEX, SCHEMA, read_footer, stored, write_index
from flows.errors import LedgerDamaged
from flows.ledger.store import CONTENT, Entry, Ledger


def load_index(ledger: Ledger, collection: str) -> ContentIndex:
    """The deals that the platform holds or may hold by the ledger; none where no sync has completed."""
    return ContentIndex(held(ledger, collection, ledger.entries(collection)))


def held(ledger: Ledger, collection: str, entries: Sequence[Entry] = ()) -> Iterator[Held]:
    """The index; what those of ``entries`` that are in doubt may have changed is in doubt, and what they may have added stands below it.

    An override in doubt puts everything in doubt, and so does what nothing says the deals of; a delete only what it named, which it
    may have left.

    Raises:
        LedgerDamaged: a file of them is, or the index is older than the newest sync of ``entries`` that was in it: a run that was paused
            just as it replaced the index did so over a newer one.
    """
    newest = read_footer(ledger, collection)[1]
    if newest is not None and newest < max((entry.number for entry in entries if entry.indexed), default=0):
        raise LedgerDamaged(ledger.where(collection, f"{INDEX}{CONTENT}"))
    doubtful = [entry for entry in entries if entry.in_doubt]
    index = stored(ledger, collection, INDEX, OLD_INDEX)
    if not doubtful:
        yield from index
        return
    everything = any(entry.mode == "override" or not ledger.has_content(entry) for entry in doubtful)
    touched, there = ids_sent(ledger, doubtful), HashPile()
    for rows in index:
        there.add(rows.ids)
        yield rows.in_doubt(np.full(len(rows.ids), fill_value=True) if everything else among(rows.ids, touched))
    known = np.sort(there.gathered())
    for entry in doubtful:
        if not entry.deletes:
            own = ids_sent(ledger, [entry])
            for rows in once(deals_sent(ledger, entry), own):
                new = rows.only(~among(rows.ids, known))
                yield new.in_doubt(np.full(len(new.ids), fill_value=True))
            known = np.union1d(known, own)


def names_sent(ledger: Ledger, entry: Entry) -> list[str]:
    """The ids, as text, of what a sync is about to send."""
    return [str(name) for rows in deals_sent(ledger, entry) for name in rows.table["id"].to_pylist()]


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

    write_index(ledger, collection, named(), len(ids))


def deals_sent(ledger: Ledger, entry: Entry, hashed: Hashes | None = None) -> Iterator[Held]:
    """The deals that a sync sent, or is about to; ``hashed`` are the hashes of their ids, if known."""
    return stored(ledger, entry.collection, entry.fingerprint, entry.fingerprint, hashed)


def once(sent: Iterable[Held], ids: Hashes) -> Iterator[Held]:
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


def ids_sent(ledger: Ledger, entries: Sequence[Entry]) -> Hashes:
    """The ids of what syncs sent, in order."""
    return np.sort(ids_as_sent(ledger, entries))


def ids_as_sent(ledger: Ledger, entries: Sequence[Entry]) -> Hashes:
    """The hashes of the ids of what syncs sent, in the order of the files."""
    pile = HashPile()
    for entry in entries:
        for rows in deals_sent(ledger, entry):
            pile.add(rows.ids)
    return pile.gathered()

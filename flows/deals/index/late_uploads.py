"""Uploads without a clear answer, which the platform may take in late, over what a later sync sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from expectations.file_profile import HashPile
from flows.deals.index.content_index import ContentIndex, Held, among
from flows.deals.index.index_file import INDEX, OLD_INDEX, as_old, stored, write_index
from flows.deals.index.known_deals import deals_sent, ids_as_sent, once
from flows.deals.index.merge_completed import forget_content
from flows.ledger.store import Entry, Ledger
from flows.options import counted


def reconcile_late(ledger: Ledger, collection: str, deadline: float) -> Iterator[str]:
    """Put in doubt the deals that an earlier send without a clear answer would undo if the platform takes it in late; yields sentences.

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
        forget_content(ledger, ledger.write(entry.model_copy(update={"late_since": None})))


def _doubt_late(ledger: Ledger, entry: Entry) -> int:
    """Put those deals of the index in doubt that the send of ``entry``, done now, would change; their number."""
    as_sent = ids_as_sent(ledger, [entry])
    own = np.sort(as_sent)
    sent, there, count = ContentIndex(once(deals_sent(ledger, entry, as_sent), own)), HashPile(), 0
    everything = not ledger.has_content(entry)

    def doubted() -> Iterator[Held]:
        nonlocal count
        for rows in stored(ledger, entry.collection, INDEX, OLD_INDEX):
            there.add(rows.ids)
            found, other = sent.compare(sent.find(rows.ids), as_old(rows)["content"])
            touched = {"delete": found, "override": ~found | other}.get(entry.mode, other) | everything
            count += int(touched.sum())
            yield rows.in_doubt(touched)
        missing = np.setdiff1d(own, there.gathered())  # none where what made good for it sent them all
        for rows in once(deals_sent(ledger, entry, as_sent), own) if len(missing) and not entry.deletes else ():
            new = rows.only(among(rows.ids, missing))
            count += len(new.ids)
            yield new.in_doubt(np.full(len(new.ids), fill_value=True))

    write_index(ledger, entry.collection, doubted(), len(own))
    return count

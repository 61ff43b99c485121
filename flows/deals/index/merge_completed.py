"""A completed upload into the content index, which changes only after ``completed``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from flows.deals.index.content_index import Held, among
from flows.deals.index.damaged_files import set_damaged_aside
from flows.deals.index.index_file import write_index
from flows.deals.index.known_deals import deals_sent, held, ids_as_sent, once
from flows.errors import LedgerDamaged
from flows.ledger.export_baseline import save_baseline
from flows.ledger.store import CONTENT, OLD_CONTENT, Entry, Ledger


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


def merge_into_index(ledger: Ledger, entry: Entry) -> Entry:
    """Count what a completed ``entry`` sent as held by the platform, and earlier syncs that did not end as superseded.

    A crash at any point is fixed by doing it again: what is known is written first, and never holds what is in doubt as sure.
    """
    earlier = [other for other in ledger.entries(entry.collection) if other.order < entry.order]
    as_sent = ids_as_sent(ledger, [entry])
    own = np.sort(as_sent)
    kept: Iterable[Held] = ()
    if entry.mode != "override":
        kept = (rows.only(~among(rows.ids, own)) for rows in held(ledger, entry.collection, earlier))
    sent = () if entry.deletes else once(deals_sent(ledger, entry, as_sent), own)
    count = write_index(ledger, entry.collection, chain(kept, sent), len(own), entry.number)
    if not entry.export.get("limited"):
        save_baseline(ledger, entry.collection, entry.export | ({"vanished": 0} if entry.mode == "override" else {}))
    for other in earlier:
        if other.in_doubt or not other.finished:
            _supersede(ledger, other)
    late = datetime.now(UTC) if entry.upload.doubt else None
    entry = ledger.write(entry.model_copy(update={"indexed": True, "held": count, "late_since": late}))
    forget_content(ledger, entry)
    return entry


def _supersede(ledger: Ledger, entry: Entry) -> None:
    """A later sync has sent those rows: nothing of ``entry`` is left to do, and its forecast would be of old data."""
    change: dict[str, Any] = {"wanted": None}
    if entry.in_doubt and not entry.indexed:
        change["late_since"] = datetime.now(UTC)
    if entry.upload.state != "completed":
        change["upload"] = entry.upload.model_copy(update={"state": "superseded"})
    else:
        change["indexed"] = True
    forget_content(ledger, ledger.write(entry.model_copy(update=change)))


def forget_content(ledger: Ledger, entry: Entry) -> None:
    """Remove what ``entry`` sent, unless the platform may yet take it in."""
    for ending in () if entry.late_since else (CONTENT, OLD_CONTENT):
        ledger.delete(entry.collection, f"{entry.fingerprint}{ending}")

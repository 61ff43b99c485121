"""Damaged files of the ledger that are made anew: the content index and the baseline."""

from __future__ import annotations

from flows.deals.index.index_file import INDEX, OLD_INDEX
from flows.errors import LedgerDamaged
from flows.ledger.export_baseline import BASELINE
from flows.ledger.store import CONTENT, OLD_CONTENT, Ledger

_REBUILT = (BASELINE, f"{INDEX}{CONTENT}", f"{OLD_INDEX}{OLD_CONTENT}")


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

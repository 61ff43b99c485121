"""The baseline: the last trusted export of a collection and how it was read, which the next one is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flows.ledger.store import Ledger

BASELINE = "_export.json"
"""The file that remembers it."""

MEASURES = ("deals", "value", "newest_update", "vanished")
"""The measures that the guard compares: deals, their value, the newest change, known deals that the export had no longer."""

_SOURCE = ("path", "sha256", "modified", "read_at", "quarantined", "reading", "said", "newest_deal", "won_by_month")


def save_baseline(ledger: Ledger, collection: str, stats: Mapping[str, Any]) -> None:
    """Make an export, its measures and where it is from, the one that the next is compared with."""
    ledger.put_json(collection, BASELINE, {name: stats.get(name) for name in (*MEASURES, *_SOURCE)})


def load_baseline(ledger: Ledger, collection: str) -> dict[str, Any] | None:
    """The export of the last completed sync, or None before the first. Raises LedgerDamaged where its file is."""
    return ledger.json(collection, BASELINE)


def load_won(ledger: Ledger, collection: str) -> dict[str, float]:
    """Return the revenue of won deals by month of closing, ``YYYY-MM``, by the last trusted export: a part of one knows but a part.

    Raises:
        LedgerDamaged: its file is not as it was written.
    """
    baseline = load_baseline(ledger, collection) or {}
    if baseline.get("won_by_month") is not None:
        return dict(baseline["won_by_month"])
    last = ledger.last_completed(collection)  # the first export was a part of one, or an earlier version remembered it
    return dict(last.export.get("won_by_month", {})) if last else {}

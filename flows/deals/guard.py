"""The guard beside the gate: is the export as a whole to be trusted, next to what the last completed sync sent?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flows.errors import StoppedByGuard
from flows.ledger.store import Ledger

_BASELINE = "_export.json"

SHRINK_LIMIT = 0.2
"""The share by which deals, value or known ids may fall before the guard asks."""


@dataclass(frozen=True, slots=True)
class ExportStats:
    """The export as a whole, as the ledger remembers it."""

    deals: int
    value: float
    newest_update: str | None
    vanished: int
    known: int
    won_by_month: dict[str, float] = field(default_factory=dict)
    """Value of the won deals by month of closing, ``YYYY-MM``."""

    def as_baseline(self) -> dict[str, Any]:
        """What the next sync's guard compares with."""
        return {"deals": self.deals, "value": self.value, "newest_update": self.newest_update, "vanished": self.vanished}


def save_baseline(ledger: Ledger, collection: str, stats: Mapping[str, Any]) -> None:
    """Make an export, as :meth:`ExportStats.as_baseline`, the one that the next is compared with."""
    remembered = {name: stats.get(name) for name in ("deals", "value", "newest_update", "vanished")}
    ledger.put(collection, _BASELINE, json.dumps(remembered).encode())


def load_baseline(ledger: Ledger, collection: str) -> dict[str, Any] | None:
    """The export of the last completed sync, or None before the first."""
    data = ledger.get(collection, _BASELINE)
    return None if data is None else dict(json.loads(data))


def guard(now: ExportStats, before: Mapping[str, Any] | None) -> None:
    """Compare an export with the one of the last completed sync of its collection, ``before``.

    Raises:
        StoppedByGuard: it is empty, older, or smaller by more than :data:`SHRINK_LIMIT`; the message has the numbers.
    """
    doubts = _doubts(now, before)
    if doubts:
        raise StoppedByGuard(
            f"The guard stopped the sync, nothing was sent: {'; '.join(doubts)}. If the export is right, run it again with --accept-shrink."
        )


def _doubts(now: ExportStats, before: Mapping[str, Any] | None) -> list[str]:
    if not now.deals:
        return ["the export holds no deals"]
    if before is None:
        return []
    doubts = []
    for what, was, is_now in (("deals", before.get("deals") or 0, now.deals), ("total value", before.get("value") or 0.0, now.value)):
        if was > 0 and is_now < was * (1 - SHRINK_LIMIT):
            doubts.append(f"{what} fell from {was:,.0f} to {is_now:,.0f} ({is_now / was - 1:+.0%})")
    gone = now.vanished - (before.get("vanished") or 0)
    if gone > now.known * SHRINK_LIMIT:
        doubts.append(f"{gone:,} of {now.known:,} deals sent before are not in it")
    was_newest = before.get("newest_update")
    if was_newest and now.newest_update and now.newest_update < was_newest:
        doubts.append(f"its newest change is of {now.newest_update}, older than the last export's {was_newest}")
    return doubts

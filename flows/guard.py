"""The guard beside the gate: is the export as a whole to be trusted, next to what the last completed sync sent?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flows.errors import StoppedByGuard
from flows.ledger import Entry

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

    def remembered(self) -> dict[str, Any]:
        """What the next sync's guard compares with."""
        return {"deals": self.deals, "value": self.value, "newest_update": self.newest_update}


def guard(now: ExportStats, last: Entry | None) -> None:
    """Compare an export with that of the ``last`` completed sync of its collection.

    Raises:
        StoppedByGuard: it is empty, older, or smaller by more than :data:`SHRINK_LIMIT`; the message has the numbers.
    """
    doubts = list(_doubts(now, last))
    if doubts:
        raise StoppedByGuard(
            f"The guard stopped the sync, nothing was sent: {'; '.join(doubts)}. If the export is right, run it again with --accept-shrink."
        )


def _doubts(now: ExportStats, last: Entry | None) -> list[str]:
    if not now.deals:
        return ["the export holds no deals"]
    if last is None:
        return []
    before = last.export
    doubts = []
    for what, was, is_now in (("deals", before.get("deals", 0), now.deals), ("total value", before.get("value", 0.0), now.value)):
        if was > 0 and is_now < was * (1 - SHRINK_LIMIT):
            doubts.append(f"{what} fell from {was:,.0f} to {is_now:,.0f} ({is_now / was - 1:+.0%})")
    if now.known and now.vanished > now.known * SHRINK_LIMIT:
        doubts.append(f"{now.vanished:,} of {now.known:,} deals sent before are not in it")
    was_newest = before.get("newest_update")
    if was_newest and now.newest_update and now.newest_update < was_newest:
        doubts.append(f"its newest change is of {now.newest_update}, older than the last export's {was_newest}")
    return doubts

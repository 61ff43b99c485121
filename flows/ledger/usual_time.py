"""The platform's usual time, from the ledger's earlier syncs."""

from __future__ import annotations

from collections.abc import Iterable

from flows.ledger.store import Sending

_LATEST = 5


def usual_seconds(sent: Iterable[Sending | None]) -> float | None:
    """Lower median of the seconds that the last few of ``sent``, oldest first, took the platform; None without history."""
    took = [seconds for sending in sent if sending is not None and (seconds := sending.seconds()) is not None]
    latest = sorted(took[-_LATEST:])
    return latest[(len(latest) - 1) // 2] if latest else None

"""The life of an upload and of its forecast, one type a step; the one between them is in `forecast_gate`.

The records reach Prefect's logs and survive the process, so they hold ids, times and paths, and no row's content.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from flows.delivery.backoff import seconds_since
from flows.errors import UnexpectedAnswer
from flows.ledger.store import Entry, Ledger
from flows.ledger.usual_time import usual_seconds
from flows.nostradamus import RequestMode


@dataclass(frozen=True, slots=True)
class AcceptedAppend:
    """An upload that the platform accepted with 202; it is not validated yet."""

    collection: str
    fingerprint: str
    request_id: str
    accepted_at: datetime
    usual: float | None = None
    """Seconds that the platform usually takes for this collection's uploads; None without history."""
    mode: RequestMode = "append"
    begun: float = field(default_factory=time.monotonic, repr=False, compare=False)
    """The moment at which this run began to wait for it, on a clock that nobody sets."""

    @classmethod
    def of(cls, entry: Entry, ledger: Ledger) -> AcceptedAppend:
        """The accepted request that ``entry`` remembers.

        Raises:
            UnexpectedAnswer: the entry has none.
        """
        if entry.upload.id is None or entry.upload.accepted_at is None:
            raise UnexpectedAnswer(f"The ledger has no request id for sync {entry.fingerprint} of {entry.collection}.")
        usual = usual_seconds(other.upload for other in ledger.entries(entry.collection))
        return cls(entry.collection, entry.fingerprint, entry.upload.id, _not_ahead(entry.upload.accepted_at), usual, entry.mode)

    @property
    def name(self) -> str:
        """The request as messages name it."""
        return f"{self.mode} request {self.request_id}"

    @property
    def waited(self) -> float:
        """Seconds since its acceptance."""
        return _seconds_waited(self.accepted_at, self.begun)


@dataclass(frozen=True, slots=True)
class InvokedForecast:
    """A forecast that the platform accepted to make."""

    collection: str
    fingerprint: str
    invocation_id: str
    accepted_at: datetime
    usual: float | None = None
    """Seconds that the platform usually takes for this collection's forecasts; None without history."""
    begun: float = field(default_factory=time.monotonic, repr=False, compare=False)
    """As an upload's."""

    @classmethod
    def of(cls, entry: Entry, ledger: Ledger) -> InvokedForecast:
        """The invocation that ``entry`` remembers.

        Raises:
            UnexpectedAnswer: the entry has none.
        """
        if entry.forecast is None or entry.forecast.id is None or entry.forecast.accepted_at is None:
            raise UnexpectedAnswer(f"The ledger has no invocation id for sync {entry.fingerprint} of {entry.collection}.")
        usual = usual_seconds(other.forecast for other in ledger.entries(entry.collection))
        return cls(entry.collection, entry.fingerprint, entry.forecast.id, _not_ahead(entry.forecast.accepted_at), usual)

    @property
    def name(self) -> str:
        """The invocation as messages name it."""
        return f"invocation {self.invocation_id}"

    @property
    def waited(self) -> float:
        """Seconds since its acceptance."""
        return _seconds_waited(self.accepted_at, self.begun)


@dataclass(frozen=True, slots=True)
class CompletedForecast:
    """A forecast that is ready to be downloaded."""

    invoked: InvokedForecast
    completed_at: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """A forecast downloaded: its files by format, and its predictions as (month ``YYYY-MM-DD``, revenue).

    ``unread`` says why there are no predictions; it is empty where there are.
    """

    invocation_id: str
    folder: Path
    files: dict[str, Path]
    months: tuple[tuple[str, float], ...]
    unread: str = ""
    notes: tuple[str, ...] = ()
    """Remarks on its months: past ones, holes."""


def _not_ahead(accepted_at: datetime) -> datetime:
    """The moment from which a deadline counts: now, where the clock was ahead at acceptance, else it would not pass for as long."""
    return min(accepted_at, datetime.now(UTC))


def _seconds_waited(accepted_at: datetime, begun: float) -> float:
    """Seconds since an acceptance; never fewer than since this run began to wait, though the clock be set back meanwhile."""
    return max(seconds_since(accepted_at), time.monotonic() - begun)

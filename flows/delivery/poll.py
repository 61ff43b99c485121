"""One look at a request that was accepted, and what is said of one that is not done; Prefect does the waiting."""

from __future__ import annotations

from typing import Any

from prefect.runtime import task_run

from flows.deals.records import AcceptedAppend, InvokedForecast
from flows.delivery.backoff import honor_retry_after, is_too_soon, overdue, seconds_since, still_processing
from flows.errors import Interrupted, NotFound, PlatformUnavailable, StillProcessing, Transient, UnexpectedAnswer
from flows.ledger.store import Entry
from flows.runtime.cancellation import is_interrupted
from flows.runtime.step_log import say
from flows.settings import Settings
from flows.ui.artifacts import show_progress
from flows.ui.final_states import name_run

_GRACE = 60.0
"""Seconds after 202 in which a 404 only means that the platform's parts do not agree yet (A)."""


def look(sent: AcceptedAppend | InvokedForecast, entry: Entry, settings: Settings) -> Any:
    """One GET of where an upload or an invocation stands.

    Raises:
        Interrupted: the run is being interrupted.
    """
    if is_interrupted():
        raise Interrupted(
            f"The run was ended while {_name_of(sent)} was at work. Go on with `dealcast resume --collection {sent.collection}`."
        )
    try:
        with settings.platform() as platform:
            if isinstance(sent, AcceptedAppend):
                return platform.upload_status(sent.collection, sent.request_id, mode=entry.mode)
            return platform.invocation(sent.invocation_id)
    except NotFound as error:
        if seconds_since(sent.accepted_at) < _GRACE:
            raise StillProcessing(f"{error} It was accepted a moment ago.") from error
        raise
    except PlatformUnavailable as error:
        if seconds_since(sent.accepted_at) > settings.deadline:
            raise overdue(_name_of(sent), f"out of sight ({error})", sent.accepted_at, settings, sent.collection) from error
        if isinstance(error, Transient):
            honor_retry_after(error, settings.deadline - seconds_since(sent.accepted_at))
        raise


def _name_of(sent: AcceptedAppend | InvokedForecast) -> str:
    return f"append request {sent.request_id}" if isinstance(sent, AcceptedAppend) else f"invocation {sent.invocation_id}"


def _show_waiting(sent: AcceptedAppend | InvokedForecast, status: str, usual: float | None, settings: Settings) -> None:
    """The platform's word and how long it has been, as the run's progress and name; the share is that of the usual time."""
    first, last = (50, 70) if isinstance(sent, AcceptedAppend) else (75, 95)
    waited = seconds_since(sent.accepted_at)
    share = min(waited / (usual or settings.deadline), 1.0)
    often = f", usually {usual:.0f} s" if usual else ""
    if show_progress(sent.collection, first + share * (last - first), f"{_name_of(sent)}: {status}, {waited:.0f} s so far{often}"):
        name_run(sent.collection, f"waiting: {status} {f'{waited / 60:.0f} min' if waited >= 90 else f'{waited:.0f} s'}")


def wait_for_first_look(sent: AcceptedAppend | InvokedForecast, usual: float | None, settings: Settings) -> None:
    """Leave the first attempt to Prefect's first delay, where it comes too soon to be worth a request.

    Raises:
        StillProcessing: too soon, as the ``usual`` number of seconds says.
    """
    if task_run.run_count == 1 and is_too_soon(sent.accepted_at, settings, usual):
        raise _still(sent, "accepted", usual, settings)


def unfinished(sent: AcceptedAppend | InvokedForecast, status: str, usual: float | None, settings: Settings) -> Exception:
    """What to raise where the platform's word is ``status``: it is at work, it is overdue, or the word is none of the contract's."""
    if status not in ("queued", "in_progress"):
        return UnexpectedAnswer(
            f"{_name_of(sent)} is {status!r}, a word that the contract does not know. Nothing is repeated or invoked; look at it, "
            f"then `dealcast resume --collection {sent.collection}`."
        )
    return _still(sent, status, usual, settings)


def _still(sent: AcceptedAppend | InvokedForecast, status: str, usual: float | None, settings: Settings) -> Exception:
    error = still_processing(_name_of(sent), status, sent.accepted_at, settings, sent.collection, usual=usual)
    if isinstance(error, StillProcessing):
        say("await", str(error), waiting=True)
        _show_waiting(sent, status, usual, settings)
    return error

"""Syncs that did not end: those to resume from their last recorded step, to wait for no more, or to call lost.

A sync's recorded steps are an :class:`Entry`, one file of the store.
"""

from __future__ import annotations

from typing import Any

from flows.errors import OutcomeUnknown, UsageError
from flows.ledger.store import Entry, Ledger
from flows.options import SyncOptions, shown_url


def find_unfinished(ledger: Ledger, collection: str, request_id: str | None = None) -> Entry | None:
    """The sync to resume: the one of ``request_id``, or the newest that was accepted and did not end; None where it has ended.

    Raises:
        UsageError: the ledger knows no such request, or the newest sync was never accepted.
    """
    entries = ledger.entries(collection)
    if request_id is not None:
        found = [entry for entry in entries if entry.upload.id == request_id]
        if not found:
            known = ", ".join(str(entry.upload.id) for entry in entries[-5:] if entry.upload.id) or "none"
            raise UsageError(f"The ledger knows no request {request_id!r} of {collection}; it knows: {known}.")
        return None if found[-1].finished else found[-1]
    left = [entry for entry in entries if not entry.finished]
    if left and left[-1].upload.id is None:
        raise UsageError(
            f"The last sync of {collection} was not accepted ({left[-1].upload.state}), and its rows are not kept: "
            "run the same `dealcast sync` again."
        )
    return left[-1] if left else None


def options_of(entry: Entry) -> SyncOptions:
    """The options with which a sync began; an export's credentials, which old files may hold, are left out."""
    return SyncOptions.model_validate(entry.options | {"export": shown_url(str(entry.options.get("export", "")))})


def forget_wait(ledger: Ledger, entry: Entry) -> str:
    """Stop waiting for an upload, whose deals are then in doubt, or for a forecast; a sentence for people says which."""
    if entry.upload.state == "completed":
        ledger.write(entry.model_copy(update={"forecast": None}))
        what = f"Invocation {entry.forecast.id}" if entry.forecast and entry.forecast.id else "The forecast"
        return f"{what} is forgotten. The next sync, or `dealcast resume --collection {entry.collection}`, invokes a new one."
    given_up = entry.upload.model_copy(update={"state": "refused", "doubt": True, "reason": "forgotten: it was waited for no longer"})
    ledger.write(entry.model_copy(update={"upload": given_up}))
    return f"Request {entry.upload.id} is forgotten. The next `dealcast sync` sends its deals again, as the export then has them."


def want_forecast(ledger: Ledger, entry: Entry, args: dict[str, Any] | None, *, again: bool = False) -> Entry:
    """Note which forecast a sync is to download: one of other ``args`` than before, or wanted ``again``, is invoked anew."""
    if entry.wanted == args and not again:
        return entry
    return ledger.write(entry.model_copy(update={"wanted": args, "forecast": None, "certified": False}))


def owes_forecast(last: Entry | None, options: SyncOptions) -> bool:
    """True if a sync with nothing to send still has the ``last`` completed one's forecast to download, or another to invoke."""
    if last is None or not last.certified:
        return last is not None
    args = options.forecast_args
    return args is not None and (last.wanted != args or options.forecast == "always")


def mark_lost(ledger: Ledger, entry: Entry, why: str) -> Entry:
    """Record that the platform no longer knows an accepted upload: its outcome is unknown."""
    lost = entry.upload.model_copy(update={"state": "unknown", "id": None, "accepted_at": None, "reason": why})
    return ledger.write(entry.model_copy(update={"upload": lost}))


def stop_if_unknown(entry: Entry) -> None:
    """Stop at an upload whose outcome is unknown: for the policy `stop`.

    Raises:
        OutcomeUnknown: it may or may not have arrived.
    """
    if entry.upload.state in ("intended", "unknown"):
        raise OutcomeUnknown(
            f"An earlier {entry.mode} to {entry.collection} was sent and its outcome is unknown "
            f"({entry.upload.reason or 'the run was killed'}), and DEALCAST_ON_UNKNOWN is `stop`. Look at the collection, "
            "then run again with DEALCAST_ON_UNKNOWN=resend: a repeat merges by id."
        )


def how_to_resume(ledger: Ledger, collection: str) -> str:
    """The rest of an interrupted run, and the command that resumes it."""
    left = [entry for entry in ledger.entries(collection) if not entry.finished]
    if left and left[-1].upload.id:
        return (
            f"The run was interrupted. Request {left[-1].upload.id} is accepted: resume with `dealcast resume --collection {collection}`."
        )
    if left and left[-1].upload.state != "unsent":
        return "The run was interrupted while it was sending. Run the same `dealcast sync` again: what may have arrived merges by id."
    return "The run was interrupted before anything was sent. Run the same `dealcast sync` again."

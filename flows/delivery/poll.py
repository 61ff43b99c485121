"""One poll of a request that was accepted: the platform's answer goes into the ledger; Prefect does the waiting."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect.runtime import task_run

from expectations.disclosure import name_or_shape
from flows.delivery.backoff import honor_retry_after
from flows.delivery.forecast_gate import CompletedAppend
from flows.delivery.lifecycle import AcceptedAppend, CompletedForecast, InvokedForecast
from flows.errors import (
    AppendRejected,
    DeadlinePassed,
    ForecastFailed,
    Interrupted,
    NotFound,
    PlatformUnavailable,
    StillProcessing,
    Transient,
    UnexpectedAnswer,
)
from flows.ledger.store import Entry, Ledger, Sending
from flows.ledger.unfinished_syncs import options_of
from flows.nostradamus import UploadRequest
from flows.nostradamus.validation_errors import columns, describe, fallen, words_of
from flows.runtime.atomic_files import private_folder, write_whole
from flows.runtime.step_log import say
from flows.runtime.thread_interruption import is_interrupted
from flows.settings import Settings

_GRACE = 60.0
"""Seconds after 202 in which a 404 only means that the platform's parts do not agree yet (A)."""

_NAMED = 12
"""Columns that a sentence names."""

_STALLED = 5.0
"""Times the usual time, after which a wait is worth a word."""


def poll_append(accepted: AcceptedAppend, settings: Settings, ledger: Ledger) -> CompletedAppend:
    """One GET of an upload, unless the ledger knows its end; only this makes a :class:`CompletedAppend`.

    Raises:
        StillProcessing: queued or in progress.
        AppendRejected: the platform's validation refused the file; the message says which columns and checks.
        DeadlinePassed: neither completed nor refused in time, counted from acceptance.
        Interrupted: the run is being interrupted.
    """
    entry = ledger.known(accepted.collection, accepted.fingerprint)
    if entry.upload.state == "completed" and entry.upload.completed_at:
        return CompletedAppend(accepted, UploadRequest(id=accepted.request_id, status="completed"), entry.upload.completed_at)
    answer = _ask(accepted, entry, settings)
    if answer.status == "completed":
        completed_at = datetime.now(UTC)
        odd = _errors_with(answer, accepted, settings.out_folder(options_of(entry)))
        upload = entry.upload.model_copy(update={"state": "completed", "completed_at": completed_at, "reason": odd})
        ledger.write(entry.model_copy(update={"upload": upload}))
        return CompletedAppend(accepted, answer, completed_at)
    if answer.status == "error":
        refused = entry.upload.model_copy(update={"state": "refused", "reason": words_of(answer.message)})
        ledger.write(entry.model_copy(update={"upload": refused}))
        kept = _keep(answer, settings.out_folder(options_of(entry)))
        why = "\n".join(filter(None, (f"The platform refused {accepted.name}: {describe(answer)}", fallen(answer))))
        why += f"\nIts whole answer is in {kept}."
        raise AppendRejected(why, columns(answer))
    raise _unfinished(accepted, answer.status, settings)


def poll_forecast(invoked: InvokedForecast, settings: Settings, ledger: Ledger) -> CompletedForecast:
    """One GET of an invocation, unless the ledger knows its end.

    Raises:
        StillProcessing: queued or in progress.
        ForecastFailed: the invocation, or its primary result, ended in ``error``.
        NotFound: the platform lost the invocation.
        DeadlinePassed: neither completed nor failed in time, counted from acceptance.
        Interrupted: the run is being interrupted.
    """
    entry = ledger.known(invoked.collection, invoked.fingerprint)
    if entry.forecast and entry.forecast.completed_at:
        return CompletedForecast(invoked, entry.forecast.completed_at)

    def end(ended: Sending) -> None:
        ledger.write(entry.model_copy(update={"forecast": ended}))

    try:
        answer = _ask(invoked, entry, settings)
    except NotFound as error:
        end(Sending(state="unknown", intended_at=invoked.accepted_at, reason=str(error), doubt=True))
        raise NotFound(f"{error} The platform lost the invocation; the deals are in: run the sync again for a new one.") from error
    if answer.failed:
        end(Sending(state="refused", intended_at=invoked.accepted_at, reason=words_of(answer.message)))
        raise ForecastFailed(
            f"Invocation {invoked.invocation_id} failed: {words_of(answer.message)}. The deals are in; run the sync again."
        )
    if answer.status != "completed":
        raise _unfinished(invoked, answer.status, settings)
    completed_at = datetime.now(UTC)
    if entry.forecast:
        end(entry.forecast.model_copy(update={"state": "completed", "completed_at": completed_at}))
    return CompletedForecast(invoked, completed_at)


def _ask(sent: AcceptedAppend | InvokedForecast, entry: Entry, settings: Settings) -> Any:
    """The platform's answer; right after acceptance none is asked for, since it would be too soon to be worth a request."""
    waited = sent.waited
    if is_interrupted():
        raise Interrupted(
            f"The run was interrupted while it waited for {sent.name}. Resume with `dealcast resume --collection {sent.collection}`."
        )
    if task_run.run_count == 1 and waited < min(settings.poll_delay, settings.deadline):
        raise _still(sent, "accepted", settings)
    try:
        with settings.platform() as platform:
            if isinstance(sent, AcceptedAppend):
                return platform.upload_status(sent.collection, sent.request_id, mode=entry.mode)
            return platform.invocation(sent.invocation_id)
    except NotFound as error:
        if waited < _GRACE:
            raise _still(sent, "accepted a moment ago, not found yet", settings) from error
        raise
    except PlatformUnavailable as error:
        if waited > settings.deadline:
            raise _overdue(sent, f"out of sight ({error})", settings) from error
        if isinstance(error, Transient):
            honor_retry_after(error, settings.deadline - waited)
        raise


def _unfinished(sent: AcceptedAppend | InvokedForecast, status: str, settings: Settings) -> Exception:
    """The error of an answer that is no end: at work, overdue, or in a status that the contract does not know."""
    if status in ("queued", "in_progress"):
        return _still(sent, status, settings)
    return UnexpectedAnswer(
        f"{sent.name} is {name_or_shape(status)!r}, a word that the contract does not know. Nothing is repeated or invoked; look at it, "
        f"then `dealcast resume --collection {sent.collection}`."
    )


def _still(sent: AcceptedAppend | InvokedForecast, status: str, settings: Settings) -> StillProcessing | DeadlinePassed:
    waited = sent.waited
    if waited >= settings.deadline:
        return _overdue(sent, status, settings)
    is_long = sent.usual is not None and waited > max(_STALLED * sent.usual, settings.poll_delay_max)
    stalled = f"; stalled? It usually takes {sent.usual:.0f} s" if is_long else ""
    return StillProcessing(f"{sent.name}: {status}, {waited:.0f} of {settings.deadline:.0f} s{stalled}", status)


def _overdue(sent: AcceptedAppend | InvokedForecast, status: str, settings: Settings) -> DeadlinePassed:
    """The error of a request that is not done in time; the time runs from its acceptance, through any restart."""
    return DeadlinePassed(
        f"{sent.name} is still {status} {sent.waited:.0f} s after it was accepted; the deadline is "
        f"{settings.deadline:.0f} s. The platform may yet finish it. Resume later with "
        f"`dealcast resume --collection {sent.collection}`, or allow more time with DEALCAST_DEADLINE."
    )


def _errors_with(answer: UploadRequest, accepted: AcceptedAppend, folder: Path) -> str | None:
    """A sentence, also logged, on a ``completed`` that has validation errors, which the contract knows of ``error`` alone; else None."""
    if not answer.validation_errors:
        return None
    named = ", ".join(columns(answer)[:_NAMED]) or "none is named"
    said = (
        f"{accepted.name} is completed, yet its answer has validation errors (columns: {named}): perhaps not all of its deals are in. "
        f"`dealcast verify` compares; the whole answer is in {_keep(answer, folder)}."
    )
    say("await", said, request_id=accepted.request_id)
    return said


def _keep(answer: UploadRequest, folder: Path) -> Path:
    """Write the platform's whole answer, which may name people's data, to a file that only its owner reads."""
    private_folder(folder)
    text = json.dumps(answer.model_dump(mode="json", by_alias=True), indent=1, ensure_ascii=False)
    write_whole(folder / "rejection.json", [text.encode()])
    return folder / "rejection.json"

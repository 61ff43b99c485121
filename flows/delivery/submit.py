"""The at-least-once delivery of a POST, which is written down before it goes out and after it is answered.

Three outcomes (accepted, refused, unknown) and the policy for the third, the same for uploads and invocations. A repeated upload is
idempotent, and costs the whole file each time: one that failed goes out once more in its run, once a run later, and ever more rarely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect.runtime import flow_run

from flows.delivery.backoff import seconds_since
from flows.errors import (
    FileTrouble,
    LockLost,
    OutcomeUnknown,
    PlatformBusy,
    PlatformRefused,
    PlatformUnavailable,
    PlatformUnreachable,
    UnexpectedAnswer,
    UploadPostponed,
)
from flows.ledger.store import CONTENT, PIECE, Entry, Ledger, Sending
from flows.ledger.unfinished_syncs import want_forecast
from flows.nostradamus import Nostradamus
from flows.runtime.thread_interruption import interruptible_sleep
from flows.settings import Settings

Policy = Literal["resend", "stop"]

_FREE = 3
"""Uploads that may fail before a later run waits with the next one."""

_REPEAT = "a repeated upload is idempotent (the platform merges by id), a repeated invocation one more forecast"

_RECORD_DELAYS = (0.5, 1.0, 2.0, 4.0)
"""Seconds after which the record of an acceptance is tried again."""


@dataclass(frozen=True, slots=True)
class FailedUploads:
    """Uploads to a collection in a row that went out and were not accepted: how many, when the last did, and in which run."""

    count: int
    last_at: datetime | None
    last_in: str | None

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> FailedUploads:
        """Those of a collection's syncs since the last one that was accepted."""
        failed = [entry.upload for entry in entries if entry.upload.failed and entry.upload.state in ("intended", "unsent", "unknown")]
        if not failed:
            return cls(0, None, None)
        last = max(failed, key=lambda upload: upload.intended_at)
        return cls(sum(upload.failed for upload in failed), last.intended_at, last.failed_in)

    def require_turn(self, backoff: float) -> None:
        """Go on only where another upload may go out in this run now; ``backoff`` is in seconds.

        Raises:
            PlatformBusy: it may within so many seconds, which the error says.
            UploadPostponed: only a later run may.
        """
        if self.last_at is None or self.count < _FREE or self.last_in == _this_run():
            return
        wait, since = self._wait(backoff), seconds_since(self.last_at)
        if not 0 <= since < wait:  # before 0 the clock was set back meanwhile
            return
        left = wait - since
        why = f"{self.count} uploads in a row were not accepted, the last at {self.last_at:%Y-%m-%d %H:%M:%S} UTC"
        if left <= backoff:
            raise PlatformBusy(f"{why}; the file is sent once more in {left:.0f} s.", left)
        raise UploadPostponed(f"{why}. {self._when(backoff)}")

    def after_failure(self, error: PlatformUnreachable | PlatformBusy, backoff: float) -> PlatformUnavailable:
        """The error with which an upload that went out and was not accepted ends its attempt: the first is sent once more in this run.

        That is the run's last, so it waits for ``backoff`` seconds although the platform may ask for fewer.
        """
        if self.count > 1:
            return UploadPostponed(f"{error} {self._when(backoff)}")
        error.retry_after = max(error.retry_after or 0.0, backoff)
        return error

    def _wait(self, backoff: float) -> float:
        return float(backoff * 2 ** (self.count - _FREE)) if self.count >= _FREE else 0.0

    def _when(self, backoff: float) -> str:
        wait = self._wait(backoff)
        if not wait or self.last_at is None:
            return "Run the same again: each later run sends it once."
        due = self.last_at + timedelta(seconds=wait)
        return (
            f"To spare the platform the file, it is sent again by a run after {due:%Y-%m-%d %H:%M:%S} UTC; "
            "set DEALCAST_UPLOAD_BACKOFF=0 to send it before."
        )


def keep_content(ledger: Ledger, collection: str, fingerprint: str, content: Path) -> None:
    """Put what a sync is about to send (a file of the index's form) into the ledger before it is sent."""
    ledger.stream(collection, f"{fingerprint}{CONTENT}", _pieces(content))


def _pieces(content: Path) -> Iterator[bytes]:
    with content.open("rb") as source:
        yield from iter(partial(source.read, PIECE), b"")


def begin_send(ledger: Ledger, entry: Entry, content: Path) -> Entry:
    """``entry``, as an earlier run that did not end left it; its ``content`` is in the ledger before anything is sent."""
    found = ledger.read(entry.collection, entry.fingerprint)
    left = found is not None and not found.finished
    if found is not None and left and found.upload.state in ("accepted", "completed"):
        return want_forecast(ledger, found, entry.wanted)
    doubt = found is not None and (found.in_doubt or found.late_since is not None)
    keep_content(ledger, entry.collection, entry.fingerprint, content)
    upload = found.upload if found is not None and left else entry.upload.model_copy(update={"doubt": doubt})
    return entry.model_copy(update={"upload": upload, "number": ledger.next_number(entry)})


def record_upload(ledger: Ledger, entry: Entry, upload: Sending, content: Path) -> None:
    """Write down a step of an upload; where the lock was lost around its POST, that its deals are in doubt.

    Raises:
        LockLost: the lock is another's.
    """
    try:
        ledger.write(entry.model_copy(update={"upload": upload}))
    except LockLost:
        if upload.state != "intended":
            _note_late(ledger, entry, upload, content)
        raise


def _note_late(ledger: Ledger, entry: Entry, upload: Sending, content: Path) -> None:
    """Write down a send that went out as its lock was lost: the platform may take it in after a newer one, so its deals are in doubt."""
    refused = upload.model_copy(update={"state": "refused", "doubt": True, "reason": "sent while the lock was lost"})
    late = entry.model_copy(update={"upload": refused, "fingerprint": f"{entry.fingerprint}-late"})
    ledger.write_late(late, _pieces(content))


def send_upload(
    ledger: Ledger,
    entry: Entry,
    record: Callable[[Sending], None],
    post: Callable[[], str],
    *,
    platform: Nostradamus,
    settings: Settings,
) -> Sending:
    """Send the deals of ``entry``, as :func:`send_once`, as rarely as :class:`FailedUploads` has it.

    Raises:
        LockLost: the collection's lock is another's.
        UploadPostponed: it was not accepted, and only a later run sends it again.
    """
    entries = ledger.entries(entry.collection)
    if any(earlier.upload.state == "unsent" and earlier.upload.sends for earlier in entries):
        _probe(platform)
    before = FailedUploads.of(entries)
    if entry.upload.state not in ("accepted", "completed"):
        before.require_turn(settings.upload_backoff)

    def send() -> str:
        ledger.require_lock(entry.collection)
        same = (earlier.upload for earlier in entries if earlier.mode == entry.mode)
        return require_new(post(), same, lambda sent: platform.upload_status(entry.collection, sent, mode=entry.mode).status)

    try:
        return send_once(entry.upload, record, send, what=f"{entry.mode} to {entry.collection}", policy=settings.on_unknown)
    except (PlatformBusy, PlatformUnreachable) as error:
        failed = FailedUploads.of(ledger.entries(entry.collection))
        if failed.count == before.count:  # it did not go out
            raise
        raise failed.after_failure(error, settings.upload_backoff) from error


def require_new(identifier: str, earlier: Iterable[Sending | None], status: Callable[[str], str]) -> str:
    """``identifier``, under which a POST was accepted; one that is known is new where ``status`` says that it has not completed.

    Raises:
        OutcomeUnknown: it is that of an ``earlier`` one that has completed: followed, it would report what was just sent as completed.
    """
    if any(sending is not None and sending.id == identifier and sending.completed_at for sending in earlier):
        with suppress(PlatformUnavailable, PlatformRefused):
            if status(identifier) in ("queued", "in_progress", "error"):  # a platform whose numbers begin again
                return identifier
        raise OutcomeUnknown(
            f"The POST was answered with the id of an earlier one that has completed, {identifier}: it may or may not have been accepted. "
            f"If the platform was set up anew and gives out its ids again, `dealcast forget COLLECTION --in-flight` forgets the earlier "
            "ones, and the next sync sends every deal."
        )
    return identifier


def _probe(platform: Nostradamus) -> None:
    """Ask something small of a platform that could not take an earlier send: an outage is not to cost an upload at each try."""
    with suppress(PlatformRefused):
        next(platform.collections(), None)


def send_once(sending: Sending | None, record: Callable[[Sending], None], post: Callable[[], str], *, what: str, policy: Policy) -> Sending:
    """Send what ``sending`` says is not yet accepted, and record every turn.

    Args:
        sending: what an earlier attempt or run left, or None.
        record: makes a step durable; called before the POST and after its outcome.
        post: sends and returns the id under which the platform accepted.
        what: names the POST in messages, with the command that goes on.
        policy: for an outcome that is unknown: send again, or stop.

    Raises:
        OutcomeUnknown: under ``stop``, this or an earlier POST went out and was not answered.
        Transient: nothing was accepted for sure, or the policy is to send again: the caller may try again.
        PlatformRefused: the platform said no.
        FileTrouble: the acceptance could not be recorded; the message has its id.
    """
    if sending is not None and sending.state in ("accepted", "completed"):
        return sending
    if policy == "stop" and sending is not None and sending.state in ("intended", "unknown"):
        raise OutcomeUnknown(_stopped(what, sending.reason or "an earlier run ended in the middle of sending"))
    sending = _next(sending)
    record(sending)
    try:
        identifier = post()
    except OutcomeUnknown as error:
        record(_failed(sending, state="unknown", reason=str(error), doubt=True))
        if policy == "stop":
            raise OutcomeUnknown(_stopped(what, str(error))) from error
        raise PlatformUnreachable(f"{error} Sending it again (DEALCAST_ON_UNKNOWN=resend): {_REPEAT}.") from error
    except PlatformRefused as error:
        doubt = sending.doubt or isinstance(error, UnexpectedAnswer)
        record(sending.model_copy(update={"state": "refused", "reason": str(error), "doubt": doubt}))
        raise
    except PlatformBusy as error:
        record(_failed(sending, state="unsent", reason=str(error), doubt=True))
        raise
    except PlatformUnavailable as error:
        record(sending.model_copy(update={"state": "unsent", "reason": str(error)}))
        raise
    return _record_accepted(sending, identifier, record, what)


def _failed(sending: Sending, **end: Any) -> Sending:
    """A send that went out and was not accepted."""
    return sending.model_copy(update={"failed": sending.failed + 1, "failed_in": _this_run(), **end})


def _this_run() -> str:
    return f"{flow_run.id}-{flow_run.run_count}"


def _record_accepted(sending: Sending, identifier: str, record: Callable[[Sending], None], what: str) -> Sending:
    """Record an acceptance, if need be a few times.

    Raises:
        FileTrouble: it cannot be, and the message has its id; the intent is recorded, so that the next run sends again.
    """
    sending = sending.model_copy(update={"state": "accepted", "id": identifier, "accepted_at": datetime.now(UTC)})
    for delay in _RECORD_DELAYS:
        try:
            record(sending)
        except (OSError, FileTrouble):
            interruptible_sleep(delay)
        else:
            return sending
    try:
        record(sending)
    except (OSError, FileTrouble) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise FileTrouble(
            f"{what}: the platform accepted it as {sending.id}, but the ledger could not be written ({why}). "
            f"Make room there, then run the same with DEALCAST_ON_UNKNOWN=resend, which sends it once more: {_REPEAT}."
        ) from error
    return sending


def _next(sending: Sending | None) -> Sending:
    """The intent to send, or to send again: a doubt about an earlier send stays until its rows are surely replaced."""
    if sending is None:
        return Sending(state="intended", intended_at=datetime.now(UTC), sends=1)
    doubt = sending.doubt or sending.state in ("intended", "unknown")
    again = {"state": "intended", "intended_at": datetime.now(UTC), "sends": sending.sends + 1, "doubt": doubt, "reason": None}
    return sending.model_copy(update=again)


def _stopped(what: str, why: str) -> str:
    return (
        f"{what}: the outcome is unknown ({why.rstrip('.')}) and DEALCAST_ON_UNKNOWN is `stop`. "
        f"Look at the collection, then run the same sync with DEALCAST_ON_UNKNOWN=resend: {_REPEAT}."
    )

"""A POST that must not be repeated lightly: written down before it goes out and after it is answered.

Three outcomes (accepted, refused, unknown) and the policy for the third, the same for uploads and invocations.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from flows.errors import (
    FileTrouble,
    OutcomeUnknown,
    PlatformBusy,
    PlatformRefused,
    PlatformUnavailable,
    PlatformUnreachable,
    UnexpectedAnswer,
)
from flows.ledger.store import Sending

Policy = Literal["resend", "stop"]


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
        Transient: nothing was accepted for sure, or sending again is harmless: the caller may try again.
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
        record(sending.model_copy(update={"state": "unknown", "reason": str(error), "doubt": True}))
        if policy == "stop":
            raise OutcomeUnknown(_stopped(what, str(error))) from error
        raise PlatformUnreachable(f"{error} Sending it again, which is harmless (DEALCAST_ON_UNKNOWN=resend).") from error
    except PlatformRefused as error:
        doubt = sending.doubt or isinstance(error, UnexpectedAnswer)
        record(sending.model_copy(update={"state": "refused", "reason": str(error), "doubt": doubt}))
        raise
    except PlatformUnavailable as error:
        doubt = sending.doubt or isinstance(error, PlatformBusy)
        record(sending.model_copy(update={"state": "unsent", "reason": str(error), "doubt": doubt}))
        raise
    sending = sending.model_copy(update={"state": "accepted", "id": identifier, "accepted_at": datetime.now(UTC)})
    _record_accepted(sending, record, what)
    return sending


def _record_accepted(sending: Sending, record: Callable[[Sending], None], what: str) -> None:
    """Record an acceptance. Raises FileTrouble, with its id, where that cannot be written: the intent is there, so it is sent again."""
    try:
        record(sending)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise FileTrouble(
            f"{what}: the platform accepted it as {sending.id}, but the ledger could not be written ({why}). "
            "Make room there, then run the same again: it is sent once more, which is harmless (DEALCAST_ON_UNKNOWN=resend)."
        ) from error


def _next(sending: Sending | None) -> Sending:
    """The intent to send, or to send again: a doubt about an earlier send stays until its rows are surely replaced."""
    if sending is None:
        return Sending(state="intended", intended_at=datetime.now(UTC), sends=1)
    doubt = sending.doubt or sending.state in ("intended", "unknown")
    return Sending(state="intended", intended_at=datetime.now(UTC), sends=sending.sends + 1, doubt=doubt)


def _stopped(what: str, why: str) -> str:
    return (
        f"{what}: the outcome is unknown ({why.rstrip('.')}) and DEALCAST_ON_UNKNOWN is `stop`. "
        "Look at the collection, then run the same sync with DEALCAST_ON_UNKNOWN=resend: a repeat merges by id and harms nothing."
    )

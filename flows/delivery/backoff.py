"""When to look again: one retry condition and one table of poll_backoff for every task that talks to the platform.

Prefect does the retrying and the waiting; this module only says whether, and after how many seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from prefect.context import TaskRunContext

from flows.errors import DeadlinePassed, StillProcessing, Transient
from flows.ledger.store import Sending
from flows.runtime.cancellation import interruptible_sleep
from flows.settings import Settings

MAX_POLLS = 10_000
"""Retries of a polling task: the deadline ends it long before."""

JITTER = 0.01
"""Share by which Prefect may stretch or shorten a delay, so that many collections do not ask in step."""

SEND_JITTER = 0.3
"""The same for sends that have to be repeated, which an outage makes all at once."""

_GROWTH = 0.09
"""A delay as a share of the time waited before it: with jitter and the look itself, the end is seen a tenth too late at most."""

_MOST_DELAYS = 50
_LEAST_DELAY = 0.1

_SHORT = 11.0
"""Seconds from which on looks at a steady growth are fewer than half of one each second ..."""

_EARLY = 0.94
"""... and the share of a shorter expected time after which the first look comes; the second comes when it is over."""

_FEW_ROWS = 10_000
"""Rows below which an upload's size makes no difference."""

_LONGEST_REQUESTED_WAIT = 900.0
_STALLED = 5.0
"""How many times the usual time makes a wait worth a word."""


def is_transient(task: Any, task_run: Any, state: Any) -> bool:  # noqa: ARG001 - the signature is Prefect's
    """Prefect's retry condition: try again exactly where the error's type says so."""
    return isinstance(state.data, Transient)


def first_look(settings: Settings, expected: float | None = None) -> float:
    """Seconds after acceptance before which no look is worth a request: half of what history expects, more where that is short.

    What is seen is what the next sync expects: a look that came no sooner than the end is expected would make one slow day the rule.
    """
    return settings.poll_delay if expected is None else max(expected / 2, min(_EARLY * expected, _SHORT))


def is_too_soon(accepted_at: datetime, settings: Settings, expected: float | None = None) -> bool:
    """Whether a look now, the first of this run, is not worth a request."""
    return seconds_since(accepted_at) < min(first_look(settings, expected), settings.deadline)


def poll_backoff(settings: Settings, expected: float | None = None, elapsed: float = 0.0) -> list[float]:
    """Seconds between looks, ``elapsed`` seconds after acceptance: the first as :func:`first_look` says, then each about a tenth later.

    ``expected`` is how many seconds the platform is expected to take, when a look comes in any case; without history, looks are
    `poll_delay` apart at first. No delay is above the settings' cap.
    """
    waits: list[float] = []
    soonest, first, now = settings.poll_delay if expected is None else _LEAST_DELAY, first_look(settings, expected), elapsed
    while len(waits) < _MOST_DELAYS:
        wait = min(max(first - now, _GROWTH * now, soonest), settings.poll_delay_max)
        if expected is not None and first <= now < expected:
            wait = min(wait, max(expected - now, (1 - _EARLY) * now))
        waits.append(wait)
        now += wait
    return waits


def send_backoff(settings: Settings) -> list[float]:
    """Seconds between sends to a platform that cannot take them: each half as long again as the one before, up to the settings' cap."""
    return [min(settings.poll_delay * 1.5**number, settings.poll_delay_max) for number in range(_MOST_DELAYS)]


def is_alike(rows: int, others: int) -> bool:
    """Whether uploads of so many rows may take the platform alike: one tells nothing of another that is a multiple of it."""
    fewer, more = sorted((max(rows, _FEW_ROWS), max(others, _FEW_ROWS)))
    return more <= 2 * fewer


def expected_seconds(sent: Sequence[Sending | None], settings: Settings) -> float | None:
    """How long the platform took for the last few of ``sent``: their lower median; None without history.

    What took longer than the deadline says nothing of the platform: nobody looked for a while.
    """
    took = [seconds for sending in sent if sending is not None and (seconds := sending.seconds()) is not None]
    recent = sorted(seconds for seconds in took[-5:] if seconds <= settings.deadline)
    return recent[(len(recent) - 1) // 2] if recent else None


def still_processing(
    what: str, status: str, accepted_at: datetime, settings: Settings, collection: str, *, usual: float | None = None
) -> StillProcessing | DeadlinePassed:
    """The error of a look that found no end: its text is the progress message, or past the deadline what to do next.

    ``usual`` is how many seconds the platform took before: far beyond it, and beyond any delay of ours, the message says so.
    """
    elapsed = seconds_since(accepted_at)
    if elapsed >= settings.deadline:
        return overdue(what, status, accepted_at, settings, collection)
    stalled = (
        f"; stalled? It usually takes {usual:.0f} s"
        if usual is not None and elapsed > max(_STALLED * usual, settings.poll_delay_max)
        else ""
    )
    return StillProcessing(f"{what}: {status}, {elapsed:.0f} of {settings.deadline:.0f} s{stalled}")


def overdue(what: str, status: str, accepted_at: datetime, settings: Settings, collection: str) -> DeadlinePassed:
    """The error of a request that is not done in time; the time runs from its acceptance, through any restart."""
    return DeadlinePassed(
        f"{what} is still {status} {seconds_since(accepted_at):.0f} s after it was accepted; the deadline is {settings.deadline:.0f} s. "
        f"The platform may yet finish it. Go on later with `dealcast resume --collection {collection}`, "
        "or allow more time with DEALCAST_DEADLINE."
    )


def seconds_since(moment: datetime) -> float:
    """Seconds from an aware ``moment`` until now."""
    return (datetime.now(UTC) - moment).total_seconds()


def honor_retry_after(error: Transient, left: float = _LONGEST_REQUESTED_WAIT) -> None:
    """Wait as long as the platform asked to (Retry-After), up to a quarter of an hour or what is ``left``; Prefect's own delay follows.

    After the last attempt there is nothing to wait for.
    """
    context = TaskRunContext.get()
    another = context is None or context.task_run.run_count <= context.task.retries
    if error.retry_after and another:
        interruptible_sleep(min(error.retry_after, _LONGEST_REQUESTED_WAIT, left))

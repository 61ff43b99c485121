"""The time between two attempts: one retry condition and two lists of delays for every task that talks to the platform.

Prefect does the retrying and the waiting; this module only says if, and after how many seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import accumulate, repeat
from typing import Any

from prefect.context import TaskRunContext

from flows.errors import Transient
from flows.runtime.step_log import say
from flows.runtime.thread_interruption import interruptible_sleep
from flows.settings import Settings

MAX_POLLS = 10_000
"""Retries of a polling task: the deadline ends it long before."""

POLL_JITTER = 0.01
"""Share by which Prefect may stretch or shorten a delay between polls, so that many collections do not ask in step."""

SEND_JITTER = 0.3
"""The same for sends that have to be repeated, which an outage makes all at once."""

_MOST_DELAYS = 50
"""Delays that Prefect takes in a list; the last one repeats."""

_LONGEST_REQUESTED_WAIT = 900.0


def is_transient(task: Any, task_run: Any, state: Any) -> bool:  # noqa: ARG001 - the signature is Prefect's
    """Prefect's retry condition: try again exactly where the error's type says so."""
    return isinstance(state.data, Transient)


def poll_backoff(settings: Settings) -> list[float]:
    """Seconds between polls: a tenth of the time waited so far, at least `poll_delay`, at most `poll_delay_max`."""
    waited = accumulate(repeat(0.0, _MOST_DELAYS), lambda so_far, _: so_far + max(settings.poll_delay, so_far / 10))
    return [min(max(settings.poll_delay, so_far / 10), settings.poll_delay_max) for so_far in waited]


def send_backoff(settings: Settings) -> list[float]:
    """Seconds between sends to a platform that cannot take them: each half as long again as the one before, up to the settings' cap."""
    return [min(settings.poll_delay * 1.5**number, settings.poll_delay_max) for number in range(_MOST_DELAYS)]


def seconds_since(moment: datetime) -> float:
    """Seconds from an aware ``moment`` until now."""
    return (datetime.now(UTC) - moment).total_seconds()


def honor_retry_after(error: Transient, left: float = _LONGEST_REQUESTED_WAIT) -> None:
    """Wait as long as the platform asked to (Retry-After), up to a quarter of an hour or what is ``left``; Prefect's own delay follows.

    The wait is told before it begins, since Prefect logs the attempt's end after it. After the last attempt there is nothing to wait for.
    """
    context = TaskRunContext.get()
    another = context is None or context.task_run.run_count <= context.task.retries
    if error.retry_after and another:
        seconds = min(error.retry_after, _LONGEST_REQUESTED_WAIT, left)
        if context is not None:
            say("wait", f"waiting {seconds:.0f} s until the next attempt: {error}")
        interruptible_sleep(seconds)

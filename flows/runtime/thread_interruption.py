"""Runs that are interrupted while threads work for them: a signal reaches the main thread alone, so the others ask."""

from __future__ import annotations

import time

from prefect.runtime import flow_run

from flows.errors import Interrupted

_ENDING: set[str | None] = set()
"""Flow runs that are being interrupted."""

_TICK = 0.5


def interrupt_run() -> None:
    """Tell the threads of the current flow run that it is being ended."""
    _ENDING.add(flow_run.id)


def is_interrupted() -> bool:
    """True if the flow run that this is part of is being ended."""
    return flow_run.id in _ENDING


def raise_if_interrupted(what: str) -> None:
    """Go on only where the run is not being ended.

    Raises:
        Interrupted: it is; ``what`` says what was not done.
    """
    if is_interrupted():
        raise Interrupted(f"The run was interrupted before {what}.")


def interruptible_sleep(seconds: float) -> None:
    """Wait, but no longer than the run goes on."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not is_interrupted():
        time.sleep(min(left, _TICK))


def interrupted_by(error: BaseException) -> BaseException | None:
    """The interruption behind an error: SIGTERM, Ctrl-C, a cancellation, a lost lock; None for an error of the run's own.

    Prefect's engine can stumble over a signal that comes while it begins a task: then an error hides what it was raised in handling.
    """
    found: BaseException | None = error
    while isinstance(found, Exception):
        found = found.__context__
    return found

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
    """Whether the flow run that this is part of is being ended."""
    return flow_run.id in _ENDING


def raise_if_interrupted(what: str) -> None:
    """Go on only where the run is not being ended.

    Raises:
        Interrupted: it is; ``what`` says what was not done.
    """
    if is_interrupted():
        raise Interrupted(f"The run was ended before {what}.")


def interruptible_sleep(seconds: float) -> None:
    """Wait, but no longer than the run goes on."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not is_interrupted():
        time.sleep(min(left, _TICK))

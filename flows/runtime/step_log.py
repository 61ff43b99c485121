"""Messages of a run about its steps."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from flows.errors import DealcastError, StillProcessing, printable

_FAILED = "Task run failed with "
"""Begins what Prefect logs of each attempt that ends in an error, with a traceback after the last one."""

_COLLECTION: ContextVar[str | None] = ContextVar("collection", default=None)


@contextmanager
def lines_about(collection: str) -> Iterator[None]:
    """Give each line of the block the collection's id as a structured extra."""
    before = _COLLECTION.set(collection)
    try:
        yield
    finally:
        _COLLECTION.reset(before)


def say(step: str, message: str, **facts: Any) -> None:
    """Log one line of a step with its ids and counts as structured extras; never a row's content."""
    if collection := _COLLECTION.get():
        facts = {"collection": collection, **facts}
    from prefect.logging import get_run_logger  # noqa: PLC0415 - the data process does without prefect

    get_run_logger().info(printable(message), extra={"dealcast_step": step, **{f"dealcast_{key}": value for key, value in facts.items()}})


def log_intended_plainly() -> None:
    """Let Prefect log an error that dealcast raises on purpose as one line of ours; of a poll that finds no end, nothing.

    What a poll found, `show_wait` says. The retries themselves stay visible as states of the task run.
    """
    logging.getLogger("prefect.task_runs").addFilter(_as_intended)


def _as_intended(record: logging.LogRecord) -> bool:
    if not str(record.msg).startswith(_FAILED):
        return True
    args = record.args if isinstance(record.args, tuple) else ()
    found = [*args, record.exc_info[1] if record.exc_info else None]
    error = next((each for each in found if isinstance(each, DealcastError)), None)
    if error is None:
        return True
    record.msg, record.args = "%s", (f"{error} The next attempt starts {args[-1]}." if args else str(error),)
    record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
    return not isinstance(error, StillProcessing)

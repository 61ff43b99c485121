"""The wait for the platform, as people see it: the run's progress, its name, and a line in its log."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from flows.delivery.lifecycle import AcceptedAppend, InvokedForecast
from flows.errors import StillProcessing
from flows.runtime.step_log import say
from flows.settings import Settings
from flows.ui.artifacts import show_progress
from flows.ui.run_name import name_run

_SAID_EVERY = 60.0
"""Seconds after which a wait is said again although nothing changed."""

_SAID: dict[str, tuple[str, float]] = {}
"""The words that were logged last, and when, by what is waited for."""


@contextmanager
def show_wait(sent: AcceptedAppend | InvokedForecast, settings: Settings) -> Iterator[None]:
    """Show a poll in the block that finds no end: the platform's word, how long it has been, and the share of the usual time."""
    try:
        yield
        _SAID.pop(sent.name, None)
    except StillProcessing as error:
        _say_change(sent, error)
        first, last = (50, 70) if isinstance(sent, AcceptedAppend) else (75, 95)
        waited = sent.waited
        share = min(waited / (sent.usual or settings.deadline), 1.0)
        usually = f", usually {sent.usual:.0f} s" if sent.usual else ""
        words = f"{sent.name}: {error.status}, {waited:.0f} s so far{usually}"
        if show_progress(sent.collection, first + share * (last - first), words):
            name_run(sent.collection, f"waiting: {error.status} {f'{waited / 60:.0f} min' if waited >= 90 else f'{waited:.0f} s'}")
        raise


def _say_change(sent: AcceptedAppend | InvokedForecast, error: StillProcessing) -> None:
    """Log a poll whose words, numbers aside, are others than the last one's, or the first one in a minute."""
    words = re.sub(r"[\d,.]+", "", str(error))
    before, said_at = _SAID.get(sent.name, ("", 0.0))
    if words != before or time.monotonic() - said_at >= _SAID_EVERY:
        _SAID[sent.name] = words, time.monotonic()
        ids = {"request_id": sent.request_id} if isinstance(sent, AcceptedAppend) else {"invocation_id": sent.invocation_id}
        say("await", str(error), waiting=True, **ids)

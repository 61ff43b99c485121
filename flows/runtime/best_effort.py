"""Calls to Prefect's API for what is only shown: they take a moment, once, or are left out, since no sync is worth its picture.

Prefect's own client waits a minute for an answer, and asks five times more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import SettingsContext, SyncClientContext, get_settings_context
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, Settings

T = TypeVar("T")

SECONDS = 5.0
"""The time that an answer is waited for."""

_LEFT_OUT = 60.0
"""Seconds after one that did not come in which none is asked for."""


_GOES_ON = "Prefect's server does not answer: the run goes on without it, and waits for it at the end, for some minutes."
"""Prefect's own client asks six times there, for each of the run's locks and for its state."""


@dataclass(frozen=True, slots=True)
class _Brief:
    """Prefect's settings, and a client that has them, as ``base`` but for how long they wait."""

    base: Settings
    settings: Settings
    client: SyncPrefectClient


@dataclass(slots=True)
class State:
    """The client that is used, and until when none is."""

    brief: _Brief | None = None
    away_until: float = 0.0


STATE = State()


def show(what: str, call: Callable[[], T]) -> T | None:
    """Return what ``call`` to Prefect's API does; None, and a warning that ``what`` was not shown, where there is no answer at once."""
    if time.monotonic() < STATE.away_until:
        return None
    try:
        with _briefly():
            return call()
    except (httpx.HTTPError, PrefectException, OSError) as error:
        logger, why = logging.getLogger("prefect.flow_runs"), error or type(error).__name__
        if isinstance(error, httpx.TransportError | OSError):
            STATE.away_until = time.monotonic() + _LEFT_OUT
            logger.warning("%s was not shown: %s. %s", what, why, _GOES_ON, extra={"dealcast_step": "prefect"})
        else:
            logger.warning("%s was not shown: %s", what, why)
        return None


@contextmanager
def _briefly() -> Iterator[None]:
    """Let Prefect's clients in the block wait shortly, and ask once."""
    context = get_settings_context()
    brief = STATE.brief
    if brief is None or brief.base is not context.settings:
        changes: dict[Any, Any] = {PREFECT_API_REQUEST_TIMEOUT: SECONDS, PREFECT_CLIENT_MAX_RETRIES: 0}
        settings = context.settings.copy_with_update(updates=changes)
        with SettingsContext(profile=context.profile, settings=settings), _client_context(None):
            brief = STATE.brief = _Brief(context.settings, settings, get_client(sync_client=True).__enter__())
    with SettingsContext(profile=context.profile, settings=brief.settings), _client_context(brief.client):
        yield


@contextmanager
def _client_context(client: SyncPrefectClient | None) -> Iterator[None]:
    """Let ``client`` be the one that Prefect takes in the block; None lets it make one."""
    variable = SyncClientContext.__var__
    token = variable.set(None if client is None else SyncClientContext.model_construct(client=client))  # type: ignore[arg-type]
    try:
        yield
    finally:
        variable.reset(token)

"""The origin of a report, certificate or forecast: when it was made, by which run, of which collection, on which platform."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLOUD_UI_URL, PREFECT_UI_URL

from flows.errors import DealcastError
from flows.ledger.store import Ledger
from flows.options import shown_url
from flows.settings import load_settings
from flows.ui.inert_text import code, inert

_SANDBOX = "_sandbox.txt"
"""The file of the ledger that remembers the URL of the sandbox where a collection was last found; there is none where it was a platform."""


def ui_link(path: str) -> str:
    """The address of a page in Prefect's current UI; without its server where Prefect's settings name none.

    An own server has the current UI below `/v2`: without that, a deep link opens the one before it.
    """
    base = PREFECT_UI_URL.value() or ""
    return f"{base}/{path}" if base.startswith(PREFECT_CLOUD_UI_URL.value()) else f"{base}/v2/{path}"


def known_as(collection: str) -> str:
    """The name by which people know the collection where the platform has told it, else its id."""
    try:
        return Ledger(load_settings().ledger_url).name_of(collection) or collection
    except (DealcastError, OSError):
        return collection


def note_platform(ledger: Ledger, collection: str, url: str, *, sandbox: bool) -> None:
    """Remember whether it is dealcast's sandbox that holds the collection at ``url``, for what is written without asking it."""
    if sandbox:
        ledger.put_line(collection, _SANDBOX, shown_url(url))
    else:
        ledger.delete(collection, _SANDBOX)


def sandbox_of(ledger: Ledger, collection: str) -> str | None:
    """The URL of the sandbox that last answered for the collection; None where a platform did, or nobody is known to have."""
    return ledger.line(collection, _SANDBOX)


def origin(collection: str) -> dict[str, str]:
    """The origin of what is written at this moment, for a certificate."""
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": str(flow_run.id) if FlowRunContext.get() or TaskRunContext.get() else "none",
        "collection": collection,
        "collection_name": known_as(collection),
        "platform": _platform(collection),
    }


def origin_line(collection: str) -> str:
    """The same as a line of Markdown."""
    made = origin(collection)
    when = f"{datetime.fromisoformat(made['made_at']):%Y-%m-%d %H:%M} UTC"
    return f"{when} · run `{made['run']}` · collection {inert(made['collection_name'])} ({code(collection)}) · {inert(made['platform'])}"


def _platform(collection: str) -> str:
    """The platform's URL, and whether it is known to be the sandbox."""
    try:
        settings = load_settings()
    except (DealcastError, OSError):
        return "unknown platform"
    url = shown_url(settings.platform_url)
    try:
        return f"{url} (sandbox)" if url == sandbox_of(Ledger(settings.ledger_url), collection) else url
    except (DealcastError, OSError):
        return url

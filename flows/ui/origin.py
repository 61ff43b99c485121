"""The origin of a report, certificate or forecast: when it was made, by which run, of which collection, on which platform."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

from prefect.context import FlowRunContext, TaskRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_CLOUD_UI_URL, PREFECT_UI_URL

from flows.errors import DealcastError
from flows.ledger.store import Ledger
from flows.nostradamus.client import LOOPBACK
from flows.options import shown_url
from flows.settings import load_settings
from flows.ui.inert_text import code, inert


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


def origin(collection: str) -> dict[str, str]:
    """The origin of what is written at this moment, for a certificate."""
    return {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": str(flow_run.id) if FlowRunContext.get() or TaskRunContext.get() else "none",
        "collection": collection,
        "collection_name": known_as(collection),
        "platform": _platform(),
    }


def origin_line(collection: str) -> str:
    """The same as a line of Markdown."""
    made = origin(collection)
    when = f"{datetime.fromisoformat(made['made_at']):%Y-%m-%d %H:%M} UTC"
    return f"{when} · run `{made['run']}` · collection {inert(made['collection_name'])} ({code(collection)}) · {inert(made['platform'])}"


def _platform() -> str:
    """The platform's URL, and whether it is the sandbox, which listens on this machine alone as no other platform does."""
    try:
        url = shown_url(load_settings().platform_url)
    except (DealcastError, OSError):
        return "unknown platform"
    return f"{url} (sandbox)" if urlsplit(url).hostname in LOOPBACK else url

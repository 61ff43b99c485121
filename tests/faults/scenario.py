"""The two axes of the matrix, as data: where a sync is killed, and what goes wrong at the platform meanwhile."""

from __future__ import annotations

from typing import Any

KILLS: tuple[str, ...] = (
    "before write intended",
    "before POST append",
    "after POST append",
    "after write accepted",
    "before write completed",
    "after write completed",
    "before write indexed",
    "before POST invocation",
    "after POST invocation",
    "after write forecast accepted",
    "before write forecast completed",
    "before download json",
    "after download csv",
    "before report",
    "before write certified",
    "after report",
)
"""Where SIGKILL strikes, once, the first time that a run comes by. A point between two steps stands for both: before a POST is after
its intent is written, before `completed` is written is after the poll that said so, and so on. Before ``indexed`` is written,
what the platform is known to hold is on disk already; before ``certified``, the report and the certificate are."""

_APPEND, _STATUS, _INVOKE = "/api/collection/*/append", "/api/collection/*/append/*", "/api/invocation"

FAULTS: dict[str, list[dict[str, Any]]] = {
    "append dropped": [{"kind": "drop", "method": "POST", "path": _APPEND}],
    "append done, answer lost": [{"kind": "drop_after_commit", "method": "POST", "path": _APPEND}],
    "append done, answer 502": [{"kind": "status_after_commit", "method": "POST", "path": _APPEND, "status": 502}],
    "append 202 without id": [{"kind": "no_id", "method": "POST", "path": _APPEND}],
    "append refused": [{"kind": "status", "method": "POST", "path": _APPEND, "status": 400}],
    "append ends in error": [{"kind": "fail", "method": "POST", "path": _APPEND}],
    "404 right after 202": [{"kind": "status", "method": "GET", "path": _STATUS, "status": 404, "count": 2}],
    "unknown status word": [{"kind": "unknown_status", "method": "GET", "path": _STATUS}],
    "every other GET 500": [{"kind": "flap", "method": "GET", "status": 500, "count": 10}],
    "invocation done, answer lost": [{"kind": "drop_after_commit", "method": "POST", "path": _INVOKE}],
    "forecast ends in error": [{"kind": "fail", "method": "POST", "path": _INVOKE}],
    "half a download": [{"kind": "half", "method": "GET", "path": "/api/invocation/*/csv"}],
}
"""What the sandbox's fault kit is told, for the whole of a cell: a fault that the killed run did not meet waits for the next."""

STORIES = ("same", "changed", "reverted")
"""What the export does after the kill: stays, moves on, or goes back to what an earlier sync completed."""

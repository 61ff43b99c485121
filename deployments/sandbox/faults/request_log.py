"""The log of product requests, for tests and rehearsals: how often was what asked, and how was it answered?"""

from __future__ import annotations

import time
from collections import deque
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LENGTH = 100_000
"""Requests remembered; older ones are forgotten."""


class RequestLog:
    """The requests, in the order of their arrival."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=LENGTH)

    def add(self, entry: dict[str, Any]) -> None:
        """Remember a request; the entry is completed when it is answered."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all requests."""
        self._entries.clear()

    def entries(self, method: str | None, path: str) -> list[dict[str, Any]]:
        """Return the requests with a method and a path that matches a shell pattern."""
        return [entry for entry in self._entries if method in {None, entry["method"]} and fnmatchcase(entry["path"], path)]


class RequestLogger:
    """ASGI middleware that writes every ``/api`` request into ``state.request_log``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and write down what became of it."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        entry = _entry(scope)
        scope["app"].state.request_log.add(entry)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            entry["fault"], entry["ids"] = scope["state"].get("fault"), scope["state"].get("ids")
            entry["seconds"] = round(time.perf_counter() - started, 6)


def _entry(scope: Scope) -> dict[str, Any]:
    """``status`` stays null where the connection was cut, ``fault`` and ``seconds`` until the answer is out; ``ids`` counts a delete's."""
    return {
        "at": datetime.now(UTC).isoformat(),
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "token_sent": "authorization" in Headers(scope=scope),
        "status": None,
        "fault": None,
        "ids": None,
        "seconds": None,
    }

"""Checks that every request passes first: its token, its media type, its size. What describes the routes is shown to all.

A refusal reads the whole body before it answers, so that a client still sending sees the answer and not a reset.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from secrets import compare_digest

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_UPLOAD = re.compile(r"/api/collection/[^/]+/data/deals/(append|override)")
_DELETE = re.compile(r"/api/collection/[^/]+/data/deals/delete")

_GUARDED = ("/api/", "/_sandbox")

JSON_BYTES = 1 << 20
"""Size of the largest JSON body taken."""


class Gatekeeper:
    """ASGI middleware for ``/api`` and ``/_sandbox``: 401, 413 and 415; sets ``request.state.organisation``."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http" or not scope["path"].startswith(_GUARDED):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        tokens: Mapping[str, str] = scope["app"].state.platform.tokens
        name = _organisation(tokens, headers.get("authorization", ""))
        wanted = _media_type(scope)
        limit = self._max_bytes if "/data/deals/" in scope["path"] else JSON_BYTES
        if name is None:
            await _refuse(401, "The token is missing or wrong: send the header `Authorization: Token <secret>`.", scope, receive, send)
        elif int(headers.get("content-length", "0")) > limit:
            await _refuse(413, _too_large(limit), scope, receive, send)
        elif wanted not in {None, headers.get("content-type", "").partition(";")[0].strip().lower()}:
            await _refuse(415, f"The body must be {wanted}.", scope, receive, send)
        else:
            scope.setdefault("state", {})["organisation"] = name
            await self._app(scope, _limited(receive, limit), send)


def _organisation(tokens: Mapping[str, str], authorization: str) -> str | None:
    for token, name in tokens.items():
        if compare_digest(authorization.encode(), f"Token {token}".encode()):
            return name
    return None


def _media_type(scope: Scope) -> str | None:
    """The media type that a request's body must have; None where no route takes one."""
    if scope["method"] == "DELETE":
        return "application/json" if _DELETE.fullmatch(scope["path"]) else None
    if scope["method"] != "POST":
        return None
    if _UPLOAD.fullmatch(scope["path"]):
        return "multipart/form-data"
    return "application/json" if scope["path"] in {"/api/collection", "/api/invocation"} else None


def _limited(receive: Receive, limit: int) -> Receive:
    """Count what comes without a declared length."""
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise HTTPException(413, _too_large(limit))
        return message

    return counted


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit} bytes."


async def _refuse(status: int, detail: str, scope: Scope, receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass
    headers = {"WWW-Authenticate": "Token"} if status == 401 else None
    await JSONResponse({"detail": detail}, status, headers)(scope, receive, send)

"""Making faults happen: ASGI middleware for ``/api`` that answers, alters or cuts what `faults` asks for."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.sandbox.faults.cut_connection import CLOSE, CUT
from deployments.sandbox.faults.fault_kit import FATES, Fault, Faults

_PIECES = 20


class FaultInjector:
    """Lets each request meet at most one fault; writes its kind into ``scope["state"]["fault"]``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._before: dict[str, Callable[[Fault, Scope, Receive, Send], Awaitable[None]]] = {
            "drop": self._drop,
            "drop_unread": self._drop_unread,
            "drop_after_commit": self._drop_after_commit,
            "delay": self._delay,
            "status": self._status,
            "status_after_commit": self._status_after_commit,
            "flap": self._status,
            "redirect": self._redirect,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or let its fault happen."""
        fault = None
        if scope["type"] == "http" and scope["path"].startswith("/api/"):
            faults: Faults = scope["app"].state.platform.faults
            fault = faults.take(scope["method"], scope["path"])
        if fault is None:
            await self._app(scope, receive, send)
            return
        scope["state"]["fault"] = fault.kind
        if fault.kind in FATES:
            scope["state"]["fate"] = fault.kind
            await self._app(scope, receive, send)
        else:
            await self._before.get(fault.kind, self._altered)(fault, scope, receive, send)

    async def _drop(self, _: Fault, scope: Scope, receive: Receive, __: Send) -> None:
        await _drain(receive)
        await _close(scope[CUT], receive)

    async def _drop_unread(self, _: Fault, scope: Scope, receive: Receive, __: Send) -> None:
        await _close(scope[CUT], receive)

    async def _drop_after_commit(self, _: Fault, scope: Scope, receive: Receive, __: Send) -> None:
        await self._answer(scope, receive)
        await _close(scope[CUT], receive)

    async def _delay(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(fault.seconds)
        await self._app(scope, receive, send)

    async def _status(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await _drain(receive)
        headers = None if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        body = {"detail": f"The fault `{fault.kind}` was set."}
        await JSONResponse(body, fault.status, headers)(scope, receive, send)

    async def _status_after_commit(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive)
        await self._status(fault, scope, _nothing, send)

    async def _redirect(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        await _drain(receive)
        await Response(status_code=307, headers={"Location": fault.location or ""})(scope, receive, send)

    async def _altered(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        start, body = await self._answer(scope, receive)
        if fault.kind == "half":
            await _send_start(send, start, len(body))
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await _close(scope[CLOSE], receive)
        elif fault.kind == "slow":
            await _send_start(send, start, len(body))
            await _trickle(send, body, fault.seconds)
        elif fault.kind == "garbage":
            content = fault.body if fault.base64 is None else base64.b64decode(fault.base64)
            await Response(content, start["status"], media_type="text/html")(scope, receive, send)
        else:
            await JSONResponse(_altered_json(json.loads(body), fault), start["status"])(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """Have the request done, and keep the answer back."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])


def _altered_json(content: dict[str, Any], fault: Fault) -> dict[str, Any]:
    if fault.kind == "no_id":
        return {name: value for name, value in content.items() if name != "id"}
    return content | (fault.fields if fault.kind == "altered" else {"status": fault.word})


async def _send_start(send: Send, start: Message, length: int) -> None:
    headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    await send({**start, "headers": [*headers, (b"content-length", str(length).encode())]})


async def _trickle(send: Send, body: bytes, seconds: float) -> None:
    size = max(len(body) // _PIECES, 1)
    for at in range(0, len(body), size):
        await send({"type": "http.response.body", "body": body[at : at + size], "more_body": True})
        await asyncio.sleep(seconds / _PIECES)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    while (message := await receive())["type"] == "http.request" and message.get("more_body"):
        pass


async def _close(how: Callable[[], None], receive: Receive) -> None:
    """Close the connection, and return once the server knows: it would answer 500 otherwise."""
    how()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}

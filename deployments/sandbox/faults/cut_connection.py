"""Cutting a connection for real: the one thing an ASGI application cannot do by itself."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CUT = "sandbox.cut"
"""Key of the ASGI scope that holds a function which closes the connection at once, unsent bytes lost."""

CLOSE = "sandbox.close"
"""The same, once what was sent is on its way."""


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with :data:`CUT` and :data:`CLOSE` in every scope."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        served = self.app

        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            scope[CUT], scope[CLOSE] = self.transport.abort, self.transport.close
            await served(scope, receive, send)

        self.app = cuttable

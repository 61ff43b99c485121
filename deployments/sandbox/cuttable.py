"""Cutting a connection for real: the one thing an ASGI application cannot do by itself."""

from __future__ import annotations

from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

CUT = "sandbox.cut"
"""Key of the ASGI scope that holds a function which closes the connection at once, without an answer."""


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with :data:`CUT` in every scope."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        served = self.app

        async def cuttable(scope: Scope, receive: Receive, send: Send) -> None:
            scope[CUT] = self.transport.abort
            await served(scope, receive, send)

        self.app = cuttable

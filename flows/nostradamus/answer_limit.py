"""An end to an exchange that goes on for too long, whichever part of it: httpx limits the time between two pieces, and has no other."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx

_SAID = "the answer was not whole after {:.0f} s"


class AnswerLimit:
    """Shuts the connection of an exchange whose answer is not there in time, counted from the end of the request; one at a time."""

    def __init__(self) -> None:
        self._stream: Any = None
        self._timer: threading.Timer | None = None
        self._seconds: float | None = None
        self._late = False

    @contextmanager
    def after(self, seconds: float, *, begun: bool = False) -> Iterator[None]:
        """Bound the exchange in the block, if httpx calls :meth:`trace` of it; ``begun`` is one whose request is out already.

        Raises:
            httpx.ReadTimeout: the answer was not whole after so many ``seconds``.
        """
        self._seconds, self._late = seconds, False
        if begun:
            self._start(seconds)
        try:
            yield
        except httpx.HTTPError as error:
            if self._late:
                raise httpx.ReadTimeout(_SAID.format(seconds), request=error.request) from error
            raise
        else:
            if self._late:  # a body that says no length ends where its connection does
                raise httpx.ReadTimeout(_SAID.format(seconds))
        finally:
            self._seconds = None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take in a step of the exchange, as httpx's extension `trace` tells it."""
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
        elif self._seconds is not None and event.endswith(".send_request_body.complete"):
            self._start(self._seconds)

    def _start(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True
        self._timer.start()

    def _shut(self) -> None:
        self._late = True
        with suppress(OSError):  # it is closed already
            self._stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

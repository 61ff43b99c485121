"""Running the sandbox: in a thread for a while, or in the foreground until a signal."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shlex
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from deployments.sandbox.api.app import LOOPBACK_HOSTS, MAX_UPLOAD_BYTES, PROCESSING_SECONDS, QUEUED_SECONDS, create_app
from deployments.sandbox.faults.cut_connection import CuttableProtocol

HOST = "127.0.0.1"

_ANSWER_SECONDS = 300
"""Only a sandbox that hangs takes so long to answer a control route, on a busy machine too."""

_STOP_SECONDS = 2
"""Seconds that requests in hand may take when the sandbox stops."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A running sandbox: its base URL, and the token of its organisation ``sandbox``, which its control routes ask for too."""

    url: str
    token: str

    @property
    def usage(self) -> str:
        """Instructions for its use from another terminal."""
        return (
            f"The sandbox answers at {self.url} (Ctrl-C ends it). Commands in another terminal use it after\n\n"
            f"  export DEALCAST_PLATFORM_URL={self.url} DEALCAST_TOKEN={shlex.quote(self.token)}\n\n"
            "and its control routes (faults, speed, requests) explain themselves:\n\n"
            f'  curl -H "Authorization: Token $DEALCAST_TOKEN" {self.url}/_sandbox/'
        )

    def control(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Ask a control route, such as ``control("POST", "faults", {...})``, and return its JSON answer.

        Raises:
            httpx.HTTPStatusError: the route refused.
        """
        headers = {"Authorization": f"Token {self.token}"}
        answer = httpx.request(method, f"{self.url}/_sandbox/{path}", json=body, headers=headers, trust_env=False, timeout=_ANSWER_SECONDS)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@contextlib.contextmanager
def running(
    data: Path | None = None,
    token: str | None = None,
    port: int = 0,
    *,
    host: str = HOST,
    other_tokens: Mapping[str, str] | None = None,
    queued_seconds: float = QUEUED_SECONDS,
    processing_seconds: float = PROCESSING_SECONDS,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
) -> Iterator[Sandbox]:
    """Run a sandbox in a thread.

    Args:
        data: folder that keeps everything across restarts; None keeps nothing.
        token: secret of the organisation ``sandbox``; None makes one that nobody knows.
        port: 0 takes a free one.
        host: address to bind.
        other_tokens: further secrets -> their organisations.
        queued_seconds: how long a job is `queued` at least.
        processing_seconds: how long a job is `in_progress` at least.
        max_upload_bytes: size of the largest body taken.

    Raises:
        OSError: the port is taken, or another sandbox works in the folder.
    """
    token = token or secrets.token_urlsafe(24)
    app = create_app(
        data,
        tokens={token: "sandbox", **(other_tokens or {})},
        queued_seconds=queued_seconds,
        processing_seconds=processing_seconds,
        max_upload_bytes=max_upload_bytes,
        hosts=LOOPBACK_HOSTS if host in LOOPBACK_HOSTS else ("*",),
    )
    with _alone_in(data), _listen(host, port) as listening, _answering(app, listening):
        yield Sandbox(f"http://{host}:{listening.getsockname()[1]}", token)


@contextlib.contextmanager
def _answering(app: FastAPI, listening: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app, http=CuttableProtocol, ws="none", lifespan="on", log_level="warning", timeout_graceful_shutdown=_STOP_SECONDS
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="sandbox", daemon=True)
    thread.start()
    while thread.is_alive() and not server.started:
        time.sleep(0.002)
    if not server.started:
        raise RuntimeError("The sandbox did not start: its log says why.")
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def _alone_in(folder: Path | None) -> Iterator[None]:
    """Keep a second sandbox out of the folder; the operating system lets go when the process dies."""
    if folder is None:
        yield
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "in-use").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(f"Another sandbox works in {folder}: stop it, or choose another folder.") from error
        yield


def _listen(host: str, port: int) -> socket.socket:
    """Open the port. asyncio switches Nagle's delay of 40 ms off only where the protocol is named, which `create_server` does not."""
    [(family, kind, protocol, _, address), *_] = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(512)
    except OSError:
        listening.close()
        raise
    return listening


def serve(
    data: Path | None = None,
    token: str | None = None,
    port: int = 8000,
    *,
    host: str = HOST,
    queued_seconds: float = QUEUED_SECONDS,
    processing_seconds: float = PROCESSING_SECONDS,
    on_ready: Callable[[Sandbox], None] = lambda _: None,
) -> None:
    """Run a sandbox until SIGINT or SIGTERM; returns when it has stopped cleanly. Call it from the main thread.

    ``on_ready`` is called once it answers; the other arguments are those of :func:`running`.

    Raises:
        OSError: the port is taken, or another sandbox works in the folder.
    """
    stop = threading.Event()

    def on_signal(_: int, __: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with running(data, token, port, host=host, queued_seconds=queued_seconds, processing_seconds=processing_seconds) as sandbox:
            on_ready(sandbox)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""A platform that answers what a test wants: a real HTTP server on loopback that keeps what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows.nostradamus import Nostradamus

TOKEN = "secret-token-4711"


@dataclass
class Answers:
    """Answers to come, one a request, the last one for ever; and the requests so far."""

    url: str = ""
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def will(self, status: int, body: bytes = b"{}", **headers: str) -> Answers:
        """Answer ``status`` with ``body``; underscores in header names are hyphens."""
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, body))
        return self


@pytest.fixture
def serve() -> Iterator[Callable[[], Answers]]:
    """Start servers that answer what they are told."""
    started: list[ThreadingHTTPServer] = []

    def start() -> Answers:
        told = Answers()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self._body()
                told.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                status, headers, content = told.answers.pop(0) if len(told.answers) > 1 else told.answers[0]
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    blocks = []
                    while size := int(self.rfile.readline(), 16):
                        blocks.append(self.rfile.read(size + 2)[:-2])
                    self.rfile.readline()
                    return b"".join(blocks)
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()  # a shutdown waits for as long as it looks away
        started.append(server)
        told.url = f"http://127.0.0.1:{server.server_port}"
        return told

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(serve: Callable[[], Answers]) -> Answers:
    return serve()


@pytest.fixture
def client(server: Answers) -> Iterator[Nostradamus]:
    with Nostradamus(server.url, TOKEN) as platform:
        yield platform

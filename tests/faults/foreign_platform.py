"""A second double of the platform, written from its contract alone: no line of it is the sandbox's or dealcast's.

Where the contract leaves something open it answers otherwise than the sandbox does: a request is named ``requestId`` where a sibling
product does so, answers have keys that nobody documented, a forecast's fields have other names and no workbook, the list of collections
has a shape of its own. What holds with both doubles does not hang on a guess that dealcast and the sandbox share.

A thread answers each connection. Uploads of a collection are taken in one after another, in the order of their acceptance. Every request is
recorded with the ids that its body named, and an invocation with the uploads that were open when it came.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import uuid4

from tests.faults.foreign_contract import COLUMNS, Deals, Fault, broken, form, predict, spoilt

_INVALID = "Validation failed"
_REPORT = [{"DATA": {"DATAFRAME_CHECK": [{"schema": "DealsDataModel", "column": "status", "check": "isin", "error": "not said"}]}}]


@dataclass(slots=True)
class Recorded:
    """A request as it came: ``ids`` are those in its body, ``open`` the uploads under way, ``status`` None where no answer went out."""

    method: str
    path: str
    ids: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    status: int | None = None
    fault: str | None = None


@dataclass(slots=True)
class _Job:
    """An upload, a delete or an invocation under way."""

    id: str
    collection: str
    due: float
    apply: Callable[[], str | None]
    body: dict[str, Any]
    status: str = "queued"
    message: str | None = None


class ForeignPlatform:
    """The platform's state; ``control`` takes the orders that a cell gives, the same as the sandbox's own route does."""

    def __init__(self, seconds: float) -> None:
        self.token, self.url = "foreign-token", ""
        self.requests: list[Recorded] = []
        self.deals: dict[str, Deals] = {}
        self.names: dict[str, str] = {}
        self.lock = threading.RLock()
        self.there = threading.Event()
        self._faults: list[Fault] = []
        self._jobs: dict[str, _Job] = {}
        self._seconds = seconds

    def control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Set or clear faults, set the speed, list or forget the requests."""
        what, _, query = path.partition("?")
        with self.lock:
            if what == "faults":
                self._faults = [*self._faults, Fault(**body)] if method == "POST" and body else []
            elif what == "speed" and body:
                self._seconds = float(body["queued_seconds"]) + float(body["processing_seconds"])
                for number, job in enumerate(self._jobs.values()):
                    job.due = time.monotonic() + self._seconds + number * 1e-6
            elif what == "requests" and method == "DELETE":
                self.requests.clear()
            elif what == "requests":
                asked = {name: values[0] for name, values in parse_qs(query).items()}
                return [
                    asdict(each)
                    for each in self.requests
                    if asked.get("method") in (None, each.method) and fnmatchcase(each.path, asked.get("path", "*"))
                ]
        return None

    def take_fault(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets."""
        return next((fault for fault in self._faults if fault.strikes(method, path)), None)

    def advance(self) -> None:
        """Let time pass: what is due is done, and of a collection in the order of acceptance."""
        for job in list(self._jobs.values()):
            left = job.due - time.monotonic()
            if job.status not in ("completed", "error"):
                job.status = "queued" if left > self._seconds / 2 else "in_progress"
                if left <= 0:
                    job.message = job.apply()
                    job.status = "completed" if job.message is None else "error"

    def open_uploads(self, collection: str) -> list[str]:
        """Ids of the uploads of a collection that have not ended."""
        self.advance()
        return [job.id for job in self._jobs.values() if job.collection == collection and job.status in ("queued", "in_progress")]

    def job(self, identifier: str) -> dict[str, Any] | None:
        """The state of a job as its status answer, or None."""
        self.advance()
        job = self._jobs.get(identifier)
        if job is None:
            return None
        state = {**job.body, "status": job.status, "message": job.message}
        if "dataType" in job.body:
            state["validationErrors"] = _REPORT if job.message == _INVALID else None
        elif job.status == "completed":
            flags = {"jsonAvailable": True, "csvAvailable": True, "xlsxAvailable": False}
            state["invocationResults"] = {"r-1": {"primaryResult": True, "status": "completed", **flags}}
        return state

    def begin(self, collection: str, kind: str, work: Callable[[], str | None], fault: Fault | None, **body: Any) -> dict[str, Any]:
        """Accept a job: it is done after those of its collection that came before."""
        identifier = f"{kind}-{len(self._jobs) + 1:04d}"
        before = [job.due for job in self._jobs.values() if job.collection == collection]
        due = max([time.monotonic(), *before]) + self._seconds
        apply = work if fault is None or fault.kind != "fail" else lambda: "It failed, as was asked for"
        named = {"id": identifier, "collectionId": collection, "etag": "W/1", "links": {"self": None}, **body}
        self._jobs[identifier] = _Job(identifier, collection if "dataType" in body else "", due, apply, named)
        return {**named, "status": "queued", "message": None}


@dataclass(slots=True)
class _Request:
    """What a route is asked with, besides its path."""

    body: bytes
    noted: Recorded
    fault: Fault | None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    platform: ForeignPlatform

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, platform = urlsplit(self.path).path, self.platform
        with platform.lock:
            fault, noted = platform.take_fault(self.command, path), Recorded(self.command, path)
            noted.fault = fault.kind if fault else None
            platform.requests.append(noted)
            if fault and fault.kind in ("drop", "status", "flap"):
                status, answer = fault.status, json.dumps({"detail": "not now"}).encode()
            else:
                status, answer = self._answer(path, body, noted, fault)
            if fault and fault.kind == "status_after_commit":
                status, answer = fault.status, b"upstream"
            lost = fault is not None and fault.kind in ("drop", "drop_after_commit")
            noted.status = None if lost else status
        self._respond(status, spoilt(answer, fault), fault, lost=lost)

    do_GET = do_POST = do_DELETE = _serve  # noqa: N815 - http.server's names

    def _respond(self, status: int, answer: bytes, fault: Fault | None, *, lost: bool) -> None:
        with suppress(OSError):  # a client that gave up
            if lost:
                self.close_connection = True
                self.connection.shutdown(SHUT_RDWR)
                return
            if fault and fault.kind == "delay":
                time.sleep(fault.seconds)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            half = fault is not None and fault.kind == "half"
            self.wfile.write(answer[: len(answer) // 2] if half else answer)
            self.close_connection = self.close_connection or half

    def _answer(self, path: str, body: bytes, noted: Recorded, fault: Fault | None) -> tuple[int, bytes]:
        if self.headers.get("Authorization") != f"Token {self.platform.token}":
            return 401, b'{"detail": "Invalid token."}'
        for method, pattern, name in _ROUTES:
            if self.command == method and (found := re.fullmatch(pattern, path)):
                answer: tuple[int, bytes] = getattr(self, name)(*map(unquote, found.groups()), _Request(body, noted, fault))
                return answer
        return 404, b"<h1>Not found</h1>"

    def _listed(self, _: _Request) -> tuple[int, bytes]:
        asked = parse_qs(urlsplit(self.path).query)
        offset, limit = int(asked.get("offset", ["0"])[0]), int(asked.get("limit", ["20"])[0])
        listed = [{"uid": 7, "id": identifier, "name": name, "timezone": "Europe/Rome"} for identifier, name in self.platform.names.items()]
        return 200, json.dumps({"total": len(listed), "page": {"entries": listed[offset : offset + limit]}}).encode()

    def _new_collection(self, request: _Request) -> tuple[int, bytes]:
        asked, identifier = json.loads(request.body), f"c-{uuid4().hex}"  # several platforms share a Prefect server, whose locks go by it
        self.platform.deals[identifier], self.platform.names[identifier] = {}, asked["name"]
        return 201, json.dumps({"id": identifier, "product": asked["product"]}).encode()

    def _upload(self, collection: str, mode: str, request: _Request) -> tuple[int, bytes]:
        if collection not in self.platform.deals:
            return 404, b'{"message": "no such collection"}'
        parts = form(self.headers["Content-Type"], request.body)
        if set(parts) != {"file", "separator"}:
            return 400, b'{"message": "file and separator are wanted"}'
        reader = csv.DictReader(io.StringIO(parts["file"], newline=""), delimiter=parts["separator"])
        rows = [dict(row) for row in reader]
        request.noted.ids = [row["id"] for row in rows]
        header = list(reader.fieldnames or ())

        def work() -> str | None:
            if broken(rows, header):
                return _INVALID
            kept = {} if mode == "override" else self.platform.deals[collection]
            self.platform.deals[collection] = kept | {row["id"]: row for row in rows}
            return None

        return 202, json.dumps(self.platform.begin(collection, mode, work, request.fault, dataType="deals", separator=",")).encode()

    def _delete(self, collection: str, request: _Request) -> tuple[int, bytes]:
        if collection not in self.platform.deals:
            return 404, b'{"message": "no such collection"}'
        gone = list(json.loads(request.body).get("args", {}).get("ids") or self.platform.deals[collection])
        request.noted.ids = gone

        def work() -> str | None:
            for identifier in gone:
                self.platform.deals[collection].pop(identifier, None)
            return None

        return 202, json.dumps(self.platform.begin(collection, "delete", work, request.fault, dataType="deals", separator=None)).encode()

    def _status(self, collection: str, job: str, _: _Request) -> tuple[int, bytes]:
        state = self.platform.job(job)
        return _found(state if state and state["collectionId"] == collection else None)

    def _invoke(self, request: _Request) -> tuple[int, bytes]:
        asked = json.loads(request.body)
        collection, args = asked["collectionId"], asked["args"]
        request.noted.open = self.platform.open_uploads(collection)
        if collection not in self.platform.deals or not 1 <= args["horizon"] <= 12:
            return 400, b'{"message": "no such collection, or no such horizon"}'
        deals = self.platform.deals[collection]
        request.noted.ids = sorted(deals)
        accepted = self.platform.begin(
            collection, "forecast", lambda: None if deals else "no data", request.fault, predicted=predict(deals, **args)
        )
        return 202, json.dumps(accepted).encode()

    def _invocation(self, job: str, _: _Request) -> tuple[int, bytes]:
        return _found(self.platform.job(job))

    def _result(self, job: str, form: str, _: _Request) -> tuple[int, bytes]:
        state = self.platform.job(job)
        if state is None or state["status"] != "completed":
            return 409, b'{"error": {"code": "not-ready"}}'
        if form == "json":
            return 200, json.dumps(state["predicted"]).encode()
        return 200, "".join(
            ["period,expectedWon\n", *(f"{each['period']},{each['expectedWon']}\n" for each in state["predicted"])]
        ).encode()

    def _dump(self, collection: str, _: _Request) -> tuple[int, bytes]:
        if collection not in self.platform.deals:
            return 404, b"{}"
        self.platform.advance()
        sink = io.StringIO(newline="")
        writer = csv.DictWriter(sink, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.platform.deals[collection].values())
        return 200, sink.getvalue().encode()


_ROUTES = (
    ("GET", "/api/collection", "_listed"),
    ("POST", "/api/collection", "_new_collection"),
    ("POST", "/api/collection/([^/]+)/data/deals/(append|override)", "_upload"),
    ("DELETE", "/api/collection/([^/]+)/data/deals/delete", "_delete"),
    ("GET", "/api/collection/([^/]+)/data/deals/(?:append|override|delete)/([^/]+)", "_status"),
    ("GET", "/api/collection/([^/]+)/data/deals/dump", "_dump"),
    ("POST", "/api/invocation", "_invoke"),
    ("GET", "/api/invocation/([^/]+)", "_invocation"),
    ("GET", "/api/invocation/([^/]+)/(json|csv)", "_result"),
)
"""The contract's endpoints, each with the method that serves it."""


def _found(state: dict[str, Any] | None) -> tuple[int, bytes]:
    if state is None:
        return 404, b'{"message": {"reason": "unknown", "codes": [4, 4]}}'
    return 200, json.dumps({name: value for name, value in state.items() if name != "predicted"}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = False  # else another may get the same port between its binding and its listening

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def foreign_platform(seconds: float = 0.05, *, away: float = 0.0) -> Iterator[ForeignPlatform]:
    """Run one for the length of the block; a job of its takes ``seconds``, and connections are refused until it was ``away``."""
    platform = ForeignPlatform(seconds=seconds)
    handler = type("Handler", (_Handler,), {"platform": platform})
    server = _Server(("127.0.0.1", 0), handler, bind_and_activate=False)
    server.server_bind()
    platform.url = f"http://127.0.0.1:{server.server_address[1]}"
    ended = threading.Event()
    if not away:
        platform.there.set()
        server.server_activate()

    def serve() -> None:
        if away:
            ended.wait(away)
            server.server_activate()
            platform.there.set()
        server.serve_forever(poll_interval=0.05)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield platform
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()

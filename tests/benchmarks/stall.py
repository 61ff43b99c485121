"""Whether Prefect's server on SQLite stands still where several write at once: as dealcast has it, and as Prefect has it.

``REQUESTS=`` of them (10000) by four writers at full speed; without the remedy a fifth of that, which takes minutes: it is there to be
seen, and not to be kept to a limit. A stall is an answer of `/health`, asked for all the while, that took 10 s.
``python -m tests.benchmarks stall``.
"""

from __future__ import annotations

import math
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx

from tests.benchmarks.result import Row
from tests.faults.server import prefect_server

WRITERS = 4
REQUESTS_OF_A_RUN = 8
STALL = 10.0
AS_PREFECT_HAS_IT = {"PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false"}
"""A server that imports no collections, so not `flows.runtime.server_plugin` either."""

_EDGES = (0.05, 0.1, 0.5, 1, 2, 10, 55, float("inf"))


@dataclass(frozen=True, slots=True)
class Answer:
    """The status of an answer, and the seconds it took."""

    status: int
    seconds: float


def run() -> list[Row]:
    """Stalls, the slowest answers, and those that were 503, with and without the remedy."""
    requests = int(os.environ.get("REQUESTS", "10000"))
    return [*_measure("turns", requests, {}, kept=True), *_measure("as Prefect has it", requests // 5, AS_PREFECT_HAS_IT, kept=False)]


def _measure(how: str, requests: int, settings: dict[str, str], *, kept: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as place, prefect_server(Path(place) / "prefect", **settings) as url:
        begun = time.monotonic()
        with _watched(url) as health:
            answers = write_at_once(url, WRITERS, math.ceil(requests / WRITERS / REQUESTS_OF_A_RUN))
        wall = time.monotonic() - begun
    seconds = sorted(answer.seconds for answer in answers)
    longest, stalls, busy = seconds[-1], sum(one >= STALL for one in health.seconds), sum(one.status == 503 for one in answers)
    p50, p99 = (seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
    first = f"{how}: {len(answers)} requests of {WRITERS} writers"

    def row(what: str, measured: str, limit: str, *, good: bool) -> Row:
        return Row(f"{how}: {what}", measured, limit if kept else "", good or not kept)

    return [
        Row(first, f"{wall:.0f} s, {len(answers) / wall:.0f} a second"),
        Row(f"{how}: histogram", _histogram(seconds)),
        row("stalls; per 1000 requests", f"{stalls}; {1000 * stalls / len(answers):.1f}", "= 0", good=not stalls),
        row("answers 503", str(busy), "= 0", good=not busy),
        row("p50, p99, longest", f"{p50:.3f}, {p99:.3f}, {longest:.2f} s", "longest < 2 s", good=longest < 2),
    ]


def _histogram(seconds: list[float]) -> str:
    counts = Counter(next(edge for edge in _EDGES if one < edge) for one in seconds)
    return ", ".join(f"< {edge:g} s: {counts[edge]}" for edge in _EDGES if counts[edge])


def write_at_once(url: str, writers: int, runs: int) -> list[Answer]:
    """Have ``writers`` threads each take ``runs`` flow runs through their life by plain HTTP; returns every answer of the server's API."""
    with ThreadPoolExecutor(writers) as pool:
        return [answer for answers in pool.map(lambda number: _Writer(url, number).write(runs), range(writers)) for answer in answers]


class _Writer:
    """A client that asks again, as Prefect's own does, where the server answers 503."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._number, self._answers = url, number, list[Answer]()

    def write(self, runs: int) -> list[Answer]:
        """Make runs, set their states, log, emit events, show artifacts."""
        with httpx.Client(base_url=self._url, timeout=300, trust_env=False) as client:
            flow = self._post(client, "/flows/", {"name": f"flow-{self._number}"})["id"]
            for _ in range(runs):
                run = self._post(client, "/flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})["id"]
                for state in ("RUNNING", "COMPLETED"):
                    self._post(client, f"/flow_runs/{run}/set_state", {"state": {"type": state, "name": state.title()}})
                    log = {"name": "flow", "level": 20, "message": "well", "timestamp": "2026-11-26T00:00:00Z", "flow_run_id": run}
                    self._post(client, "/logs/", [log])
                about = {"occurred": "2026-11-26T00:00:00Z", "resource": {"prefect.resource.id": f"run.{run}"}, "payload": {}}
                self._post(client, "/events", [{"id": str(uuid4()), "event": "written", **about}])
                for key in ("first", "second"):
                    self._post(client, "/artifacts/", {"key": key, "type": "markdown", "data": "x", "flow_run_id": run})
        return self._answers

    def _post(self, client: httpx.Client, path: str, body: object) -> dict[str, str]:
        while True:
            begun = time.monotonic()
            answer = client.post(path, json=body)
            self._answers.append(Answer(answer.status_code, time.monotonic() - begun))
            if answer.status_code != 503:
                answer.raise_for_status()
                return dict(answer.json() or {}) if answer.content and path != "/logs/" else {}
            time.sleep(0.1)


class _watched:  # noqa: N801 - read as a block: `with _watched(url) as health`
    """Ask for the server's health all the while."""

    def __init__(self, url: str) -> None:
        self.seconds: list[float] = []
        self._url, self._over = url, threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> _watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=300, trust_env=False) as client:
            while not self._over.wait(0.2):
                begun = time.monotonic()
                client.get("/health").raise_for_status()
                self.seconds.append(time.monotonic() - begun)

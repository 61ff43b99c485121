"""Requests for each sync beside a poller that looks every second, and how soon the end is seen.

Real syncs against a platform that takes so long, the first of a collection without history, the others with it; the times that
nobody would wait for are computed from the same delays. ``python -m tests.benchmarks polling``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import accumulate, chain, repeat
from pathlib import Path

import httpx

from flows.delivery.backoff import poll_backoff
from flows.ledger.store import Entry
from flows.nostradamus import Nostradamus
from flows.settings import Settings
from tests.benchmarks.result import Row, ratio
from tests.benchmarks.servers import TOKEN, servers
from tests.benchmarks.sync import make_export

REAL = (5.0, 20.0, 60.0)
COMPUTED = (300.0, 1800.0)
UNKNOWN = (5.0, 20.0, 60.0)
"""Times of a platform of which nothing is known yet, as a first sync meets it: no limit holds there, since within a tenth of the time
waited no one can look less often than each second for the first ten."""

SYNCS = 3
DEALS = 10
FEWER = 0.5
LATE = 0.1
"""Share of the time until then by which the end may be seen too late."""


def run() -> list[Row]:
    """For each platform time the requests and the lateness, of the last of the syncs."""
    rows = []
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        for took in REAL:
            httpx.put(f"{url}/_sandbox/speed", json={"queued_seconds": 0, "processing_seconds": took}).raise_for_status()
            rows += _row(took, *_real(Path(place), url), "after two others")
    for took in COMPUTED:
        for expected, known in ((took, "with history, computed"), (None, "without history, computed")):
            rows += _row(took, *_computed(took, expected), known)
    for took in UNKNOWN:
        rows += [Row(row.what, row.measured) for row in _row(took, *_computed(took, None), "without history, computed")]
    return rows


def _row(took: float, requests: int, seen: float, how: str) -> list[Row]:
    return [
        ratio(f"{took:.0f} s, {how}: requests / a 1 s poller's", requests / took, at_most=FEWER),
        ratio(f"{took:.0f} s, {how}: seen late, of the time until then", (seen - took) / seen, at_most=LATE),
    ]


def _real(place: Path, url: str) -> tuple[int, float]:
    """GETs of the last sync of a new collection, and the seconds after which it saw the end."""
    with Nostradamus(url, TOKEN) as platform:
        collection = platform.create_collection("polling", "Europe/Rome").id
    command = ["-m", "deployments.cli", "sync", "--crm", "canonical", "--no-forecast", "--full", "--accept-shrink", "--quiet"]
    command += ["--collection", collection]
    before = 0
    for number in range(SYNCS):
        before = _looks(url, collection)
        export = make_export(place / f"{number}.csv", DEALS + number)
        subprocess.run([sys.executable, *command, str(export)], check=True, capture_output=True)
    folder = Path(os.environ["DEALCAST_HOME"]) / "ledger" / collection
    entries = [Entry.model_validate(json.loads(file.read_bytes())) for file in folder.glob("[!_]*.json")]
    seen = max(entries, key=lambda entry: entry.created_at).upload.seconds()
    assert seen is not None
    return _looks(url, collection) - before, seen


def _looks(url: str, collection: str) -> int:
    return len(httpx.get(f"{url}/_sandbox/requests", params={"method": "GET", "path": f"*/{collection}/*/append/*"}).json())


def _computed(took: float, expected: float | None) -> tuple[int, float]:
    waits = poll_backoff(Settings(), expected)
    looks = enumerate(accumulate(chain(waits, repeat(waits[-1]))), start=1)
    return next((number, moment) for number, moment in looks if moment >= took)

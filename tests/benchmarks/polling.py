"""Requests for each sync beside a poller that looks every second, and how soon the end is seen.

Real syncs against a platform that takes so long; the times that nobody would wait for are computed from the same delays.
``python -m tests.benchmarks polling``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from itertools import accumulate, chain, repeat
from pathlib import Path

from deployments.sandbox import Sandbox
from flows.delivery.backoff import poll_backoff
from flows.ledger.store import Entry
from flows.nostradamus import Nostradamus
from flows.settings import Settings
from tests.benchmarks.result import Row, ratio
from tests.benchmarks.servers import TOKEN, servers
from tests.benchmarks.sync import make_export

REAL = (20.0, 60.0)
COMPUTED = (120.0, 300.0, 1800.0)
DEALS = 10
FEWER = {60.0: 1 / 2, 120.0: 1 / 3, 300.0: 1 / 3, 1800.0: 1 / 3}
"""Platform's seconds -> the most requests, as a share of a 1 s poller's. Within a tenth of the time waited no one can poll less often
than each second for the first ten, so that no limit holds below a minute, and a third only from two minutes on."""

LATE = 0.1
"""Share of the time until then by which the end may be seen too late."""


def run() -> list[Row]:
    """For each platform time the requests and the lateness."""
    rows = []
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        for took in REAL:
            Sandbox(url, TOKEN).control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": took})
            rows += _row(took, *_real(Path(place), url), "a real sync")
    for took in COMPUTED:
        rows += _row(took, *_computed(took), "computed")
    return rows


def _row(took: float, requests: int, seen: float, how: str) -> list[Row]:
    return [
        ratio(f"{took:.0f} s, {how}: requests / a 1 s poller's", requests / took, at_most=FEWER.get(took)),
        ratio(f"{took:.0f} s, {how}: seen late, of the time until then", (seen - took) / seen, at_most=LATE),
    ]


def _real(place: Path, url: str) -> tuple[int, float]:
    """GETs of the sync of a new collection, and the seconds after which it saw the end."""
    with Nostradamus(url, TOKEN) as platform:
        collection = platform.create_collection("polling", "Europe/Rome").id
    command = ["-m", "deployments.cli", "sync", "--crm", "canonical", "--no-forecast", "--quiet", "--collection", collection]
    export = make_export(place / "deals.csv", DEALS)
    subprocess.run([sys.executable, *command, str(export)], check=True, capture_output=True)
    folder = Path(os.environ["DEALCAST_HOME"]) / "ledger" / collection
    [entry] = [Entry.model_validate(json.loads(file.read_bytes())) for file in folder.glob("[!_]*.json")]
    seen = entry.upload.seconds()
    assert seen is not None
    return _looks(url, collection), seen


def _looks(url: str, collection: str) -> int:
    return len(Sandbox(url, TOKEN).control("GET", f"requests?method=GET&path=*/{collection}/*/append/*"))


def _computed(took: float) -> tuple[int, float]:
    waits = poll_backoff(Settings())
    looks = enumerate(accumulate(chain(waits, repeat(waits[-1]))), start=1)
    return next((number, moment) for number, moment in looks if moment >= took)

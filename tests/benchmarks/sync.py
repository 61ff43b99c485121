"""A whole sync as a process of its own, beside what people would use instead; every one in turn, medians of three.

*Client time* is wall time less the time in which the platform holds the request, from its 202 to the moment it is done, as
the sandbox's own list of uploads tells it. The Prefect server and the sandbox run as processes of their own and are not counted.
``python -m tests.benchmarks sync``; ``N=`` deals, 1M by default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx

from flows.deals_csv import write_deals_csv
from flows.nostradamus import Nostradamus
from tests.benchmarks.deals import make_deals
from tests.benchmarks.servers import TOKEN, servers

ROUNDS = 3
_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Taken:
    """One process: client seconds, CPU seconds, peak resident bytes."""

    client: float
    cpu: float
    peak: int


def run() -> bool:
    """Print the table of medians and the ratios; False where a limit is not kept."""
    deals = int(os.environ.get("N", "1_000_000"))
    with tempfile.TemporaryDirectory() as place, servers(Path(place)) as url:
        export = make_export(Path(place) / "deals.csv", deals)
        contenders = {
            "dealcast sync": ["-m", "deployments.cli", "sync", str(export), "--crm", "canonical", "--no-forecast", "--collection"],
            "plain script": ["-m", "tests.benchmarks.syncing.plain_script", str(export), url, TOKEN],
            "dlt": ["-m", "tests.benchmarks.syncing.dlt_pipeline", str(export), url, TOKEN],
            "bare": ["-m", "tests.benchmarks.syncing.bare", str(export), url, TOKEN],
        }
        taken: dict[str, list[Taken]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, command in contenders.items():
                taken[name].append(measure([sys.executable, *command], url))
    return _print(deals, taken)


def make_export(path: Path, deals: int) -> Path:
    """A canonical export of ``deals`` good deals, as they are today."""
    now = int(time.time())
    write_deals_csv((make_deals(start, min(_BATCH, deals - start), now=now) for start in range(0, deals, _BATCH)), path)
    return path


def measure(command: list[str], url: str) -> Taken:
    """Run ``command`` with a new collection's id behind it."""
    with Nostradamus(url, TOKEN) as platform:
        collection = platform.create_collection("benchmark", "Europe/Rome").id
    watch = _Watch(url, collection)
    begun = time.monotonic()
    process = subprocess.Popen([*command, collection], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with watch:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{said.decode()[-2000:]}")
    return Taken(wall - watch.held, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


class _Watch:
    """Sees, from outside and twenty times a second, how long the platform holds a collection's upload."""

    def __init__(self, url: str, collection: str) -> None:
        self.held = 0.0
        self._url, self._collection = url, collection
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _look(self) -> None:
        accepted: float | None = None
        with httpx.Client(base_url=self._url, timeout=60) as http:
            while not self._end.wait(0.05):
                uploads = [one for one in http.get("/_sandbox/uploads").json() if one["collectionId"] == self._collection]
                if uploads and accepted is None:
                    accepted = time.monotonic()
                if accepted is not None and uploads[0]["status"] not in ("queued", "in_progress"):
                    self.held = time.monotonic() - accepted
                    return


def _print(deals: int, taken: dict[str, list[Taken]]) -> bool:
    print(f"sync: {deals:,} deals, medians of {ROUNDS}; client time is wall less the time that the platform holds the request")
    client = {name: median(one.client for one in each) for name, each in taken.items()}
    for name, each in taken.items():
        cpu, peak = median(one.cpu for one in each), median(one.peak for one in each)
        print(f"  {client[name]:7.2f} s client  {cpu:7.2f} s CPU  {peak / 2**20:7.0f} MiB peak  {name}")
    plain, bare = client["dealcast sync"] / client["plain script"], client["dealcast sync"] / client["bare"]
    print(f"  {plain:7.2f}    dealcast / plain script, at most 0.5")
    print(f"  {client['dealcast sync'] / client['dlt']:7.2f}    dealcast / dlt")
    print(f"  {bare:7.2f}    dealcast / bare Arrow and polars, at most 1.5")
    return plain <= 0.5 and bare <= 1.5


if __name__ == "__main__":
    sys.exit(not run())

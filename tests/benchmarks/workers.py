"""Hundreds of collections shared out among two workers of a work pool, with PostgreSQL behind Prefect.

``COLLECTIONS=`` of them (200), each with an export of 500 deals, by ``dealcast collections sync --deployment``. The workers are as on
two machines: a home for each, one ledger. Asked is that no run is lost and none is done twice. ``python -m tests.benchmarks workers``.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from deployments.sandbox import Sandbox
from flows.deals.deals_csv import write_deals_csv
from flows.nostradamus import Nostradamus
from tests.benchmarks.deals import make_deals
from tests.benchmarks.postgres import postgres
from tests.benchmarks.result import Row
from tests.benchmarks.servers import TOKEN, is_right, servers
from tests.conftest import HANG, wait_for

ROOT = Path(__file__).resolve().parents[2]
DEPLOYMENT = "sync-deals/one-of-many"
DEALS = 500
SECONDS = 5.0
WORKERS = ("one", "two")
AT_ONCE = 4
"""Runs that a worker does at the same time: on two cores more would only wait for each other."""


def run() -> list[Row]:
    """How long it took, and whether a run was lost, done twice, or did not end well."""
    count = int(os.environ.get("COLLECTIONS", "200"))
    with tempfile.TemporaryDirectory() as place, postgres() as database, servers(Path(place), database) as url:
        return _share_out(Path(place), url, count)


def _share_out(place: Path, url: str, count: int) -> list[Row]:
    deploy(url, place)
    table, collections = prepare(place, url, count)
    with begun_workers(place, min(AT_ONCE, (count + 1) // 2)):
        begun = time.monotonic()
        _checked([sys.executable, "-m", "deployments.cli", "collections", "sync", str(table), "--deployment", DEPLOYMENT, "--quiet"])
        seconds = time.monotonic() - begun
    runs = runs_of()
    uploads = Sandbox(url, TOKEN).control("GET", "uploads")
    ended = Counter(run["state_type"] for run in runs)
    begun_once = sum(run["run_count"] == 1 for run in runs)
    sent = Counter(upload["collectionId"] for upload in uploads)
    homes = [{folder.name: folder for folder in (place / name).glob("forecasts/*")} for name in WORKERS]
    done, folders = [len(home) for home in homes], homes[0] | homes[1]
    right = sum(is_right(folders[collection], url, collection, DEALS) for collection in collections if collection in folders)
    return [
        Row(f"{count} collections of {DEALS} deals, {SECONDS:.0f} s for a job: from the table to the last certificate", f"{seconds:.0f} s"),
        Row(
            "flow runs, begun once, completed",
            f"{len(runs)}, {begun_once}, {ended['COMPLETED']}",
            f"= {count} each",
            len(runs) == begun_once == ended["COMPLETED"] == count,
        ),
        Row("done by one worker and the other", f"{done[0]} + {done[1]}", f"= {count}", all(done) and sum(done) == len(folders) == count),
        Row("uploads, collections", f"{len(uploads)}, {len(sent)}", f"= {count} each", len(uploads) == len(sent) == count),
        Row("certificates right", f"{right}", f"= {count}", right == count),
    ]


def deploy(url: str, place: Path) -> None:
    """A pool, its deployments, and a platform that takes :data:`SECONDS` for a job; the ledger of all workers is in ``place``."""
    Sandbox(url, TOKEN).control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": SECONDS})
    os.environ |= {"DEALCAST_LEDGER": str(place / "ledger"), "PREFECT_WORKER_QUERY_SECONDS": "2"}
    _prefect("work-pool", "create", "dealcast", "--type", "process")
    _prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")


@contextlib.contextmanager
def begun_workers(place: Path, at_once: int) -> Iterator[dict[str, int]]:
    """Both workers, each with a home and a log of its own in ``place``; their process ids by name."""
    with contextlib.ExitStack() as workers:
        begun = {name: workers.enter_context(_worker(place, name, at_once)) for name in WORKERS}
        wait_for(lambda: all("started!" in (place / f"{name}.log").read_text(errors="replace") for name in WORKERS), "the workers to start")
        yield begun


def prepare(place: Path, url: str, count: int) -> tuple[Path, list[str]]:
    """An export for each of ``count`` new collections, and the table of them."""
    table = place / "collections.csv"
    now = int(time.time())
    with Nostradamus(url, TOKEN) as platform, table.open("w", newline="") as sink:
        rows = csv.writer(sink)
        rows.writerow(["collection", "export", "crm", "first_month"])  # of random deals the newest may be too old to forecast from
        collections = [platform.create_collection(f"customer {number}", "Europe/Rome").id for number in range(count)]
        for number, collection in enumerate(collections):
            export = place / f"customer-{number}.csv"
            write_deals_csv([make_deals(number * DEALS, DEALS, now=now)], export)
            rows.writerow([collection, export, "canonical", f"{datetime.fromtimestamp(now, UTC):%Y-%m}"])
    return table, collections


@contextlib.contextmanager
def _worker(place: Path, name: str, at_once: int) -> Iterator[int]:
    """A process worker with a home of its own; its process id."""
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "dealcast", "--type", "process", "--name", name]
    environment = {**os.environ, "DEALCAST_HOME": str(place / name)}
    with (
        (place / f"{name}.log").open("wb") as log,
        subprocess.Popen([*command, "--limit", str(at_once)], env=environment, cwd=ROOT, stdout=log, stderr=log) as worker,
    ):
        try:
            yield worker.pid
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):  # it was killed meanwhile
                for process in [*psutil.Process(worker.pid).children(recursive=True), worker]:
                    process.kill()


def runs_of() -> list[dict[str, Any]]:
    """All flow runs of the deployment."""
    api = os.environ["PREFECT_API_URL"]
    deployment = httpx.get(f"{api}/deployments/name/{DEPLOYMENT}", timeout=HANG).raise_for_status().json()["id"]
    runs: list[dict[str, Any]] = []
    while True:
        wanted = {"deployments": {"id": {"any_": [deployment]}}, "sort": "ID_DESC", "limit": 200, "offset": len(runs)}
        page = httpx.post(f"{api}/flow_runs/filter", json=wanted, timeout=HANG).raise_for_status().json()
        runs += page
        if not page:
            return runs


def _prefect(*command: str) -> None:
    _checked([sys.executable, "-m", "prefect", *command])


def _checked(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")

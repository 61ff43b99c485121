"""A sandbox platform and a Prefect server, each a process of its own that is not counted."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyarrow.csv as pacsv

from deployments.sandbox import Sandbox
from flows.nostradamus import Nostradamus
from flows.runtime.prefect_settings import SERVER_SETTINGS

TOKEN = "benchmark"


@contextlib.contextmanager
def servers(place: Path, database: str | None = None) -> Iterator[str]:
    """A sandbox and a Prefect server, with its runs in ``database`` or SQLite, and the environment that points to them."""
    sandbox, prefect = free_port(), free_port()
    url = f"http://127.0.0.1:{sandbox}"
    os.environ |= SERVER_SETTINGS | {
        "DEALCAST_PLATFORM_URL": url,
        "DEALCAST_TOKEN": TOKEN,
        "DEALCAST_HOME": str(place / "home"),
        "PREFECT_HOME": str(place / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    if database is not None:
        os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = database
    commands = [
        ["-m", "deployments.cli", "sandbox", "--port", str(sandbox), "--data", str(place / "sandbox"), "--token", TOKEN],
        ["-m", "prefect", "server", "start", "--port", str(prefect)],
    ]
    processes = [subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    try:
        for health in (f"{url}/docs", os.environ["PREFECT_API_URL"] + "/health"):
            _wait_for(health)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def is_right(folder: Path, url: str, collection: str, deals: int) -> bool:
    """Whether the certificate tells what the platform did: one upload, completed, of all deals, and the forecast that lies beside it."""
    certificate = json.loads((folder / "certificate.json").read_text())
    uploads = [one for one in Sandbox(url, TOKEN).control("GET", "uploads") if one["collectionId"] == collection]
    with Nostradamus(url, TOKEN) as platform:
        platform.dump(collection, folder / "held.csv")
        forecast = platform.result(certificate["forecast"]["invocation_id"], "json")
    held = pacsv.read_csv(folder / "held.csv", parse_options=pacsv.ParseOptions(newlines_in_values=True)).num_rows
    once = [(one["id"], one["status"]) for one in uploads] == [(certificate["append"]["request_id"], "completed")]
    return once and held == certificate["rows_sent"] == deals and forecast == (folder / "forecast.json").read_bytes()


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=1).status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(url)

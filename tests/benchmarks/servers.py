"""A sandbox platform and a Prefect server, each a process of its own that is not counted."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

TOKEN = "benchmark"


@contextlib.contextmanager
def servers(place: Path) -> Iterator[str]:
    """A sandbox and a Prefect server, and the environment that points to them."""
    sandbox, prefect = _free_port(), _free_port()
    url = f"http://127.0.0.1:{sandbox}"
    os.environ |= {
        "DEALCAST_PLATFORM_URL": url,
        "DEALCAST_TOKEN": TOKEN,
        "DEALCAST_HOME": str(place / "home"),
        "PREFECT_HOME": str(place / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    commands = [
        ["-m", "deployments.cli", "sandbox", "--port", str(sandbox), "--data", str(place / "sandbox"), "--token", TOKEN],
        ["-m", "prefect", "server", "start", "--port", str(prefect)],
    ]
    processes = [subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for command in commands]
    try:
        for health in (f"{url}/_sandbox/speed", os.environ["PREFECT_API_URL"] + "/health"):
            _wait_for(health)
        yield url
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, timeout=1).status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(url)

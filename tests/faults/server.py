"""One Prefect server for a whole matrix, in a process and a folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from flows.runtime.prefect_settings import SERVER_SETTINGS
from tests.conftest import answers, free_port, wait_for
from tests.prefect_database import home_with_database


class PrefectServer:
    """A server that can be killed and started again, at the same port and with the same database."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._log = home / "server.log"
        self._environment = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
        self._environment |= {
            "PREFECT_HOME": str(home_with_database(home)),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            **SERVER_SETTINGS,
            **settings,
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        with self._log.open("a") as log:
            self._process = server = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log, start_new_session=True)
        wait_for(lambda: server.poll() is not None or answers(f"{self.url}/health"), "the Prefect server")
        assert server.poll() is None, self._log.read_text()

    def kill(self) -> None:
        """End it without a word."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def mortal_prefect_server(home: Path, **settings: str) -> Iterator[PrefectServer]:
    """Run a Prefect server, with ``settings`` in its environment, for the length of the block, unless it is killed before."""
    server = PrefectServer(home, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@contextmanager
def prefect_server(home: Path, **settings: str) -> Iterator[str]:
    """The same where only its API's URL is wanted."""
    with mortal_prefect_server(home, **settings) as server:
        yield server.url

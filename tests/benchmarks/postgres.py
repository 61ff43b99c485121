"""A PostgreSQL server of our own on loopback, for Prefect to keep its runs in; in a folder that goes with it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.servers import free_port

_USER = "dealcast"
_ORDINARY = "postgres"
"""Who runs the server where we are root, as which it refuses to run; Debian's package makes the account."""

_START_SECONDS = 60.0


def programs() -> Path | None:
    """Where PostgreSQL's programs lie: on the PATH, or where Debian puts them; None if it is not installed."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return places[-1] if places else None


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server for the length of the block; yields the URL at which Prefect finds it.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    there = programs()
    if there is None:
        raise FileNotFoundError("PostgreSQL is not installed: initdb and postgres are wanted (Debian: apt-get install postgresql).")
    as_user = ["runuser", "-u", _ORDINARY, "--"] if os.geteuid() == 0 else []
    open_to_all = "/var/tmp" if as_user else None  # noqa: S108 - a suite's own folder is closed to the account that runs the server
    place, port = Path(tempfile.mkdtemp(prefix="dealcast-postgres-", dir=open_to_all)), free_port()
    if as_user:
        shutil.chown(place, _ORDINARY)
    data = str(place / "data")
    try:
        subprocess.run([*as_user, str(there / "initdb"), "-D", data, "-U", _USER, "-A", "trust", "-N"], check=True, capture_output=True)
        settings = ["-h", "127.0.0.1", "-p", str(port), "-k", str(place), "-c", "max_connections=300", "-c", "fsync=off"]
        server = subprocess.Popen(
            [*as_user, str(there / "postgres"), "-D", data, *settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _wait([*as_user, str(there / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)])
            yield f"postgresql+asyncpg://{_USER}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*as_user, str(there / "pg_ctl"), "-D", data, "-m", "immediate", "stop"], check=False, capture_output=True)
            server.wait(30)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def stopped(data: Path) -> Iterator[None]:
    """Have the server whose data lie there down for the length of the block."""
    there = programs()
    assert there is not None
    as_user = ["runuser", "-u", _ORDINARY, "--"] if os.geteuid() == 0 else []
    command = shlex.split((data / "postmaster.opts").read_text(encoding="utf-8"))
    subprocess.run([*as_user, str(there / "pg_ctl"), "-D", str(data), "-w", "-m", "fast", "stop"], check=True, capture_output=True)
    yield
    subprocess.Popen([*as_user, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _wait([*as_user, str(there / "pg_isready"), "-h", "127.0.0.1", "-p", command[command.index("-p") + 1]])


def _wait(ready: list[str]) -> None:
    end = time.monotonic() + _START_SECONDS
    while subprocess.run(ready, check=False, capture_output=True).returncode:
        if time.monotonic() > end:
            raise TimeoutError("PostgreSQL did not start.")
        time.sleep(0.2)

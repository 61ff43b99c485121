"""A migrated database for the Prefect servers that tests start: to migrate a fresh one takes a server six seconds of work."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".pytest_cache"
"""Where one is kept for each version of Prefect: for the workers of a session, and for the sessions to come."""

_MIGRATE = """
import asyncio
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""


def home_with_database(home: Path) -> Path:
    """Make ``home`` a Prefect home that has one, and return it."""
    home.mkdir(parents=True, exist_ok=True)
    copy_database(home / "prefect.db")
    return home


def copy_database(path: Path) -> None:
    """Make ``path`` a migrated, empty database."""
    shutil.copyfile(_template(), path)


def _template() -> Path:
    template = CACHE / f"prefect-{version('prefect')}.db"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "prefect.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=CACHE) as place:
                environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
                subprocess.run([sys.executable, "-P", "-c", _MIGRATE], env={**environment, "PREFECT_HOME": place}, cwd=place, check=True)
                Path(place, "prefect.db").replace(template)
    return template

"""One Prefect server in a process of its own, for syncs that run, and die, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from tests.faults.server import prefect_server


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session", autouse=True)
def prefect_api(prefect_home: Path) -> Iterator[str]:
    with prefect_server(prefect_home / "home") as url, temporary_settings({PREFECT_API_URL: url}):
        yield url

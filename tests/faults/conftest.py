"""The session's Prefect server, for syncs that run, and die, in processes of their own."""

from __future__ import annotations

import pytest
from prefect.settings import PREFECT_API_URL


@pytest.fixture(scope="session", autouse=True)
def prefect_api(prefect_server: None) -> str:  # noqa: ARG001 - it sets the URL
    return str(PREFECT_API_URL.value())

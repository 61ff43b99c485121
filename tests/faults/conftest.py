"""The session's Prefect server, for syncs that run, and die, in processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker

import pytest
from prefect.settings import PREFECT_API_URL


@pytest.fixture(scope="session", autouse=True)
def prefect_api(prefect_server: None) -> Iterator[str]:  # noqa: ARG001 - it sets the URL
    yield str(PREFECT_API_URL.value())
    for helper in (forkserver._forkserver, resource_tracker._resource_tracker):  # noqa: SLF001 - they would outlive the session
        helper._stop()  # type: ignore[union-attr] # noqa: SLF001 - as above

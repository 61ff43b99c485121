"""A real Prefect server, a real sandbox, real files: what the flow tests share."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness

from deployments.sandbox import Sandbox
from expectations.schema import COLUMN_NAMES
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.sync_deals import sync_deals

DEAL = {
    "name": "Deal",
    "creationDatetime": "2025-01-10T09:00:00",
    "addDatetime": "2025-01-10T09:00:00",
    "closedDatetime": "2025-03-10T09:00:00",
    "expectedClosureDatetime": "2025-03-10T09:00:00",
    "status": "closed_won",
    "stage": "Won",
    "currentStageStartDatetime": "2025-03-10T09:00:00",
    "value": "1000.00",
    "lastUpdateDatetime": "2025-03-10T09:00:00",
}

WriteDeals = Callable[..., Path]
Sync = Callable[..., State[Any]]


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> Iterator[None]:
    """One real Prefect API for the session; without heartbeats, for which every run would wait a second."""
    with prefect_test_harness(server_startup_timeout=120), temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture
def home(tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dealcast home of the test's own, pointed at the sandbox, which looks again every few hundredths of a second."""
    home = tmp_path / "home"
    for name in ("LEDGER", "TOKEN_BLOCK", "ALLOW_HTTP", "EXTRA_SUITE", "ON_UNKNOWN"):
        monkeypatch.delenv(f"DEALCAST_{name}", raising=False)
    for name, value in {
        "HOME": str(home),
        "PLATFORM_URL": sandbox.url,
        "TOKEN": sandbox.token,
        "POLL_DELAY": "0.02",
        "POLL_DELAY_MAX": "0.1",
        "DEADLINE": "20",
    }.items():
        monkeypatch.setenv(f"DEALCAST_{name}", value)
    return home


@pytest.fixture
def platform(sandbox: Sandbox) -> Iterator[Nostradamus]:
    with Nostradamus(sandbox.url, sandbox.token) as client:
        yield client


@pytest.fixture
def collection(platform: Nostradamus) -> str:
    return platform.create_collection("test", "Europe/Rome").id


@pytest.fixture
def write_deals(tmp_path: Path) -> WriteDeals:
    """Write a canonical export: ``count`` good deals, then one for each of ``extra``, which overrides a good one's cells."""

    def write(count: int = 3, *extra: dict[str, str], name: str = "deals.csv", first: int = 1, **every: str) -> Path:
        path = tmp_path / name
        deals = [{**DEAL, "id": str(number), **every} for number in range(first, first + count)]
        deals += [{**DEAL, "id": f"extra-{number}", **overrides} for number, overrides in enumerate(extra)]
        with path.open("w", newline="", encoding="utf-8") as sink:
            writer = csv.DictWriter(sink, COLUMN_NAMES, restval="")
            writer.writeheader()
            writer.writerows(deals)
        return path

    return write


@pytest.fixture
def sync(home: Path, collection: str) -> Sync:  # noqa: ARG001 - the home sets the environment
    """Run the flow on the real engine and return its final state."""

    def run(export: Path, **options: Any) -> State[Any]:
        values = {"export": str(export), "crm": "canonical", "collection": collection, "horizon": 3, **options}
        return sync_deals(SyncOptions(**values), return_state=True)

    return run


@pytest.fixture
def held(platform: Nostradamus, collection: str, tmp_path: Path) -> Callable[[], dict[str, dict[str, str]]]:
    """What the platform holds, by id."""

    def read() -> dict[str, dict[str, str]]:
        dump = tmp_path / "dump.csv"
        platform.dump(collection, dump)
        with dump.open(newline="", encoding="utf-8") as source:
            return {row["id"]: row for row in csv.DictReader(source)}

    return read

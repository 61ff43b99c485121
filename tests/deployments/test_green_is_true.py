"""Green is true: where all is not well a run is not green, and where it is green it has looked. Each scene: exit, state, message."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.sorting import FlowRunSort

from tests.conftest import sampled
from tests.make_demo_export import EXPORT

if TYPE_CHECKING:
    from click.testing import Result

    from deployments.sandbox import Sandbox
    from tests.conftest import Dealcast, WriteDeals

HOUR = 3600


@pytest.fixture(autouse=True)
def engine(prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - a server runs
    """Each test runs syncs; a platform that is away is asked once."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")


@pytest.fixture
def sync(dealcast: Dealcast, collection: str) -> Callable[..., Result]:
    def run(export: Path, *more: object, code: int = 0, crm: str = "canonical") -> Result:
        return dealcast("sync", export, "--crm", crm, "--collection", collection, *more, code=code)

    return run


def last_state() -> tuple[str, str]:
    """Name and message of the state in which the newest run ended, as Prefect's server has it."""
    with get_client(sync_client=True) as client:
        [run] = client.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)
    assert run.state is not None
    return str(run.state.name), run.state.message or ""


def ended(name: str, result: Result, *said: str) -> None:
    """The newest run ended as ``name``; its message and what the command printed both have these words."""
    state, message = last_state()
    assert state == name, message
    for words in said:
        assert words in message
        assert words in result.output


@pytest.mark.slow
def test_an_export_that_stopped_arriving_is_named_and_with_a_limit_stops(sync: Callable[..., Result], write_deals: WriteDeals) -> None:
    deals = write_deals(3)
    sync(deals, "--no-forecast")
    os.utime(deals, (time.time() - 40 * HOUR,) * 2)
    ended("NothingNew", sync(deals, "--no-forecast"), "same export again (40 h old)")
    ended("Failed", sync(deals, "--no-forecast", "--max-age", "36h", code=7), "the export is older than 36 h", "40 h ago")


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    sampled([("collection gone", 5, "collection"), ("unreachable", 6, "127.0.0.1:9"), ("token revoked", 5, "DEALCAST_TOKEN")]),
)
def test_nothing_new_has_asked_the_platform(
    sync: Callable[..., Result],
    write_deals: WriteDeals,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    code: int,
    said: str,
) -> None:
    deals = write_deals(3)
    sync(deals, "--no-forecast")
    if trouble == "unreachable":
        monkeypatch.setenv("DEALCAST_PLATFORM_URL", "http://127.0.0.1:9")
    elif trouble == "token revoked":
        monkeypatch.setenv("DEALCAST_TOKEN", "revoked")
    else:
        sandbox.control("POST", "reset")
    ended("Failed", sync(deals, "--no-forecast", code=code), said)


def test_a_forecast_of_months_that_are_over_is_not_invoked(sync: Callable[..., Result], write_deals: WriteDeals, sandbox: Sandbox) -> None:
    old = dict.fromkeys(("creationDatetime", "addDatetime", "closedDatetime", "lastUpdateDatetime"), "2024-08-10T09:00:00")
    deals = write_deals(3, **old, currentStageStartDatetime="2024-08-10T09:00:00")
    for _ in range(2):  # once more it is still owed, and no green
        ended("Failed", sync(deals, code=7), "would begin in 2024-09", f"--first-month {datetime.now():%Y-%m}")  # noqa: DTZ005 - near enough
    assert sandbox.control("GET", "requests?method=POST&path=/api/invocation") == []


@pytest.mark.slow
def test_a_mistyped_year_moves_no_forecast(sync: Callable[..., Result], write_deals: WriteDeals, sandbox: Sandbox) -> None:
    deals = write_deals(300, {"closedDatetime": "2204-03-01T00:00:00"})
    ended("Failed", sync(deals, code=4), "closedDatetime")
    sync(deals, "--quarantine-limit", "1")
    assert len(sandbox.control("GET", "requests?method=POST&path=/api/invocation")) == 1


@pytest.mark.slow
def test_deals_that_are_gone_are_said_by_sync_and_verify(
    sync: Callable[..., Result], dealcast: Dealcast, write_deals: WriteDeals, collection: str
) -> None:
    sync(write_deals(60), "--no-forecast")
    deals = write_deals(50)
    ended("NothingNew", sync(deals, "--no-forecast"), "10 gone")
    assert "10 deals" in dealcast("collections", "verify", collection, deals, "--crm", "canonical").stdout


def test_another_reading_is_named_and_what_was_said_before_is_remembered(sync: Callable[..., Result]) -> None:
    sync(EXPORT, "--crm-timezone", "Europe/Rome", "--no-forecast", crm="hubspot")
    ended("NothingNew", sync(EXPORT, "--no-forecast", crm="hubspot"), "Nothing new")
    other = sync(EXPORT, "--crm-timezone", "UTC", "--no-forecast", crm="hubspot", code=7)
    ended("Failed", other, "read differently", "Europe/Rome", "UTC", "480 known deals change", "--accept-reading-change")


@pytest.mark.slow
def test_a_failed_run_s_report_stands_where_the_last_success_s_stood(
    sync: Callable[..., Result], write_deals: WriteDeals, home: Path, collection: str, sandbox: Sandbox
) -> None:
    report = home / "forecasts" / collection / "report.md"
    sync(write_deals(3), "--no-forecast")
    origin = (f"collection test (`{collection}`)", f"{sandbox.url} (sandbox)", "UTC · run `")
    assert all(words in report.read_text() for words in (*origin, "3 deals sent"))
    sync(write_deals(3, {"value": "-1"}), "--no-forecast", code=4)
    assert all(words in report.read_text() for words in (*origin, "Stopped by gate", "quarantine.csv"))
    assert "deals sent" not in report.read_text()

"""A dry run says what the sync would say: the same words and exit code where that would be stopped, and nothing is sent."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from flows.errors import NotAuthorized, OutcomeUnknown

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

OLD = dict.fromkeys(("creationDatetime", "addDatetime", "closedDatetime", "currentStageStartDatetime"), "2024-08-10T09:00:00")


def test_a_dry_run_is_stopped_as_the_sync_is_by_all_that_is_to_be_accepted_at_once(
    sync: Sync, failing: Failing, write_deals: WriteDeals, asked: Asked, held: Held
) -> None:
    sync(write_deals(60), forecast="never")
    deals = write_deals(20, **OLD)
    os.utime(deals, (time.time() - 40 * 3600,) * 2)
    asks: dict[str, Any] = {"missing": "delete", "max_age": "36h", "crm_timezone": "Asia/Tokyo"}
    dry, real = (failing(deals, **asks, dry_run=dry_run) for dry_run in (True, False))
    assert (str(dry), dry.exit_code) == (str(real), 7)
    for why in ("older than 36 h", "crm_timezone was local, is Asia/Tokyo", "deals fell from 60 to 20", "at most 20 may be", "in 2024-09"):
        assert why in str(dry)
    accept = re.search(r"run it again with --max-age (\d+h) and (.*)\.$", str(dry))
    assert accept is not None
    assert accept[2].split(" and ")[:-1] == ["--accept-reading-change", "--accept-shrink", "--missing-limit 40"]
    assert accept[2].split(" and ")[-1].startswith("--first-month 20")
    assert (asked("POST", "*/deals/*"), asked("DELETE", "*/deals/*")) == (1, 0)
    accepted = {"accept_reading_change": True, "accept_shrink": True, "missing_limit": "40", "max_age": accept[1], "forecast": "never"}
    assert sync(deals, **asks | accepted).is_completed(), "nobody is stopped twice"
    assert len(held()) == 20


@pytest.mark.slow
def test_a_dry_run_is_stopped_at_the_forecast_that_would_not_begin_now(
    sync: Sync, failing: Failing, write_deals: WriteDeals, asked: Asked
) -> None:
    deals = write_deals(3, **OLD)
    assert sync(deals, dry_run=True, forecast="never").is_completed()
    dry, real = failing(deals, dry_run=True), failing(deals)
    assert "No forecast was invoked: the forecast would begin in 2024-09" in str(dry)
    assert (str(dry), dry.exit_code) == (str(real), 7)
    assert str(failing(deals, dry_run=True)) == str(dry), "nothing is new, and the forecast is still owed"
    assert sync(deals, dry_run=True, first_month="2026-12").is_completed(), "the user says from when"
    assert asked("POST", "/api/invocation") == 0


def test_a_dry_run_that_is_not_stopped_says_what_would_go(sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held) -> None:
    sync(write_deals(10), forecast="never")
    outcome = sync(write_deals(8, {"id": "9"}), missing="delete", dry_run=True, accept_shrink=True).result()
    assert outcome.headline == "dry run: 0 deals would be sent, 0 quarantined, 1 gone would be deleted"
    assert (asked("POST", "*/deals/*"), asked("DELETE", "*/deals/*"), len(held())) == (1, 0, 10)


@pytest.mark.slow
def test_a_dry_run_with_a_token_has_asked_the_platform(
    sync: Sync, failing: Failing, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch, told: list[str]
) -> None:
    monkeypatch.setenv("DEALCAST_TOKEN", "")
    assert sync(write_deals(3), dry_run=True).is_completed()
    assert any("the platform is not asked" in line for line in told)
    monkeypatch.setenv("DEALCAST_TOKEN", "revoked")
    assert isinstance(failing(write_deals(3), dry_run=True), NotAuthorized)


@pytest.mark.slow
def test_a_dry_run_tells_a_send_of_which_nobody_knows_the_outcome(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    fault("drop_after_commit", "*/append", "POST")
    failing(write_deals(3))
    dry = failing(write_deals(3), dry_run=True)
    assert isinstance(dry, OutcomeUnknown)
    assert str(dry) == str(failing(write_deals(3)))
    assert asked("POST", "*/append") == 1

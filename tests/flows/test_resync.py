"""Syncing again: only what is new or changed is sent, and a forecast is invoked only where one is wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deployments.sandbox import Sandbox
from flows.errors import ForecastFailed, StoppedByGuard
from flows.nostradamus import Nostradamus
from tests.conftest import FIRST_MONTHS, sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, TaskStates, WriteDeals

APPENDS, INVOCATIONS = ("POST", "*/append"), ("POST", "/api/invocation")


def test_a_second_sync_of_the_same_export_sends_nothing(
    sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held, task_states: TaskStates
) -> None:
    """It is shown as completed, without a submit."""
    sync(write_deals(5))
    before = held()
    state = sync(write_deals(5))
    assert (state.name, state.is_completed()) == ("NothingNew", True)
    assert "nothing was sent, nothing invoked" in (state.message or "")
    assert (asked(*APPENDS), asked(*INVOCATIONS)) == (1, 1)
    assert held() == before
    shown = task_states(state)
    assert not {"submit_append", "invoke_forecast"} & set(shown)
    assert shown["publish_report"][-1].is_completed()


@pytest.mark.parametrize("column", sampled(["value", "name", "companyCity", "lastUpdateDatetime", "stage", "closedDatetime"]))
def test_a_deal_that_changed_in_any_column_is_sent_alone(sync: Sync, write_deals: WriteDeals, held: Held, column: str) -> None:
    sync(write_deals(4), forecast="never")
    changed = {"value": "1234.5", "stage": "Lost", "name": "New", "companyCity": "Oslo"}.get(column, "2025-04-01T10:00:00")
    state = sync(write_deals(3, {"id": "4", column: changed}), forecast="never")
    outcome = state.result()
    assert (outcome.entry.rows, outcome.entry.unchanged) == (1, 3)
    assert len(held()) == 4
    assert held()["4"][column] == changed


@pytest.mark.slow
def test_the_time_of_the_sync_alone_is_no_change(sync: Sync, write_deals: WriteDeals) -> None:
    sync(write_deals(2, lastSyncedAt="2025-04-01T10:00:00"), forecast="never")
    assert sync(write_deals(2, lastSyncedAt="2025-04-02T10:00:00"), forecast="never").name == "NothingNew"


@pytest.mark.slow
def test_a_cell_that_was_emptied_is_a_change(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(1, companyCity="Oslo"), forecast="never")
    assert sync(write_deals(1, companyCity=""), forecast="never").result().entry.rows == 1
    assert held()["1"]["companyCity"] == ""


@pytest.mark.slow
def test_new_deals_are_sent_beside_unchanged_ones(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(4), forecast="never")
    outcome = sync(write_deals(6), forecast="never").result()
    assert (outcome.entry.rows, outcome.entry.unchanged) == (2, 4)
    assert len(held()) == 6


@pytest.mark.slow
def test_a_change_taken_back_is_a_change(sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held) -> None:
    """The third export has the first's content: it is sent all the same, since the platform holds the second's."""
    for value in ("1000.00", "2000", "1000.00"):
        assert sync(write_deals(2, value=value), accept_shrink=True, forecast="never").name == "Completed"
        assert held()["1"]["value"] == value
    assert asked(*APPENDS) == 3


@pytest.mark.slow
def test_full_sends_every_deal(sync: Sync, write_deals: WriteDeals, asked: Asked) -> None:
    sync(write_deals(4), forecast="never")
    assert sync(write_deals(4), full=True, forecast="never").result().entry.rows == 4
    assert asked(*APPENDS) == 2


@pytest.mark.slow
def test_override_replaces_what_is_held(sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held) -> None:
    sync(write_deals(5))
    state = sync(write_deals(2, first=4, value="7"), mode="override", accept_shrink=True)
    assert state.is_completed()
    assert {deal: cells["value"] for deal, cells in held().items()} == {"4": "7", "5": "7"}
    assert (asked("POST", "*/override"), asked(*INVOCATIONS)) == (1, 2)


@pytest.mark.slow
def test_after_an_override_what_it_removed_is_new_again(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(5), forecast="never")
    sync(write_deals(2), mode="override", accept_shrink=True, forecast="never")
    assert sync(write_deals(5), forecast="never").result().entry.rows == 3
    assert len(held()) == 5


@pytest.mark.slow
def test_a_refused_override_leaves_the_data(failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, held: Held) -> None:
    sync(write_deals(5))
    fault("spoil", "*/override", "POST")
    assert failing(write_deals(5, value="1001"), mode="override").exit_code == 5
    assert {cells["value"] for cells in held().values()} == {"1000.00"}


@pytest.mark.slow
def test_what_was_refused_is_sent_again(failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, held: Held) -> None:
    fault("spoil", "*/append", "POST")
    failing(write_deals(3))
    assert sync(write_deals(3), forecast="never").result().entry.rows == 3
    assert len(held()) == 3


@pytest.mark.slow
@pytest.mark.parametrize("has_token", sampled([False, True]))
def test_a_dry_run_sends_nothing(
    sync: Sync, write_deals: WriteDeals, asked: Asked, home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, has_token: bool
) -> None:
    """It needs no token either, and does not count as a sync."""
    monkeypatch.setenv("DEALCAST_TOKEN", sandbox.token * has_token)
    state = sync(write_deals(3), dry_run=True)
    assert state.result().headline == "dry run: 3 deals would be sent, 0 quarantined"
    assert asked("POST", "*/deals/*") + asked(*INVOCATIONS) == 0
    assert list((home / "forecasts").glob("*/certificate.json")) == []
    monkeypatch.setenv("DEALCAST_TOKEN", sandbox.token)
    assert sync(write_deals(3), forecast="never").result().entry.rows == 3


@pytest.mark.slow
def test_a_dry_run_stops_at_the_gate_as_a_sync_does(failing: Failing, write_deals: WriteDeals) -> None:
    assert failing(write_deals(3, {"value": "x"}), dry_run=True).exit_code == 4


@pytest.mark.slow
@pytest.mark.parametrize("horizon", sampled([12, 1]))
def test_the_horizon_is_the_number_of_months(sync: Sync, write_deals: WriteDeals, horizon: int) -> None:
    forecast = sync(write_deals(), horizon=horizon).result().forecast
    months = [month for month, _ in forecast.months]
    assert months == [f"{month}-01" for month in FIRST_MONTHS[:horizon]], "the data end in this month"
    for path in forecast.files.values():
        assert path.stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("first_month", sampled(["2025-04", "2025-03", "2026-12"]))
def test_the_first_month_is_the_one_asked_for(sync: Sync, write_deals: WriteDeals, first_month: str) -> None:
    forecast = sync(write_deals(), first_month=first_month).result().forecast
    assert forecast.months[0][0] == f"{first_month}-01"
    assert len(forecast.months) == 3


@pytest.mark.slow
def test_a_first_month_before_all_data_is_the_platform_s_to_refuse(failing: Failing, write_deals: WriteDeals, held: Held) -> None:
    error = failing(write_deals(), first_month="2020-01")
    assert isinstance(error, ForecastFailed)
    assert "before the first month" in str(error)
    assert len(held()) == 3


@pytest.mark.parametrize(("policy", "first", "second"), sampled([("always", 1, 1), ("if-new", 1, 0), ("never", 0, 0)]))
def test_the_forecast_policy(sync: Sync, write_deals: WriteDeals, asked: Asked, policy: str, first: int, second: int) -> None:
    sync(write_deals(), forecast=policy)
    assert asked(*INVOCATIONS) == first
    sync(write_deals(), forecast=policy)
    assert (asked(*APPENDS), asked(*INVOCATIONS)) == (1, first + second)


@pytest.mark.slow
def test_a_forecast_that_was_not_wanted_can_be_fetched_later(sync: Sync, write_deals: WriteDeals, asked: Asked) -> None:
    sync(write_deals(), forecast="never")
    state = sync(write_deals())
    assert len(state.result().forecast.months) == 3
    assert (asked(*APPENDS), asked(*INVOCATIONS)) == (1, 1)


@pytest.mark.slow
def test_another_horizon_is_another_forecast_of_the_same_data(sync: Sync, write_deals: WriteDeals, asked: Asked) -> None:
    sync(write_deals(), horizon=3)
    assert len(sync(write_deals(), horizon=5).result().forecast.months) == 5
    assert (asked(*APPENDS), asked(*INVOCATIONS)) == (1, 2)


@pytest.mark.slow
def test_no_forecast_still_reports_and_certifies(sync: Sync, write_deals: WriteDeals, home: Path) -> None:
    sync(write_deals(), forecast="never", out=str(home / "out"))
    assert json.loads((home / "out/certificate.json").read_text())["forecast"] is None
    assert sorted(path.name for path in (home / "out").iterdir()) == ["certificate.json", "report.md"]


@pytest.mark.slow
def test_limit_takes_the_first_deals(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(9), limit=2, forecast="never")
    assert set(held()) == {"1", "2"}
    assert sync(write_deals(9), forecast="never").result().entry.rows == 7


SHRUNK: dict[str, dict[str, Any]] = {
    "deals fell from 10 to 7": {"count": 7},
    "total value fell": {"count": 10, "value": "1"},
    "older than the last export's": {"count": 10, "lastUpdateDatetime": "2025-03-09T00:00:00"},
    "of 10 deals sent before are not in it": {"count": 10, "first": 100},
    "no deals": {"count": 0},
}


@pytest.mark.slow
@pytest.mark.parametrize(("said", "export"), sampled(SHRUNK.items()))
def test_the_guard_stops_an_export_that_shrank(
    failing: Failing, sync: Sync, write_deals: WriteDeals, asked: Asked, said: str, export: dict[str, Any]
) -> None:
    sync(write_deals(10), forecast="never")
    shrunk = write_deals(**export)
    error = failing(shrunk)
    assert isinstance(error, StoppedByGuard)
    assert error.exit_code == 7
    assert said in str(error)
    assert "--accept-shrink" in str(error)
    assert asked(*APPENDS) == 1
    assert sync(shrunk, accept_shrink=True, forecast="never").is_completed()


@pytest.mark.slow
def test_a_small_decline_is_no_reason_to_stop(sync: Sync, write_deals: WriteDeals) -> None:
    sync(write_deals(10), forecast="never")
    assert sync(write_deals(8), forecast="never").name == "NothingNew"


@pytest.mark.slow
def test_each_collection_is_known_for_itself(sync: Sync, write_deals: WriteDeals, platform: Nostradamus, asked: Asked) -> None:
    other = platform.create_collection("other", "UTC").id
    sync(write_deals(2), forecast="never")
    assert sync(write_deals(2), collection=other, forecast="never").result().entry.rows == 2
    assert asked(*APPENDS) == 2

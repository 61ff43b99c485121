"""Under ``DEALCAST_ON_UNKNOWN=stop`` a send without a clear answer is the last one: its state says so, and nothing is sent again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from deployments.sandbox import Sandbox
from flows.delivery import poll as waiting
from flows.errors import NotFound, OutcomeUnknown, UsageError
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Sync, WriteDeals


def test_stop_ends_in_a_state_of_its_own_name(sync: Sync, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    fault("drop_after_commit", "/api/invocation", "POST")
    state = sync(write_deals())
    assert (state.name, state.is_failed()) == ("OutcomeUnknown", True)
    assert isinstance(state.result(raise_on_failure=False), OutcomeUnknown)


@pytest.mark.slow
@pytest.mark.parametrize("status", sampled([500, 501, 520]))
def test_stop_sends_no_second_time_after_an_answer_that_leaves_it_open(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    fault("status_after_commit", "*/append", "POST", status=status)
    assert isinstance(failing(write_deals()), OutcomeUnknown)
    assert isinstance(failing(write_deals()), OutcomeUnknown)
    assert asked("POST", "*/append") == 1


@pytest.mark.slow
def test_stop_stops_at_a_request_that_the_platform_lost(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    monkeypatch.setattr(waiting, "_GRACE", 0.0)
    fault("status", "*/append/*", "GET", status=404, count=2)
    assert isinstance(failing(write_deals()), NotFound)
    assert isinstance(failing(write_deals(2)), OutcomeUnknown)
    assert asked("POST", "*/append") == 1


@pytest.mark.slow
def test_what_could_not_be_sent_for_want_of_a_token_is_not_taken_for_sent(
    failing: Failing, sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    monkeypatch.delenv("DEALCAST_TOKEN")
    assert isinstance(failing(write_deals(), timezone="UTC"), UsageError)
    monkeypatch.setenv("DEALCAST_TOKEN", sandbox.token)
    assert sync(write_deals(), timezone="UTC").is_completed()

"""An export that as a whole is not to be trusted stops a sync, whichever way it would be sent, until it is accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.errors import StoppedByGuard

if TYPE_CHECKING:
    from tests.flows.conftest import Failing, Held, Sync, WriteDeals


def test_half_an_export_stops_with_the_numbers_until_it_is_accepted(
    failing: Failing, sync: Sync, write_deals: WriteDeals, held: Held
) -> None:
    sync(write_deals(10), forecast="never")
    error = failing(write_deals(5), forecast="never")
    assert isinstance(error, StoppedByGuard)
    assert error.exit_code == 7
    assert all(
        words in str(error) for words in ("deals fell from 10 to 5 (-50%)", "total value fell from 10,000 to 5,000", "5 of 10 deals")
    )
    assert sync(write_deals(5), accept_shrink=True, forecast="never").is_completed()
    assert len(held()) == 10, "an append removes nothing"
    assert sync(write_deals(5), forecast="never").is_completed(), "what was accepted once is the measure of the next"
    assert sync(write_deals(4, {"value": "5.00"}), forecast="never").is_completed()


@pytest.mark.slow
def test_another_reading_is_named_of_a_part_too_and_accepted_says_nothing_of_time(
    failing: Failing, sync: Sync, write_deals: WriteDeals
) -> None:
    """By a zone further east the newest change is hours earlier, and not of an older export."""
    sync(write_deals(10), forecast="never")
    east = {"crm_timezone": "Asia/Tokyo", "forecast": "never"}
    for part in ({"limit": 3}, {}):
        error = failing(write_deals(10), **east, **part)
        assert isinstance(error, StoppedByGuard)
        assert "crm_timezone was local, is Asia/Tokyo" in str(error)
    assert sync(write_deals(10), **east, accept_reading_change=True).is_completed()


@pytest.mark.slow
def test_a_trial_that_would_change_many_deals_is_stopped(failing: Failing, sync: Sync, write_deals: WriteDeals) -> None:
    sync(write_deals(60), forecast="never")
    assert "50 of 60 known deals changed" in str(failing(write_deals(60, stage="Other"), limit=50, forecast="never"))
    state = sync(write_deals(60, stage="Other"), limit=49, forecast="never")
    assert state.is_completed()
    assert "gone" not in str(state.message), "the deals that a trial leaves out are still there"


@pytest.mark.slow
def test_a_trial_by_override_is_guarded_too(failing: Failing, sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(10), forecast="never")
    assert isinstance(failing(write_deals(10), mode="override", limit=1, forecast="never"), StoppedByGuard)
    assert len(held()) == 10


@pytest.mark.slow
def test_an_accepted_override_is_the_whole_measure_of_the_next(failing: Failing, sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(10), forecast="never")
    assert sync(write_deals(5), mode="override", accept_shrink=True, forecast="never").is_completed()
    assert isinstance(failing(write_deals(5, first=21), mode="override", forecast="never"), StoppedByGuard), "none of the five is held"
    assert sorted(held()) == ["1", "2", "3", "4", "5"]


@pytest.mark.slow
def test_an_override_removes_at_once_what_it_holds_back(sync: Sync, failing: Failing, write_deals: WriteDeals, held: Held) -> None:
    """Not only when some other deal changes; where it would remove many, the guard asks first."""
    sync(write_deals(10), forecast="never")
    one_bad = write_deals(9, {"id": "10", "value": "-1"})
    assert sync(one_bad, mode="override", quarantine_limit="100%", forecast="never").is_completed()
    assert len(held()) == 9
    many_bad = write_deals(5, *({"id": str(number), "value": "-1"} for number in range(6, 10)))
    assert "deals sent before are not in it" in str(failing(many_bad, mode="override", quarantine_limit="100%"))
    assert len(held()) == 9


def test_an_override_by_nothing_is_refused_and_is_no_measure(failing: Failing, sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    sync(write_deals(10), forecast="never")
    assert "would empty the collection" in str(failing(write_deals(0), mode="override", accept_shrink=True, forecast="never"))
    assert sync(write_deals(0), accept_shrink=True, forecast="never").name == "NothingNew"
    assert isinstance(failing(write_deals(3), mode="override", forecast="never"), StoppedByGuard)
    assert len(held()) == 10

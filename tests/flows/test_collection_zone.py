"""The collection's time zone is what the user, the ledger or the platform's list says; it is never guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.errors import UnexpectedAnswer, UsageError
from flows.ledger.store import TIMEZONE, Ledger
from flows.settings import load_settings
from tests.conftest import Dealcast, sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

UTC_EXPORT = Path(__file__).parent / "crm/fixtures/close--opportunities.csv"
"""An export whose times are UTC: they are sent in the collection's zone."""


def listing(fault: Fault, *entries: Any) -> None:
    """Let the platform's list of collections have these entries."""
    fault("garbage", "/api/collection", body=json.dumps({"results": entries, "next": None}), count=None)


@pytest.mark.parametrize(
    "zone", sampled([{}, {"timezone": "Rome time"}, {"timezone": None}, {"timezone": ""}, {"timezone": {"name": "Europe/Rome"}}])
)
def test_a_list_that_names_no_zone_stops_the_sync(
    failing: Failing, collection: str, write_deals: WriteDeals, fault: Fault, asked: Asked, zone: dict[str, Any]
) -> None:
    """Nothing is sent, and nothing is remembered: the next sync asks again."""
    listing(fault, {"id": collection, "name": "n", **zone})
    for looks in (1, 2):
        error = failing(write_deals())
        assert isinstance(error, UsageError)
        assert error.exit_code == 2
        assert "--timezone ZONE" in str(error)
        assert asked("GET", "/api/collection") == looks
    assert Ledger(load_settings().ledger_url).get(collection, TIMEZONE) is None
    assert asked("POST", "*/append") == 0


@pytest.mark.parametrize("shape", sampled(['{"rows": {"%s": "a"}}', '{"names": ["a", "b"]}', "<html>%s"]))
def test_a_list_in_a_shape_of_its_own_is_enough_with_a_zone_where_it_has_the_id(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, collection: str, shape: str
) -> None:
    """A login page, whose address may have the id, is no list."""
    fault("garbage", "/api/collection", body=shape.replace("%s", collection), count=None)
    error = failing(write_deals())
    assert isinstance(error, UnexpectedAnswer)
    assert "--timezone ZONE" in str(error)
    if "rows" in shape:
        assert sync(write_deals(), timezone="Europe/Rome", forecast="never").is_completed()
    else:
        assert isinstance(failing(write_deals(), timezone="Europe/Rome"), UnexpectedAnswer)


@pytest.mark.slow
def test_with_a_zone_that_is_given_the_deals_are_those_that_the_list_s_zone_makes(
    sync: Sync, collection: str, fault: Fault, asked: Asked, held: Held, dealcast: Dealcast
) -> None:
    """The collection is in Europe/Rome, and its list does not say so: with --timezone no cell differs."""
    export = {"crm": "close", "forecast": "never", "accept_shrink": True, "accept_change": True, "accept_reading_change": True}
    assert sync(UTC_EXPORT, **export).is_completed()
    listed = held()
    assert asked("GET", "/api/collection") == 1
    listing(fault, {"id": collection})
    assert sync(UTC_EXPORT, **export, timezone="UTC", full=True).is_completed()
    assert {row["id"] for row in held().values() if row["creationDatetime"] != listed[row["id"]]["creationDatetime"]} == listed.keys()
    assert sync(UTC_EXPORT, **export, timezone="Europe/Rome", full=True).is_completed()
    assert {key: {**row, "lastSyncedAt": ""} for key, row in held().items()} == {
        key: {**row, "lastSyncedAt": ""} for key, row in listed.items()
    }
    verify = ("collections", "verify", collection, UTC_EXPORT, "--crm", "close")
    for zone in ((), ("--timezone", "Europe/Rome")):  # said, or as the last sync had it
        found = json.loads(dealcast(*verify, *zone, "--json").stdout)
        assert (found["differing"], found["missing"]) == (0, 0)


@pytest.mark.slow
def test_the_command_asks_for_the_zone_sends_nothing_and_takes_it(collection: str, fault: Fault, asked: Asked, dealcast: Dealcast) -> None:
    """A collection in Europe/Rome, and a list that does not say so: what is held then differs from the export in no cell."""
    listing(fault, {"id": collection})
    line = ("sync", UTC_EXPORT, "--crm", "close", "--collection", collection, "--no-forecast")
    assert "give --timezone ZONE" in dealcast(*line, code=2).stderr
    assert asked("POST", "*/append") == 0
    dealcast(*line, "--timezone", "Europe/Rome")
    verify = ("collections", "verify", collection, UTC_EXPORT, "--crm", "close", "--json")
    found = json.loads(dealcast(*verify, "--timezone", "Europe/Rome").stdout)
    assert (found["differing"], found["missing"]) == (0, 0)
    assert json.loads(dealcast(*verify, "--timezone", "UTC", code=9).stdout)["differing"] > 0

"""Collections by their names: people know no ids; two of one name are asked about, never chosen between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.command_line.console import short_ids
from flows.errors import NotFound, UsageError
from flows.ledger.store import NAME, Ledger
from flows.nostradamus import Nostradamus

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals


def test_a_collection_is_found_by_its_id_or_else_its_name(platform: Nostradamus) -> None:
    made = platform.create_collection("New business", "Europe/Rome")
    assert platform.collection("New business") == platform.collection(made.id) == made
    named_like_it = platform.create_collection(made.id, "Europe/Rome")
    assert platform.collection(made.id) == made != named_like_it, "an id is never taken for a name"
    with pytest.raises(NotFound, match="New business"):
        platform.collection("new business")


def test_the_list_is_one_object_for_a_script(dealcast: Dealcast, platform: Nostradamus) -> None:
    made = platform.create_collection("acme", "Europe/Rome")
    assert json.loads(dealcast("collections", "list", "--json").stdout) == {
        "collections": [{"id": made.id, "name": "acme", "timezone": "Europe/Rome"}]
    }


def test_a_misspelt_variable_is_named(dealcast: Dealcast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_DEADLIN", "5")
    said = "dealcast: DEALCAST_DEADLIN is no setting, and is not read. Is DEALCAST_DEADLINE meant?"
    for command in (["collections", "list"], ["crms"], ["config", "show"]):
        assert dealcast(*command).stderr.startswith(said), command
    monkeypatch.delenv("DEALCAST_DEADLIN")
    assert "no setting" not in dealcast("collections", "list").stderr


def test_the_sandbox_s_own_variable_is_no_misspelt_setting(dealcast: Dealcast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEALCAST_SANDBOX_TOKEN", "t")
    assert "no setting" not in dealcast("crms").stderr


def test_of_two_of_one_name_none_is_chosen(platform: Nostradamus) -> None:
    twins = [platform.create_collection("twins", zone) for zone in ("Europe/Rome", "UTC")]
    with pytest.raises(UsageError) as error:
        platform.collection("twins")
    assert all(f"{twin.id} ({twin.timezone})" in str(error.value) for twin in twins)


def test_a_second_one_of_a_name_is_made_on_purpose_only(dealcast: Dealcast, platform: Nostradamus) -> None:
    first = dealcast("collections", "create", "acme", "--timezone", "UTC").stdout.strip()
    refused = dealcast("collections", "create", "acme", "--timezone", "UTC", code=2).stderr
    assert first in refused
    assert "--same-name" in refused
    dealcast("collections", "create", "acme", "--timezone", "UTC", "--same-name")
    assert [found.name for found in platform.collections()] == ["acme", "acme"]


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_every_command_takes_a_name(dealcast: Dealcast, platform: Nostradamus, write_deals: WriteDeals, home: Path) -> None:
    made, export = platform.create_collection("New business", "Europe/Rome"), write_deals(1)
    by_name = ("--collection", "New business")
    sent = dealcast("sync", export, "--crm", "canonical", *by_name)
    assert sent.stdout.startswith("New business: 1 deal sent, 0 quarantined, forecast of 6 months")
    assert made.id not in sent.stderr.replace(f"/{made.id}", ""), "people read names, and of ids their beginning"
    assert Ledger(str(home / "ledger")).collections() == [made.id], "what is remembered is remembered by id"
    again = json.loads(dealcast("sync", export, "--crm", "canonical", *by_name, "--json", "--quiet").stdout)
    assert (again["collection"], again["name"], again["outcome"]) == (made.id, "New business", "nothing-new")
    assert "Nothing" in dealcast("resume", *by_name).stdout
    assert "New business" in dealcast("status", "New business").stdout
    assert "New business" in dealcast("doctor", export, *by_name, "--max-age", "1d").stdout
    assert json.loads(dealcast("forecasts", "New business", "--format", "json").stdout)["collection"] == made.id
    for ending, begins in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        dealcast("forecasts", "New business", "--chart", home / f"chart.{ending}")
        assert (home / f"chart.{ending}").read_bytes().startswith(begins)
    assert "end the file's name" in dealcast("forecasts", "New business", "--chart", home / "chart.pdf", code=2).output
    dealcast("collections", "verify", "New business", export, "--crm", "canonical")
    dealcast("forget", "New business", "--yes")
    assert Ledger(str(home / "ledger")).collections() == []
    platform.create_collection("New business", "UTC")
    refused = dealcast("sync", export, "--crm", "canonical", *by_name, code=2)
    assert "2 collections are named 'New business'" in refused.stderr
    assert made.id in refused.stderr


def test_the_ledger_finds_a_collection_by_its_name(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    for collection, name in {"a1": "acme", "b2": "twins", "c3": "twins"}.items():
        ledger.put(collection, NAME, name.encode())
    assert (ledger.find("acme"), ledger.find("a1")) == ("a1", "a1")
    with pytest.raises(UsageError, match="b2, c3"):
        ledger.find("twins")
    with pytest.raises(UsageError, match="knows no collection 'globex'"):
        ledger.find("globex")


def test_ids_stay_whole_where_they_are_used() -> None:
    long = "797ba11be42b432c9f53210c97c19e73"
    assert short_ids(f"accepted as request {long}") == "accepted as request 797ba11b"
    for used in (f"dealcast resume --collection {long}", f"in /home/x/forecasts/{long}", f"{long}ab"):
        assert short_ids(used) == used

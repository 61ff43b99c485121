"""Syncs against the second double: what holds with it does not hang on a guess that dealcast and its sandbox share."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.nostradamus import Nostradamus
from tests.conftest import HANG
from tests.faults import child
from tests.faults.cell import LATER, NOW, start_sync, write_deals
from tests.faults.foreign_platform import ForeignPlatform, foreign_platform


@pytest.fixture
def foreign() -> Iterator[ForeignPlatform]:
    with foreign_platform(seconds=0.05) as platform:
        yield platform


@pytest.fixture
def collection(foreign: ForeignPlatform) -> str:
    with Nostradamus(foreign.url, foreign.token) as client:
        return client.create_collection("test", "Europe/Rome").id


def sync(folder: Path, foreign: ForeignPlatform, collection: str, **settings: str) -> int | None:
    process = start_sync(folder, foreign, collection, **settings)
    process.join(HANG)
    return process.exitcode


def test_a_sync_sends_polls_and_forecasts_and_a_second_sends_what_changed(
    foreign: ForeignPlatform, collection: str, tmp_path: Path
) -> None:
    write_deals(tmp_path / "deals.csv", NOW)
    assert sync(tmp_path, foreign, collection) == 0
    write_deals(tmp_path / "deals.csv", LATER)
    assert sync(tmp_path, foreign, collection) == 0
    assert sync(tmp_path, foreign, collection) == child.NOTHING_NEW
    posts = [each for each in foreign.requests if each.method == "POST"]
    appends = [each.ids for each in posts if each.path.endswith("/append")]
    assert appends == [list(NOW), [name for name, value in LATER.items() if NOW.get(name) != value]]
    assert {name: deal["value"] for name, deal in foreign.deals[collection].items()} == LATER
    invocations = [each for each in posts if each.path == "/api/invocation"]
    assert [each.open for each in invocations] == [[], []]
    assert [set(each.ids) for each in invocations] == [set(NOW), set(LATER)]
    out = tmp_path / "home" / "forecasts" / collection
    with (out / "forecast.csv").open(newline="", encoding="utf-8") as source:
        months = {row["period"]: float(row["expectedWon"]) for row in csv.DictReader(source)}
    assert months == dict.fromkeys(("2025-04-01", "2025-05-01", "2025-06-01"), sum(map(float, LATER.values())))
    assert not (out / "forecast.xlsx").exists()


def test_collections_of_two_platforms_have_ids_of_their_own(collection: str) -> None:
    """Else their syncs, which share a Prefect server in `make faults`, would wait for each other's locks."""
    with foreign_platform(seconds=0) as other, Nostradamus(other.url, other.token) as client:
        assert client.create_collection("test", "Europe/Rome").id != collection


def test_the_double_deletes_the_named_deals_alone(foreign: ForeignPlatform, collection: str, tmp_path: Path) -> None:
    with Nostradamus(foreign.url, foreign.token) as client:
        write_deals(tmp_path / "deals.csv", NOW)
        client.append(collection, tmp_path / "deals.csv")
        request = client.delete_deals(collection, ["2", "unheard of"]).id
        foreign.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0})
        assert client.upload_status(collection, request, mode="delete").status == "completed"
    assert set(foreign.deals[collection]) == set(NOW) - {"2"}


@pytest.mark.parametrize("value", ["-1.00", "a lot", ""])
def test_a_file_that_breaks_a_rule_is_rejected_whole(foreign: ForeignPlatform, collection: str, tmp_path: Path, value: str) -> None:
    write_deals(tmp_path / "deals.csv", {**NOW, "7": value})
    with Nostradamus(foreign.url, foreign.token) as client:
        request = client.append(collection, tmp_path / "deals.csv").id
        foreign.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0})
        answer = client.upload_status(collection, request)
    assert (answer.status, answer.message) == ("error", "Validation failed")
    assert answer.validation_errors
    assert foreign.deals[collection] == {}


def test_an_invocation_that_comes_too_early_is_seen(foreign: ForeignPlatform, collection: str, tmp_path: Path) -> None:
    """The double's own eye: without it no scenario could tell that a forecast was invoked while an upload is open."""
    foreign.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 600})
    write_deals(tmp_path / "deals.csv", NOW)
    with Nostradamus(foreign.url, foreign.token) as client:
        request = client.append(collection, tmp_path / "deals.csv").id
        client.invoke(collection, horizon=1)
    assert foreign.requests[-1].open == [request]

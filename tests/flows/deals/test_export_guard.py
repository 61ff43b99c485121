"""The guard's rules, each at its edge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.deals.export_guard import (
    ExportStats,
    check_whole,
    in_words,
    object_to_age,
    object_to_deletion,
    object_to_reading,
    object_to_whole,
    old_in_words,
)
from flows.errors import Objection, StoppedByGuard, UsageError
from flows.options import SyncOptions, age_of


def stats(**values: Any) -> ExportStats:
    return ExportStats(**{"deals": 480, "value": 480.0, "newest_update": None, "gone": 0, "known": 480, **values})


BEFORE = stats().as_baseline()


@pytest.mark.parametrize(
    ("now", "stops"),
    [
        ({"deals": 384, "value": 384.0}, False),
        ({"deals": 383}, True),
        ({"value": 383.9}, True),
        ({"gone": 96}, False),
        ({"gone": 97}, True),
        ({"changed": 96}, False),
        ({"changed": 97}, True),
        ({"changed": 50, "added": 46}, False),
        ({"changed": 50, "added": 47}, True),
        ({"known": 200, "added": 49}, False),
        ({"known": 200, "added": 50}, True),
    ],
)
def test_a_fifth_in_any_direction_stops(now: dict[str, Any], stops: bool) -> None:
    assert bool(object_to_whole(stats(**now), BEFORE)) == stops


@pytest.mark.parametrize(("newest", "stops"), [("2026-11-01T10:00:00", False), ("2026-11-01T09:59:59", True), (None, False)])
def test_an_export_older_than_the_last_one_stops(newest: str | None, stops: bool) -> None:
    before = stats(newest_update="2026-11-01T10:00:00").as_baseline()
    objections = object_to_whole(stats(newest_update=newest), before)
    assert ["older than the last export's" in each.why for each in objections] == [True] * stops


def test_a_change_is_named_by_the_columns_that_changed_most() -> None:
    columns = {"value": 1, "closedDatetime": 478, "addDatetime": 400, "stage": 2}
    [found] = object_to_whole(stats(changed=478, compared=478, columns=columns), BEFORE)
    assert "478 of 480 known deals changed and 0 are new" in found.why
    assert "closedDatetime of 478 of 478, addDatetime of 400 of 478, stage of 2 of 478 deals" in found.why
    assert found.accept == "--accept-change"


def test_many_new_deals_are_told_with_their_number() -> None:
    """The sibling: nothing changed, and no column is named; a share of the known ones stops, whatever its kind."""
    [found] = object_to_whole(stats(deals=624, value=624.0, added=144), BEFORE)
    assert "0 of 480 known deals changed and 144 are new, more than 20% at once" in found.why
    assert found.accept == "--accept-change"
    assert "columns" not in found.why


def test_each_doubt_is_accepted_by_its_own_option() -> None:
    both = stats(deals=100, changed=100)
    for accepted, left in (("accept_shrink", "--accept-change"), ("accept_change", "--accept-shrink")):
        assert {each.accept for each in object_to_whole(both, BEFORE, **{accepted: True})} == {left}
    assert object_to_whole(both, BEFORE, accept_shrink=True, accept_change=True) == []


def test_all_that_is_objected_to_is_in_one_message_with_all_the_options() -> None:
    now = stats(deals=100, value=100.0, changed=100, gone=380)
    objections = [
        *object_to_age(DAY, NOW - 3 * DAY, "2026-11-20T13:00:00", now=NOW, local_now=datetime(2026, 11, 27, 13)),  # noqa: DTZ001 - naive
        *object_to_reading(["decimal was point, is comma"], now),
        *object_to_whole(now, BEFORE, accept_change=True),
        *object_to_deletion(now, None),
    ]
    message = str(StoppedByGuard.at("Nothing was sent", objections))
    assert "run it again with --max-age 169h and --accept-reading-change and --accept-shrink and --missing-limit 380." in message
    assert message.count("--accept-shrink") == 1
    assert all(each.why in message and each.remedy in message for each in objections)


def test_what_nothing_accepts_names_no_option() -> None:
    assert str(StoppedByGuard.at("Nothing was sent", [Objection("it is empty", "")])) == "Nothing was sent: it is empty."


def test_another_reading_by_which_no_deal_changes_is_none() -> None:
    assert object_to_reading(["decimal was point, is comma"], stats()) == []
    assert object_to_reading(["decimal was point, is comma"], stats(changed=1), accept=True) == []
    assert object_to_reading([], stats(changed=1)) == []
    [found] = object_to_reading(["decimal was point, is comma"], stats(changed=1))
    assert found.accept == "--accept-reading-change"


def test_the_first_export_is_measured_by_nothing() -> None:
    assert object_to_whole(stats(known=5, added=475), None) == []


@pytest.mark.parametrize(("gone", "stops"), [(193, False), (194, True)])
def test_deals_that_were_gone_already_and_accepted_so_are_not_counted_again(gone: int, stops: bool) -> None:
    """97 were missing from the last export, and the platform still has them."""
    assert bool(object_to_whole(stats(gone=gone), stats(gone=97).as_baseline())) == stops


def test_gone_deals_are_named() -> None:
    [found] = object_to_whole(stats(gone=97, gone_ids=("a", "b", *map(str, range(95))), gone_file="/out/gone.csv"), BEFORE)
    assert found.why == "97 of 480 deals sent before are not in it (their ids are in /out/gone.csv)"


@pytest.mark.parametrize(
    ("known", "gone", "limit", "stops"),
    [
        (480, 20, None, False),
        (480, 21, None, True),
        (10_000, 100, None, False),
        (10_000, 101, None, True),
        (480, 100, "100", False),
        (480, 101, "100", True),
        (480, 48, "10%", False),
        (480, 49, "10%", True),
    ],
)
def test_a_deletion_is_limited_by_a_share_and_a_number(known: int, gone: int, limit: str | None, stops: bool) -> None:
    now = stats(known=known, gone=gone, gone_ids=("deal-1", "deal-2"), gone_file="/out/gone.csv")
    found = object_to_deletion(now, limit)
    assert [each.accept for each in found] == [f"--missing-limit {gone}"] * stops
    for each in found:
        assert "their ids are in /out/gone.csv" in each.why
        assert "deal-1" not in each.why


@pytest.mark.parametrize(
    ("part", "quarantine", "says"),
    [
        ({"limit": 3}, False, "--limit takes a part"),
        ({"pipeline": "Sales"}, False, "--pipeline takes a part"),
        ({"currency": "EUR"}, False, "--currency takes a part"),
        ({}, True, "a quarantine file takes a part"),
        ({"limit": 3, "currency": "EUR"}, True, "--limit and --currency and a quarantine file takes a part"),
    ],
)
def test_a_part_of_an_export_cannot_tell_that_a_deal_is_gone(part: dict[str, Any], quarantine: bool, says: str) -> None:
    whole = {"export": "deals.csv", "crm": "canonical", "collection": "acme", "missing": "delete"}
    check_whole(SyncOptions.model_validate(whole), quarantine=False)
    with pytest.raises(UsageError, match=says) as refused:
        check_whole(SyncOptions.model_validate(whole | part), quarantine=quarantine)
    assert "nothing was sent" in str(refused.value)


NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("modified", "newest", "says"),
    [
        (NOW - DAY, "2026-11-26T13:00:00", None),
        (NOW - DAY - timedelta(seconds=1), None, "the file is of 2026-11-26 11:59 UTC, 24 h ago"),
        (NOW, "2026-11-20T13:00:00", "its newest change is of 2026-11-20T13:00:00, 7 days ago"),
        (None, "2026-11-26T13:00:00", None),
        (NOW + timedelta(minutes=5), None, None),
        (None, "2026-11-26T12:59:59", "its newest change"),
    ],
)
def test_an_old_export_stops_with_the_times(modified: datetime | None, newest: str | None, says: str | None) -> None:
    arguments: dict[str, Any] = {"now": NOW, "local_now": datetime(2026, 11, 27, 13)}  # noqa: DTZ001 - naive, in the collection's zone
    found = object_to_age(DAY, modified, newest, **arguments)
    assert bool(found) == (says is not None)
    for each in found:
        assert str(says) in each.why
        assert object_to_age(age_of(each.accept.removeprefix("--max-age ")), modified, newest, **arguments) == [], "it is enough"


@pytest.mark.parametrize("modified", [None, NOW + 2 * DAY], ids=["no time", "a time of the future"])
def test_an_export_of_which_nobody_knows_how_old_it_is_does_not_count_as_fresh(modified: datetime | None) -> None:
    [found] = object_to_age(DAY, modified, None, now=NOW, local_now=datetime(2026, 11, 27, 13))  # noqa: DTZ001 - naive, in the collection's zone
    assert found.why.startswith("nobody knows how old")


def test_ages_are_told_as_people_do() -> None:
    ages = [timedelta(minutes=5), timedelta(hours=36), timedelta(days=12), timedelta(seconds=-5)]
    assert [in_words(age) for age in ages] == ["5 min", "36 h", "12 days", "0 min"]


def test_a_file_of_the_future_has_no_age() -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    assert old_in_words(now - timedelta(hours=36), now) == "36 h old"
    assert old_in_words(now + timedelta(days=40), now) == "dated in the future"

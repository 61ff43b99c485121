"""How an export is read is remembered: what decides it, what of it the user said, and what differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.crm.guide.remembered import differences, reading_of, remembered, said, with_remembered
from flows.options import SyncOptions


def options(**values: Any) -> SyncOptions:
    return SyncOptions(**{"export": "deals.csv", "crm": "hubspot", "collection": "acme", **values})


def baseline(**values: Any) -> dict[str, Any]:
    return {"reading": reading_of(options(**values), "Europe/Rome"), "said": said(options(**values))}


def test_what_is_not_said_is_taken_as_it_was() -> None:
    before = baseline(crm_timezone="Europe/Rome", date_order="day-first", currency="EUR")
    taken = with_remembered(options(), before)
    assert (taken.crm_timezone, taken.date_order, taken.currency) == ("Europe/Rome", "day-first", "EUR")
    assert differences(reading_of(taken, "Europe/Rome"), before["reading"]) == []


def test_defaults_are_remembered_and_count() -> None:
    before = baseline(default=("value=0", "addDatetime=@creationDatetime"))
    taken = with_remembered(options(), before)
    assert taken.default == ("value=0", "addDatetime=@creationDatetime")
    assert differences(reading_of(taken, "Europe/Rome"), before["reading"]) == []
    other = with_remembered(options(default=("value=1",)), before)
    assert other.default == ("value=1",)
    (told,) = differences(reading_of(other, "Europe/Rome"), before["reading"])
    assert told.startswith("default was value=0")
    assert told.endswith("is value=1")
    assert differences(reading_of(options(default=("value=0",)), "Europe/Rome"), baseline()["reading"]) == [
        "default was not given, is value=0"
    ]


def test_what_is_said_counts() -> None:
    before = baseline(crm_timezone="Europe/Rome")
    taken = with_remembered(options(crm_timezone="UTC"), before)
    assert taken.crm_timezone == "UTC"
    assert differences(reading_of(taken, "Europe/Rome"), before["reading"]) == ["crm_timezone was Europe/Rome, is UTC"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pipeline", "Sales"),
        ("currency", "EUR"),
        ("crm_timezone", "Europe/Rome"),
        ("date_order", "day-first"),
        ("decimal", "comma"),
        ("closed_date", "stage"),
        ("default", ("value=0", "name=none")),
    ],
)
def test_what_was_said_can_be_unsaid(name: str, value: object) -> None:
    """And what is taken without a word is told, with the way to take it no longer."""
    before = baseline(**{name: value})
    taken = with_remembered(options(), before)
    assert getattr(taken, name) == value
    told = remembered(options(), taken)
    assert f"{name} {'; '.join(value) if isinstance(value, tuple) else value}; --forget-reading takes nothing from it." in told
    unsaid = with_remembered(options(forget_reading=True), before)
    assert unsaid == options(forget_reading=True)
    assert remembered(options(forget_reading=True), unsaid) == ""
    [difference] = differences(reading_of(unsaid, "Europe/Rome"), before["reading"])
    assert difference.startswith(f"{name} was ")
    assert difference.endswith(f"is {'local' if name == 'crm_timezone' else 'not given'}")


def test_what_is_said_again_is_not_told() -> None:
    taken = with_remembered(options(currency="EUR"), baseline(currency="EUR", decimal="comma"))
    assert "currency" not in remembered(options(currency="EUR"), taken)
    assert "decimal comma" in remembered(options(currency="EUR"), taken)


def test_a_choice_made_for_another_dialect_is_none_for_this_one() -> None:
    assert with_remembered(options(crm="canonical"), baseline(crm_timezone="Europe/Rome", currency="EUR")) == options(crm="canonical")


def test_the_first_sync_is_compared_with_nothing() -> None:
    assert with_remembered(options(), None) == options()
    assert with_remembered(options(), {"deals": 5}) == options()
    assert differences(reading_of(options(), "UTC"), None) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"crm": "pipedrive"}, "dialect"),
        ({"pipeline": "Sales"}, "pipeline"),
        ({"currency": "EUR"}, "currency"),
        ({"timezone": "UTC"}, "timezone"),
    ],
)
def test_each_difference_is_named(changed: dict[str, Any], name: str) -> None:
    zone = changed.get("timezone", "Europe/Rome")
    found = differences(reading_of(options(**changed), zone), baseline()["reading"])
    assert f"{name} was" in "; ".join(found)


def test_a_dialect_is_known_by_its_content_not_by_its_comments(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n')
    before = reading_of(options(crm=str(own)), "UTC")
    own.write_text('# ours\nextends = "hubspot"\n')
    assert differences(reading_of(options(crm=str(own)), "UTC"), before) == []
    own.write_text('extends = "hubspot"\n[numbers]\nstyle = "comma"\n')
    (found,) = differences(reading_of(options(crm=str(own)), "UTC"), before)
    assert found.startswith("dialect content was ")

"""Invocations and what they bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.delivery.result_table import Months, read_months
from flows.nostradamus import FORECAST_MONTH, FORECAST_REVENUE, Invocation

if TYPE_CHECKING:
    from tests.conformance.conftest import Platform


@pytest.fixture(scope="module")
def filled(platform: Platform) -> str:
    """A collection with three won deals and one lost a month, from July 2022 to June 2024, and two open ones."""
    collection = platform.new_collection()
    months = [f"{2022 + month // 12}-{month % 12 + 1:02}" for month in range(6, 30)]
    deals = [
        {
            "id": f"{month}-{number}",
            "status": status,
            "creationDatetime": f"{month}-01T08:00:00",
            "addDatetime": f"{month}-01T08:00:00",
            "currentStageStartDatetime": f"{month}-02T08:00:00",
            "closedDatetime": "" if status == "open" else f"{month}-1{number}T08:00:00",
            "lastUpdateDatetime": f"{month}-1{number}T08:00:00",
            "value": str(1000 + 100 * number),
        }
        for month in months
        for number, status in enumerate(["closed_won", "closed_won", "closed_won", "closed_lost", *(["open"] * (month > "2024-04"))])
    ]
    assert platform.upload(collection, *deals).status == "completed"
    return collection


@pytest.fixture(scope="module")
def forecast(platform: Platform, filled: str) -> Invocation:
    """A completed forecast of three months."""
    return platform.forecast(filled, horizon=3)


@pytest.mark.fact("invocation")
def test_an_invocation_is_accepted(platform: Platform, filled: str) -> None:
    answer = platform.invoke(filled, horizon=1)
    assert answer.status_code == 202
    accepted = Invocation.model_validate_json(answer.content)
    answer = platform.http.get(f"/api/invocation/{accepted.id}")
    assert answer.status_code == 200
    assert Invocation.model_validate_json(answer.content).id == accepted.id


@pytest.mark.fact("invocation-words")
def test_an_invocation_has_one_of_the_four_words(platform: Platform, filled: str) -> None:
    accepted = Invocation.model_validate_json(platform.invoke(filled, horizon=1).content)
    assert accepted.status in ("queued", "in_progress", "completed", "error")


@pytest.mark.fact("results")
def test_a_completed_invocation_has_a_primary_result_in_the_formats_it_offers(platform: Platform, forecast: Invocation) -> None:
    assert forecast.status == "completed", forecast.message
    assert forecast.invocation_results
    results = platform.http.get(f"/api/invocation/{forecast.id}").json()["invocationResults"]
    [primary] = [name for name, result in forecast.invocation_results.items() if result.is_primary]
    expected = {"primaryResult", "status", "jsonAvailable", "csvAvailable", "xlsxAvailable"}
    assert expected <= results[primary].keys()
    assert forecast.offered, "no format is there"
    for form in forecast.offered:
        assert platform.http.get(f"/api/invocation/{forecast.id}/{form}").status_code == 200


@pytest.mark.fact("formats-agree")
def test_the_formats_that_are_there_agree(platform: Platform, forecast: Invocation) -> None:
    contents = {form: platform.http.get(f"/api/invocation/{forecast.id}/{form}").content for form in forecast.offered}
    readings = {form: read_months(content, form) for form, content in contents.items()}
    assert {form: reading.why_not for form, reading in readings.items() if reading.why_not} == {}
    first, *others = [reading.months for reading in readings.values()]
    for months in others:
        assert [month for month, _ in months] == [month for month, _ in first]
        assert [revenue for _, revenue in months] == pytest.approx([revenue for _, revenue in first], abs=0.005)


@pytest.mark.fact("json-records")
def test_the_json_result_is_a_bare_array_of_records(platform: Platform, forecast: Invocation) -> None:
    body = platform.http.get(f"/api/invocation/{forecast.id}/json").json()
    assert isinstance(body, list)
    assert body
    assert all(isinstance(record, dict) for record in body)


@pytest.mark.fact("result-fields")
def test_a_prediction_has_the_fields_that_the_client_reads(platform: Platform, forecast: Invocation) -> None:
    first = platform.http.get(f"/api/invocation/{forecast.id}/json").json()[0]
    plain = {name.lower().replace("_", "") for name in first}
    assert plain & set(FORECAST_MONTH), f"it has {sorted(first)}"
    assert plain & set(FORECAST_REVENUE), f"it has {sorted(first)}"


@pytest.mark.fact("months")
@pytest.mark.parametrize("horizon", [1, 12])
def test_a_forecast_has_a_prediction_for_each_month(platform: Platform, filled: str, horizon: int) -> None:
    made = platform.forecast(filled, horizon=horizon)
    months = months_of(platform, made)
    assert [month for month, _ in months] == [f"{2024 + number // 12}-{number % 12 + 1:02}-01" for number in range(6, 6 + horizon)]
    assert all(revenue >= 0 for _, revenue in months)


@pytest.mark.fact("first-month")
@pytest.mark.parametrize(("args", "first"), [({}, "2024-07-01"), ({"first_month_to_predict": "2024-09"}, "2024-09-01")])
def test_the_first_month_is_the_one_asked_for_or_the_next(platform: Platform, filled: str, args: dict[str, str], first: str) -> None:
    made = platform.forecast(filled, horizon=2, **args)
    assert made.status == "completed", made.message
    assert months_of(platform, made)[0][0] == first


def months_of(platform: Platform, made: Invocation) -> Months:
    """The predictions of an invocation, by the first format that is there."""
    form = made.offered[0]
    reading = read_months(platform.http.get(f"/api/invocation/{made.id}/{form}").content, form)
    assert not reading.why_not, reading.why_not
    return reading.months


@pytest.mark.fact("horizon")
@pytest.mark.parametrize("horizon", [0, 13])
def test_a_horizon_outside_one_to_twelve_makes_no_forecast(platform: Platform, filled: str, horizon: int) -> None:
    answer = platform.invoke(filled, horizon=horizon)
    assert 400 <= answer.status_code < 500 or platform.forecast(filled, horizon=horizon).status == "error"


@pytest.mark.fact("needs-data")
def test_an_empty_collection_has_no_forecast(platform: Platform, collection: str) -> None:
    answer = platform.invoke(collection, horizon=1)
    assert 400 <= answer.status_code < 500 or platform.forecast(collection, horizon=1).status == "error"

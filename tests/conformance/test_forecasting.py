"""Invocations and what they bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.delivery.forecast_files import read_months
from flows.nostradamus import FORECAST_MONTH, FORECAST_REVENUE, RESULT_FORMATS, Invocation

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
def test_a_completed_invocation_has_a_primary_result_in_three_formats(platform: Platform, forecast: Invocation) -> None:
    assert forecast.status == "completed", forecast.message
    assert forecast.invocation_results
    results = platform.http.get(f"/api/invocation/{forecast.id}").json()["invocationResults"]
    [primary] = [name for name, result in forecast.invocation_results.items() if result.is_primary]
    expected = {"primaryResult": True, "status": "completed", "jsonAvailable": True, "csvAvailable": True, "xlsxAvailable": True}
    assert results[primary] == expected
    contents = {form: platform.http.get(f"/api/invocation/{forecast.id}/{form}") for form in RESULT_FORMATS}
    assert {answer.status_code for answer in contents.values()} == {200}
    readings = [read_months(answer.content, form, forecast.id) for form, answer in contents.items()]
    for reading in readings[1:]:
        assert [month for month, _ in reading] == [month for month, _ in readings[0]]
        assert [revenue for _, revenue in reading] == pytest.approx([revenue for _, revenue in readings[0]], abs=0.005)


@pytest.mark.fact("result-fields")
def test_a_prediction_has_the_fields_that_the_client_reads(platform: Platform, forecast: Invocation) -> None:
    first = platform.http.get(f"/api/invocation/{forecast.id}/json").json()[0]
    assert {FORECAST_MONTH, FORECAST_REVENUE} <= first.keys(), f"it has {sorted(first)}"


@pytest.mark.fact("months")
@pytest.mark.parametrize("horizon", [1, 12])
def test_a_forecast_has_a_prediction_for_each_month(platform: Platform, filled: str, horizon: int) -> None:
    made = platform.forecast(filled, horizon=horizon)
    months = read_months(platform.http.get(f"/api/invocation/{made.id}/json").content, "json", made.id)
    assert len(months) == horizon
    assert all(month.endswith("-01") and revenue >= 0 for month, revenue in months)


@pytest.mark.fact("first-month")
@pytest.mark.parametrize(("args", "first"), [({}, "2024-07-01"), ({"first_month_to_predict": "2024-09"}, "2024-09-01")])
def test_the_first_month_is_the_one_asked_for_or_the_next(platform: Platform, filled: str, args: dict[str, str], first: str) -> None:
    made = platform.forecast(filled, horizon=2, **args)
    assert made.status == "completed", made.message
    assert read_months(platform.http.get(f"/api/invocation/{made.id}/json").content, "json", made.id)[0][0] == first


@pytest.mark.fact("horizon")
@pytest.mark.parametrize("horizon", [0, 13])
def test_a_horizon_beyond_a_year_makes_no_forecast(platform: Platform, filled: str, horizon: int) -> None:
    answer = platform.invoke(filled, horizon=horizon)
    assert 400 <= answer.status_code < 500 or platform.forecast(filled, horizon=horizon).status == "error"


@pytest.mark.fact("needs-data")
def test_an_empty_collection_has_no_forecast(platform: Platform, collection: str) -> None:
    answer = platform.invoke(collection, horizon=1)
    assert 400 <= answer.status_code < 500 or platform.forecast(collection, horizon=1).status == "error"

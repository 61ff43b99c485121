"""Invocations and their results over HTTP."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

import openpyxl
import pytest

from deployments.sandbox import Sandbox

if TYPE_CHECKING:
    from tests.deployments.sandbox.conftest import Client

DealsCsv = Callable[..., bytes]


@pytest.fixture
def filled(api: Client, collection: str, deals_csv: DealsCsv) -> str:
    """A collection of one deal won in June 2024."""
    assert api.append(collection, deals_csv({}))["status"] == "completed"
    return collection


def test_an_invocation_is_accepted_and_completed(api: Client, filled: str) -> None:
    body = {"collectionId": filled, "invocationType": "sales-forecasting", "args": {"horizon": 3}}
    accepted = api.post("/api/invocation", json=body)
    assert accepted.status_code == 202
    assert accepted.json() == body | {"id": accepted.json()["id"], "status": "queued", "message": None, "invocationResults": {}}
    result = {"primaryResult": True, "status": "completed", "jsonAvailable": True, "csvAvailable": True, "xlsxAvailable": True}
    ended = api.settled(f"/api/invocation/{accepted.json()['id']}")
    assert ended == accepted.json() | {"status": "completed", "invocationResults": {"baseline-forecast": result}}


def test_the_three_formats_agree(api: Client, filled: str) -> None:
    path = api.invoke(filled, horizon=12)
    api.settled(path)
    predictions = api.get(f"{path}/json").json()
    assert len(predictions) == 12
    table = [["month", "revenue"], *([row["month"], row["revenue"]] for row in predictions)]
    as_csv = api.get(f"{path}/csv")
    assert as_csv.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert list(csv.reader(io.StringIO(as_csv.text))) == [[str(cell) for cell in row] for row in table]
    sheet = openpyxl.load_workbook(io.BytesIO(api.get(f"{path}/xlsx").content)).worksheets[0]
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == table


@pytest.mark.parametrize(
    ("args", "months"),
    [
        ({"horizon": 1}, ["2024-07-01"]),
        ({"horizon": 3.0}, ["2024-07-01", "2024-08-01", "2024-09-01"]),
        ({"horizon": 2, "first_month_to_predict": "2024-12"}, ["2024-12-01", "2025-01-01"]),
        ({"horizon": 1, "first_month_to_predict": "2024-06"}, ["2024-06-01"]),
    ],
)
def test_months_are_those_asked_for(api: Client, filled: str, args: dict[str, object], months: list[str]) -> None:
    path = api.invoke(filled, **args)
    api.settled(path)
    assert [prediction["month"] for prediction in api.get(f"{path}/json").json()] == months


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"horizon": 0},
        {"horizon": 13},
        {"horizon": "3"},
        {"horizon": 1.5},
        {"horizon": True},
        {"horizon": None},
        {"horizon": 3, "first_month_to_predict": "2024-13"},
        {"horizon": 3, "first_month_to_predict": "2024-1"},
        {"horizon": 3, "first_month_to_predict": "2024-01-01"},
        {"horizon": 3, "first_month_to_predict": "2024-01\n"},
        {"horizon": 3, "first_month_to_predict": 202401},
        {"horizon": 3, "surprise": 1},
    ],
)
def test_wrong_arguments_are_refused(api: Client, filled: str, args: dict[str, object]) -> None:
    body = {"collectionId": filled, "invocationType": "sales-forecasting", "args": args}
    answer = api.post("/api/invocation", json=body)
    assert answer.status_code == 422
    assert "body.args" in answer.json()["detail"]


def test_an_unknown_type_or_collection_is_refused(api: Client, filled: str) -> None:
    body = {"collectionId": filled, "invocationType": "weather", "args": {"horizon": 3}}
    assert api.post("/api/invocation", json=body).status_code == 422
    assert api.post("/api/invocation", json=body | {"collectionId": "x", "invocationType": "sales-forecasting"}).status_code == 404


def test_an_empty_collection_makes_the_invocation_fail(api: Client, collection: str) -> None:
    path = api.invoke(collection)
    ended = api.settled(path)
    assert ended["status"] == "error"
    assert "no deals" in ended["message"]
    assert ended["invocationResults"]["baseline-forecast"]["status"] == "error"
    assert api.get(f"{path}/json").status_code == 409


def test_an_invocation_sent_before_the_append_completed_fails(sandbox: Sandbox, api: Client, collection: str, deals_csv: DealsCsv) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 3600, "processing_seconds": 0})
    upload, invocation = api.upload(collection, deals_csv({})), api.invoke(collection)
    sandbox.control("PUT", "speed", {"queued_seconds": 0, "processing_seconds": 0})
    ended = api.settled(invocation)
    assert (ended["status"], "no deals" in ended["message"]) == ("error", True)
    assert api.settled(upload)["status"] == "completed"


def test_a_month_before_all_data_cannot_be_predicted(api: Client, filled: str) -> None:
    ended = api.settled(api.invoke(filled, first_month_to_predict="2020-01"))
    assert ended["status"] == "error"
    assert "before the first month" in ended["message"]


@pytest.mark.parametrize("result", ["json", "csv", "xlsx"])
def test_a_result_is_not_there_before_its_time(sandbox: Sandbox, api: Client, filled: str, result: str) -> None:
    sandbox.control("PUT", "speed", {"queued_seconds": 60, "processing_seconds": 0})
    path = api.invoke(filled)
    answer = api.get(f"{path}/{result}")
    assert answer.status_code == 409
    assert "queued" in answer.json()["detail"]

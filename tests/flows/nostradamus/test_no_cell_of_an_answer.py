"""An answer that quotes a deal is told without it, whatever its shape, status and place in the exchange."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from flows.errors import DealcastError
from flows.nostradamus import UploadRequest
from flows.nostradamus.client import _parse
from flows.nostradamus.collection_page import page_of
from flows.nostradamus.models import Accepted
from flows.nostradamus.retryable_answers import failure, refusal
from flows.nostradamus.validation_errors import columns, describe, fallen
from tests.broken_exports import NEEDLE, PERSON, rows_of, text_of

ID = "kanari-6789012"
QUOTES: dict[str, Any] = {
    "in quotes": {"message": f"Row 3: the stage '{PERSON}' is not known"},
    "as the subject": {"detail": "Giovanna Kanari is no status"},
    "an id alone": {"error": f"{ID} stands twice"},
    "FastAPI's": {"detail": [{"loc": ["body", 3, "name"], "msg": "Field required", "input": {"name": PERSON, "id": ID, "phone": 6789012}}]},
    "in lower case": {"detail": [{"msg": "value is not a valid float", "input": "giovanna kanari"}]},
    "as a name": {PERSON: "unknown", "Giovanna": {"Kanari": 1}},
    "a list": [PERSON, [ID]],
    "a text": PERSON,
    "other quotes": {"message": "\u201cgiovanna kanari\u201d and `giovanna kanari` and \u00abgiovanna kanari\u00bb"},
    "the file itself": text_of(rows_of()),
    "a page": f"<html><body><h1>Bad Request</h1>{PERSON}</body></html>",
    "long": {"message": f"{'Validation failed for ' * 20}{PERSON}"},
}  # fmt: skip
BODIES = {name: (body if isinstance(body, str) else json.dumps(body)).encode() for name, body in QUOTES.items()}


def answered(body: bytes, status: int = 422, method: str = "POST") -> httpx.Response:
    request = httpx.Request(method, "https://platform.example/api/collection/c/data/deals/append", headers={"Authorization": "Token abcd"})
    return httpx.Response(status, content=body, request=request)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_refusal_quotes_a_deal(body: bytes) -> None:
    for status in (200, 201, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503):
        for method in ("GET", "POST", "DELETE"):
            told = str(refusal(answered(body, status, method)))
            assert not NEEDLE.search(told), told
            assert str(status) in told


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_answer_of_another_shape_is_quoted_with_a_deal(body: bytes) -> None:
    for kind in (Accepted, UploadRequest):
        with pytest.raises(DealcastError) as refused:
            _parse(kind, answered(body, 202))
        assert not NEEDLE.search(str(refused.value))
    with pytest.raises(DealcastError) as refused:
        page_of(answered(body, 200, "GET"))
    assert not NEEDLE.search(str(refused.value))


def test_no_line_that_is_no_http_is_quoted() -> None:
    error = httpx.RemoteProtocolError(f"illegal header line: bytearray(b'{PERSON}')", request=answered(b"").request)
    assert not NEEDLE.search(f"{failure(error, repeatable=True)} {failure(error, repeatable=False)}")


def entry(error: str, column: str = "value", check: str = "float64") -> dict[str, Any]:
    return {"schema": "DealsDataModel", "column": column, "check": check, "error": error}


REPORTS = {
    "coercion": entry(
        f"Error while coercing 'value' to type float64: Could not coerce data_container:\n   index failure_case\n0  1  {PERSON}"
    ),
    "coercion in a line": entry("Error while coercing 'value' to type float64: index failure_case 0 1 giovanna kanari"),
    "conversion": entry("Error while executing check function: ValueError(\"could not convert string to float: 'giovanna kanari'\")"),
    "unique": entry("columns '('id',)' not unique: column index failure_case 0 id 0 kanari", "id"),
    "cases": entry(f"Column 'stage' failed element-wise validator number 0: isin(['Won']) failure cases: {PERSON}", "stage"),
    "values": entry(f"series 'id' contains duplicate values:0    {ID}2    {ID}Name: id, dtype: object", "id"),
    "a column": entry("column 'x' not in dataframe", PERSON, "column_in_dataframe"),
    "another shape": {"row": 3, "value": PERSON},
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_no_validation_error_quotes_a_deal(report: dict[str, Any]) -> None:
    for errors in ([{"SCHEMA": {"DATATYPE_COERCION": [report]}}], {"DATA": {"X": [report]}}, [report], report, [PERSON], PERSON):
        answer = UploadRequest(id="1", status="error", message=f"Validation failed: {PERSON}", validation_errors=errors)
        told = f"{describe(answer)}\n{fallen(answer)}\n{columns(answer)}"
        assert not NEEDLE.search(told), told


@pytest.mark.parametrize(
    "words",
    [
        "Invalid token.",
        "Authentication credentials were not provided.",
        "Not found",
        "Validation failed: the column creationDatetime is missing",
        "Column 'status' failed: isin(['closed_won', 'closed_lost', 'open'])",
        "the file is too large, at most 100 MB",
    ],
)
def test_words_that_are_no_deal_s_are_told_as_they_are(words: str) -> None:
    assert words.rstrip(".") in str(refusal(answered(json.dumps({"detail": words}).encode())))


def test_the_search_finds_a_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is told as it came would fail the tests above."""
    monkeypatch.setattr("flows.nostradamus.retryable_answers.without_cells", str)
    assert NEEDLE.search(str(refusal(answered(BODIES["as the subject"]))))

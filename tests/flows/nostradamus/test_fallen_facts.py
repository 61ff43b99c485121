"""Where the platform refuses what the gate passed, the message names the fact that fell and where to correct it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from flows.nostradamus import UploadRequest
from flows.nostradamus.validation_errors import CORRECT, fallen

FACTS = tomllib.loads((Path(__file__).parents[2] / "conformance" / "facts.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("column", "check", "fact"),
    [
        ("value", "greater_than(0)", "zero"),
        ("value", "not_nullable", "required-sibling"),
        ("stage", "not_nullable", "null-words"),
        ("name", "not_nullable", "optional"),
        ("companyCity", "not_nullable", "other-columns"),
        ("closedDatetime", "not_nullable", "closed-unless-open"),
        ("status", "isin(['won', 'lost'])", "status-choices"),
        ("companyIsCustomer", "isin(['True', 'False'])", "strict-text"),
        ("addDatetime", r"str_matches(re.compile('^\\d{4}$'))", "datetime-text"),
        ("id", "field_uniqueness", "unique"),
        ("lastUpdateDatetime", "datetime_after_epoch", "epoch"),
    ],
)
def test_the_fact_that_fell_is_named(column: str, check: str, fact: str) -> None:
    entry = {"schema": "DealsDataModel", "column": column, "check": check, "error": "secret"}
    said = fallen(UploadRequest(id="1", status="error", validation_errors=[{"DATA": {"DATAFRAME_CHECK": [entry]}}]))
    assert f"column {column}, check {check}: `{fact}`, to correct in {FACTS[fact]['correct']}" in said
    assert "secret" not in said


def test_a_check_that_no_fact_knows_is_named_as_such() -> None:
    entry = {"schema": "DealsDataModel", "column": "value", "check": "below(9)"}
    said = fallen(UploadRequest(id="1", status="error", validation_errors=[{"DATA": {"DATAFRAME_CHECK": [entry]}}]))
    assert "column value, check below(9): no fact that is written down" in said


@pytest.mark.parametrize("errors", [None, "broken", [], [1], {"x": "y"}])
def test_a_report_of_another_shape_names_none(errors: object) -> None:
    assert fallen(UploadRequest(id="1", status="error", validation_errors=errors)) == ""


def test_the_places_are_those_of_the_facts() -> None:
    assert {fact: FACTS[fact]["correct"] for fact in CORRECT} == CORRECT

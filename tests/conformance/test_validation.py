"""What the platform takes and what it refuses: all files are sent first, so that it can judge them side by side."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMNS, Null
from flows.nostradamus.validation_errors import describe

if TYPE_CHECKING:
    from tests.conformance.conftest import Platform

Case = tuple[str, str | None, tuple[dict[str, str | None], ...], bool]

CASES: dict[str, Case] = {}
"""Name -> fact, column to blame (None: the file is taken), the deals, whether every cell is quoted."""


def case(fact: str, name: str, blamed: str | None, *deals: dict[str, str | None], quoted: bool = False) -> None:
    CASES[name] = (fact, blamed, deals, quoted)


def cell(fact: str, column: str, *texts: str) -> None:
    for text in texts:
        case(fact, f"{column} {text!r}", column, {column: text})


OPEN = {"status": "open", "closedDatetime": ""}

case("specification-example", "the specification's example", None, {})
for column in COLUMNS:
    if column.null is Null.FORBIDDEN:
        fact = "required" if column.standing.is_documented else "required-sibling"
        case(fact, f"{column.name} empty", column.name, {column.name: ""})
case("optional", "all but what is required empty", None, {column.name: "" for column in COLUMNS if column.null is Null.ALLOWED})
cell("status-choices", "status", "won", "Closed_Won")
case("closed-unless-open", "won without a closing", "closedDatetime", {"closedDatetime": ""})
case("closed-unless-open", "open without a closing", None, {**OPEN})
case("added-after-creation", "added before creation", "addDatetime", {"addDatetime": "2024-04-30T23:59:59"})
case("added-after-creation", "added at creation", None, {"addDatetime": "2024-05-01T08:00:00"})
cell("datetime-text", "lastUpdateDatetime", "2024-06-18", "2024-06-18 12:30:45", "18/06/2024")
cell("epoch", "lastInteractionDatetime", "1969-12-31T23:59:59")
cell("numbers", "value", "-1", "abc")
cell("numbers", "numberOfMeetings", "-1", "1.5")
case("all-columns", "a column left out", "contactId", {"contactId": None})
case("extra-columns", "a column too many", None, {"surprise": "x"})
case("zero", "zeros", None, {"value": "0", "numberOfMeetings": "0", "companyRevenue": "0.0", "companyNumberOfEmployees": "0"})
case("unique", "an id twice", "id", {}, {"name": "another"})
cell("other-columns", "companyIsCustomer", "yes")
cell("other-columns", "contactEmailOptedOut", "2")
cell("other-columns", "companyNumberOfEmployees", "some")
cell("other-columns", "companyRevenue", "-1")
cell("other-columns", "contactNumberOfConversions", "1.5")
cell("other-columns", "accountAverageResponseTime", "slow")
cell("other-columns", "contactAverageResponseTime", "-0.5")
cell("other-columns", "lastSyncedAt", "yesterday")
cell("strict-text", "lastUpdateDatetime", "2024-02-30T00:00:00", "2024-06-18T24:00:00")
for text in ("2024-06-18T12:30:45Z", "2024-06-18T12:30:45.000", "2024-06-18T12:30:45+02:00"):
    case("datetime-offset", f"lastUpdateDatetime {text!r}", None, {"lastUpdateDatetime": text})
cell("strict-text", "value", "1e3", "+1", ".5", " 1")
cell("strict-text", "companyIsCustomer", "True", "1")
cell("null-words", "stage", "NA", "null")
case("empty-cell", "quoted empty cells", "stage", {"stage": ""}, quoted=True)


@pytest.fixture(scope="module")
def sent(platform: Platform) -> tuple[str, dict[str, str]]:
    """A collection, and the request of each case."""
    collection = platform.new_collection()
    return collection, {
        name: platform.send(collection, platform.csv(*deals, quoted=quoted)) for name, (_, _, deals, quoted) in CASES.items()
    }


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.fact(fact)) for name, (fact, *_) in CASES.items()])
def test_a_file_is_taken_or_refused(platform: Platform, sent: tuple[str, dict[str, str]], name: str) -> None:
    collection, requests = sent
    ended = platform.ended(collection, requests[name])
    blamed = CASES[name][1]
    if blamed is None:
        assert ended.status == "completed", describe(ended)
        assert (ended.message, ended.validation_errors) == (None, None)
    else:
        assert ended.status == "error"
        assert re.search(rf"(?<![A-Za-z]){blamed}(?![A-Za-z])", json.dumps([ended.validation_errors, ended.message])), describe(ended)

"""The cases that lie beside this repository, read in place: the right thing happens to each, as to their siblings in the other tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flows.crm import fit, load_dialect
from tests.flows.crm.cases import exports, outcome

CASES = Path(os.environ.get("DEALCAST_SHARED", Path(__file__).parents[4] / "shared")) / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside this repository")

IDS = {
    "reports/14-ids-15.csv": 20,
    "reports/14d-ids-trailing-blank.csv": 20,
    "reports/15-ids-in-formula-quotes.csv": 2,
    "reports/16-words-for-null.csv": 4,
    "reports/25-opportunity-lines.csv": 2,
}
STOPPED = {
    "reports/14b-ids-18.csv": (7, "held as 9999a99999AaAaa"),
    "reports/14e-ids-one-deal-four-ways.csv": (3, "writes one id in two ways: line 2 as `999` (3 characters), line 5 as `999.9`"),
    "exports/crms-two-missing.csv": (3, "--default lastUpdateDatetime=@closedDatetime"),
    "exports/header-line-from-data.csv": (3, "line 1: the header has no column"),
}


@pytest.mark.parametrize("name", IDS)
def test_there_is_an_id_for_each_deal_without_blanks_or_quotes(name: str) -> None:
    became = outcome(CASES / name)
    ids = [str(deal["id"]) for deal in became.sent]
    assert (became.code, len(ids), len(set(ids))) == (0, IDS[name], IDS[name])
    assert all(text == text.strip(" ='\"") for text in ids)


@pytest.mark.parametrize("name", STOPPED)
def test_what_cannot_be_sure_stops_with_a_way_on(name: str) -> None:
    became = outcome(CASES / name)
    code, says = STOPPED[name]
    assert (became.code, became.sent) == (code, [])
    assert says in became.said


@pytest.mark.parametrize(("name", "deals"), [("exports/deals-on-second-sheet.xlsx", 1), ("reports/24-split.zip", 10)])
def test_the_sheet_and_all_parts_of_the_deals_are_read(name: str, deals: int) -> None:
    became = outcome(CASES / name)
    assert (became.code, len(became.sent)) == (0, deals)


def test_a_preview_fills_what_it_can_where_two_columns_are_missing() -> None:
    found = fit(str(CASES / "exports/crms-two-missing.csv"))
    assert found.chosen.name == "dynamics365"
    assert len([column for column in found.columns if column.rows]) >= 8


@pytest.mark.parametrize("path", sorted(CASES.rglob("*.toml")), ids=lambda path: path.name)
def test_every_dialect_loads(path: Path) -> None:
    assert load_dialect(str(path)).columns


def test_every_case_ends_in_an_outcome() -> None:
    """None in a traceback; and nothing is refused without a word."""
    outcomes = {path.name: outcome(path) for path in exports(CASES)}
    assert {name for name, became in outcomes.items() if became.code and not became.said} == set()
    assert {became.code for became in outcomes.values()} <= {0, 2, 3, 4, 7}

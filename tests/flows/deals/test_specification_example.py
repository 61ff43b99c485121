"""The specification's own five deals, and five of ours that are harder: every field comes back byte for byte."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMN_NAMES, COLUMNS

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Held, Sync

THEIRS = Path(__file__).parents[4] / "shared" / "specification-example.csv"

WON = {column.name: column.example for column in COLUMNS}
OURS = [
    WON,
    {**WON, "id": "007", "name": 'Customer "B", Ltd', "description": "two\nlines, and\ta tab", "value": "0", "status": "closed_lost"},
    {
        **WON,
        "id": "8",
        "name": "Ærøskøbing, 東京 🚀",
        "value": "12345678901234567890.12",
        "companyTechnologies": "AI;;Web",
        "status": "open",
    },
    {**WON, "id": " 9 ", "name": " padded ", "description": "'=1+1", "closedDatetime": "", "status": "open", "companyIsCustomer": "false"},
    {name: WON[name] if name in {"creationDatetime", "addDatetime", "closedDatetime", "status", "stage"} else "" for name in COLUMN_NAMES}
    | {"id": "min", "value": "0.000000001", "currentStageStartDatetime": "1970-01-01T00:00:00"}
    | {"lastUpdateDatetime": f"{datetime.now(UTC).year + 19}-12-31T23:59:59", "lastSyncedAt": "2024-02-29T23:59:59"},
]


@pytest.fixture(params=["theirs", "ours"])
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "theirs":
        if not THEIRS.exists():
            pytest.skip(f"{THEIRS} is not here")
        return THEIRS
    path = tmp_path / "example.csv"
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, COLUMN_NAMES)
        writer.writeheader()
        writer.writerows(OURS)
    return path


def read(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as source:
        return {row["id"]: row for row in csv.DictReader(source)}


def test_all_35_fields_of_five_deals_come_back_byte_for_byte_and_a_second_sync_leaves_five(
    sync: Sync, example: Path, held: Held, asked: Asked
) -> None:
    state = sync(example, forecast="never")
    assert state.is_completed(), state.message
    deals = held()
    assert deals == read(example)
    assert len(deals) == 5
    assert all(list(deal) == list(COLUMN_NAMES) for deal in deals.values())
    for full in (False, True):
        assert sync(example, forecast="never", full=full).is_completed()
        assert held() == deals
        assert asked("POST", "*/append") == 1 + full


def test_ours_is_as_wide_as_the_schema() -> None:
    assert all(set(deal) == set(COLUMN_NAMES) for deal in OURS)
    assert ";;" in OURS[2]["companyTechnologies"]

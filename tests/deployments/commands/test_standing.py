"""What is only assumed of the platform is told as assumed, and `--assume-accepted` lets a user go on."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMN_NAMES, COLUMNS

if TYPE_CHECKING:
    from tests.conftest import Dealcast


def export(folder: Path, *deals: dict[str, str]) -> Path:
    """An export of the platform's own columns: each deal the cells in which it differs from the example."""
    path = folder / "deals.csv"
    with path.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, COLUMN_NAMES)
        writer.writeheader()
        example = {column.name: column.example for column in COLUMNS}
        writer.writerows({**example, "id": str(number), **deal} for number, deal in enumerate(deals, start=1))
    return path


@pytest.mark.parametrize(
    ("deal", "name"), [({"value": ""}, "value:required"), ({"value": "1e3"}, "plain"), ({"stage": "NA"}, "stage:no null word")]
)
def test_what_is_assumed_is_told_as_assumed_and_can_be_accepted(
    dealcast: Dealcast, tmp_path: Path, deal: dict[str, str], name: str
) -> None:
    path = export(tmp_path, deal, {})
    refused = dealcast("check", path, "--crm", "canonical", code=4).stdout
    assert "1 of 2 deals are assumed to be refused (the platform does not say so)" in refused
    assert "would be refused" not in refused
    assert "--assume-accepted" in refused
    accepted = dealcast("check", path, "--crm", "canonical", "--assume-accepted", name, "--json").stdout
    assert [(rule["severity"], rule["rows"]) for rule in json.loads(accepted)["rules"] if rule["rule"] == name.rpartition(":")[2]] == [
        ("warning", 1)
    ]


def test_an_assumption_whose_acceptance_would_save_no_deal_is_no_remedy(dealcast: Dealcast, tmp_path: Path) -> None:
    """A deal that breaks a documented rule too fails all the same; one that breaks the assumption alone makes it a remedy."""
    both = {"creationDatetime": "", "value": ""}
    assert "--assume-accepted" not in dealcast("check", export(tmp_path, both, {}), "--crm", "canonical", code=4).stdout
    assert "--assume-accepted" in dealcast("check", export(tmp_path, both, {"value": ""}), "--crm", "canonical", code=4).stdout


def test_warnings_are_not_told_as_failures(dealcast: Dealcast, tmp_path: Path) -> None:
    late = {"closedDatetime": "2020-01-01T00:00:00"}
    said = dealcast("check", export(tmp_path, late, {}), "--crm", "canonical").stdout
    assert "1 have a warning" in said
    assert "Warnings" in said
    assert "What failed" not in said


def test_a_dialect_accepts_as_the_option_does(dealcast: Dealcast, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "canonical"\nassume_accepted = ["unique", "value:required"]\n', encoding="utf-8")
    path = export(tmp_path, {"value": ""}, {})
    dealcast("check", path, "--crm", "canonical", code=4)
    dealcast("check", path, "--crm", own)
    own.write_text('extends = "canonical"\nassume_accepted = "status:one of"\n', encoding="utf-8")
    assert "documented" in dealcast("check", path, "--crm", own, code=2).stderr


def test_what_is_documented_is_refused_and_cannot_be_accepted(dealcast: Dealcast, tmp_path: Path) -> None:
    path = export(tmp_path, {"status": "won"}, {})
    assert "1 of 2 deals would be refused by the platform" in dealcast("check", path, "--crm", "canonical", code=4).stdout
    assert "documented" in dealcast("check", path, "--crm", "canonical", "--assume-accepted", "one of", code=2).stderr


@pytest.mark.parametrize("word", ["NA", "N/A", "n/a", "null", "NULL", "None", "NaN", "nan", "#N/A", "<NA>", r"\N"])
def test_a_null_word_fails_where_a_cell_is_required_and_is_emptied_elsewhere(dealcast: Dealcast, tmp_path: Path, word: str) -> None:
    emptied = dealcast("check", export(tmp_path, {"name": word, "companyRevenue": word}, {}), "--crm", "canonical", "--json").stdout
    remarks = " ".join(json.loads(emptied)["remarks"])
    assert "name of 1 of 2 deals is empty: a word such as NA or null" in remarks
    assert "companyRevenue of 1 of 2 deals is empty: a word such as NA or null" in remarks
    refused = dealcast("check", export(tmp_path, {"stage": word}, {}), "--crm", "canonical", "--json", code=4).stdout
    assert [(rule["column"], rule["rule"]) for rule in json.loads(refused)["rules"]] == [("stage", "no null word")]

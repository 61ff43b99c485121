"""`dealcast check` on real exports of each CRM: every row is accounted for, or the reason is told."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Dealcast

EXPORTS = Path(__file__).parents[4] / "shared" / "crm-exports"
FILES = [path for crm in ("hubspot", "salesforce") for path in sorted((EXPORTS / crm).glob("*.csv"))]
LACKING = {"warehouse-44.csv": "lastUpdateDatetime", "warehouse-10.csv": "lastUpdateDatetime"}
"""Exports without a column that no option could supply."""


@pytest.mark.skipif(not FILES, reason=f"{EXPORTS} is not here")
@pytest.mark.parametrize("export", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_row_of_a_real_export_is_accounted_for(dealcast: Dealcast, export: Path) -> None:
    command = ["check", export, "--crm", export.parent.name, "--json"]
    if export.name in LACKING:
        assert LACKING[export.name] in dealcast(*command, code=3).stderr
        return
    in_file = sum(1 for line in export.read_text(encoding="utf-8-sig").splitlines() if line.strip()) - 1
    from click.testing import CliRunner  # noqa: PLC0415 - either of two codes is right here

    from deployments.cli import main  # noqa: PLC0415 - as above

    result = CliRunner().invoke(main, [str(word) for word in command])
    found = json.loads(result.stdout)
    assert result.exit_code == (4 if found["quarantined"] else 0)
    with export.open(newline="", encoding="utf-8-sig") as source:
        assert found["rows"] == sum(any(row) for row in csv.reader(source)) - 1
    assert found["rows"] == found["deals"] + sum(found["not_taken"].values())
    assert found["deals"] == found["passed"] + found["quarantined"]
    assert found["failures_total"] == sum(rule["rows"] for rule in found["rules"]) >= found["quarantined"]
    assert all(2 <= failure["line"] <= in_file + 1 for failure in found["failures"])
    assert found["filled"]["id"] == found["deals"]

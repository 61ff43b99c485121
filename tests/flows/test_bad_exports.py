"""An export that cannot be used ends in one message that says what to do next, and nothing is sent."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING

import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.errors import (
    DealcastError,
    ExportError,
    ExportNotFound,
    ExportUnmappable,
    ExportUnreadable,
    StoppedByGate,
    StoppedByGuard,
    UsageError,
)
from tests.conftest import sampled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Asked, Failing, Held, Sync, WriteDeals

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4
HEADER = ",".join(COLUMN_NAMES)

UNREADABLE = {
    "empty": b"",
    "only blank lines": b"\n\n\r\n",
    "a picture": PNG,
    "a broken workbook": b"PK\x03\x04" + bytes(200),
    "a broken gzip": gzip.compress(HEADER.encode())[:40],
    "zero bytes": bytes(4096),
}


@pytest.mark.slow
@pytest.mark.parametrize("content", sampled(UNREADABLE))
@pytest.mark.parametrize("name", sampled(["deals.csv", "deals"]))
def test_a_file_that_is_no_table_is_refused(failing: Failing, tmp_path: Path, asked: Asked, content: bytes, name: str) -> None:
    export = tmp_path / name
    export.write_bytes(content)
    error = failing(export)
    assert isinstance(error, ExportError)
    assert error.exit_code == 3
    assert name in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.slow
@pytest.mark.parametrize("where", sampled(["nowhere.csv", "no/such/folder/deals.csv", "*.csv", ""]))
def test_a_missing_file_is_named(failing: Failing, tmp_path: Path, asked: Asked, where: str) -> None:
    error = failing(tmp_path / where)
    assert isinstance(error, ExportNotFound)
    assert error.exit_code == 3
    assert str(tmp_path / where) in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.slow
@pytest.mark.parametrize("column", sampled(["id", "value", "status", "lastSyncedAt"]))
def test_a_missing_column_is_named(failing: Failing, write_deals: WriteDeals, asked: Asked, column: str) -> None:
    """`canonical` has all 35 columns (D): one that is missing is no empty column, whether a deal needs it or not."""
    export = write_deals()
    lines = [line.split(",") for line in export.read_text().splitlines()]
    place = COLUMN_NAMES.index(column)
    export.write_text("".join(",".join(cells[:place] + cells[place + 1 :]) + "\n" for cells in lines))
    error = failing(export)
    assert isinstance(error, ExportUnmappable)
    assert error.exit_code == 3
    assert column in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crm", "error_type"), sampled([("hubspot", ExportUnmappable), ("salesforce", ExportUnmappable), ("sap", UsageError)])
)
def test_a_wrong_dialect_is_refused(
    failing: Failing, write_deals: WriteDeals, asked: Asked, crm: str, error_type: type[DealcastError]
) -> None:
    error = failing(write_deals(), crm=crm)
    assert isinstance(error, error_type)
    assert error.exit_code == {ExportUnmappable: 3, UsageError: 2}[error_type]
    assert crm in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.slow
def test_an_unknown_dialect_is_answered_with_the_known_ones(failing: Failing, write_deals: WriteDeals) -> None:
    error = failing(write_deals(), crm="hubspt")
    assert "hubspot" in str(error)


@pytest.mark.parametrize(
    ("options", "said"),
    sampled(
        [
            ({"timezone": "Europe/Roma"}, "Europe/Rome"),
            ({"crm_timezone": "Mars/Olympus"}, "Mars/Olympus"),
            ({"pipeline": "Sales"}, "pipeline"),
        ]
    ),
)
def test_an_option_that_cannot_be_met_is_refused(
    failing: Failing, write_deals: WriteDeals, asked: Asked, options: dict[str, str], said: str
) -> None:
    error = failing(write_deals(), **options)
    assert error.exit_code in (2, 3)
    assert said in str(error)
    assert asked("POST", "*/append") == 0


def test_an_export_without_deals_is_stopped_by_the_guard(failing: Failing, write_deals: WriteDeals, asked: Asked) -> None:
    error = failing(write_deals(0))
    assert isinstance(error, StoppedByGuard)
    assert error.exit_code == 7
    assert "no deals" in str(error)
    assert asked("POST", "*/append") == 0


@pytest.mark.slow
def test_a_byte_order_mark_is_no_obstacle(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    """The counterpart: what can be read for sure is not refused."""
    export = write_deals(2, description="Ann\u00e9e")
    export.write_bytes(b"\xef\xbb\xbf" + export.read_bytes())
    assert sync(export).is_completed()
    assert held()["1"]["description"] == "Ann\u00e9e"


@pytest.mark.slow
def test_a_folder_of_exports_gives_the_newest(sync: Sync, write_deals: WriteDeals, tmp_path: Path, asked: Asked) -> None:
    for day, count in enumerate((1, 2, 3)):
        os.utime(write_deals(count, name=f"day-{day}.csv"), (day * 86400.0, day * 86400.0))
    state = sync(tmp_path / "day-*.csv")
    assert state.result().checked.rows == 3
    assert asked("POST", "*/append") == 1


@pytest.mark.slow
def test_unreadable_is_not_missing(failing: Failing, tmp_path: Path) -> None:
    export = tmp_path / "empty.csv"
    export.touch()
    error = failing(export)
    assert isinstance(error, ExportUnreadable)
    assert not isinstance(error, ExportNotFound)
    assert "empty" in str(error)


def test_an_extra_suite_that_cannot_be_read_is_a_usage_error(
    failing: Failing, write_deals: WriteDeals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suite.json").write_text("no suite")
    monkeypatch.setenv("DEALCAST_EXTRA_SUITE", str(tmp_path / "suite.json"))
    error = failing(write_deals(2))
    assert isinstance(error, UsageError)
    assert "DEALCAST_EXTRA_SUITE" in str(error)


def _expecting(monkeypatch: pytest.MonkeyPatch, path: Path, kind: str, **arguments: object) -> None:
    path.write_text(json.dumps({"expectations": [{"type": kind, "kwargs": arguments}]}))
    monkeypatch.setenv("DEALCAST_EXTRA_SUITE", str(path))


@pytest.mark.slow
def test_an_extra_suite_about_a_column_that_is_none_is_a_usage_error(
    failing: Failing, write_deals: WriteDeals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _expecting(monkeypatch, tmp_path / "suite.json", "expect_column_values_to_not_be_null", column="valeu")
    error = failing(write_deals(2))
    assert isinstance(error, UsageError)
    assert all(said in str(error) for said in ("DEALCAST_EXTRA_SUITE", str(tmp_path / "suite.json"), "valeu"))


def test_an_export_that_as_a_whole_breaks_an_extra_suite_is_not_told_to_mend_rows(
    failing: Failing, write_deals: WriteDeals, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No row is to blame, and no quarantine limit helps."""
    _expecting(monkeypatch, tmp_path / "suite.json", "expect_table_row_count_to_be_between", min_value=6)
    error = failing(write_deals(4), quarantine_limit="100%")
    assert isinstance(error, StoppedByGate)
    assert "as a whole does not meet expect_table_row_count_to_be_between: min_value 6; nothing was sent" in str(error)
    assert not any(word in str(error) for word in ("--quarantine-limit", "None", "0 of 4"))
    assert asked("POST", "*/append") == 0

"""Rows that the CRM or the warehouse marks as deleted or merged are no deals: dropped by name, their ids kept as gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.crm import open_export
from flows.crm.row_filters import MergedLater
from flows.deals.staged_file import stage
from flows.errors import ExportUnmappable
from flows.options import SyncOptions
from tests.flows.crm.conftest import DEAL, NOW, Export, extract

PIPEDRIVE = {
    "Title": "a",
    "Stage": "s",
    "Value": "1",
    "Deal created": "2023-12-01 09:00:00",
    "Update time": "2024-02-01 00:00:00",
    "Won time": "",
}


@pytest.mark.parametrize(
    ("header", "gone", "kept"),
    [
        ("archived", "true", "false"),
        ("isDeleted", "TRUE", ""),
        ("is_deleted", "1", "0"),
        ("_fivetran_deleted", "true", "false"),
        ("is_deal_deleted", "t", "f"),
        ("Deleted", "WAAR", "ONWAAR"),
        ("__deleted", "true", "false"),
        ("_ab_cdc_deleted_at", "2024-02-01T10:00:00Z", ""),
        ("_sdc_deleted_at", "2024-02-01 10:00:00+00", "null"),
        ("deleted_at", "2024-02-01", "0000-00-00 00:00:00"),
        ("_dlt_deleted", "true", "false"),
        ("property_hs_is_deleted", "true", ""),
        ("row_deleted", "Y", "N"),
        ("deleted_flag", "1", "0"),
        ("Date deleted", "2024-02-01", ""),
        ("is_archived", "true", "false"),
        ("archivedAt", "2024-02-01T10:00:00Z", ""),
        ("Gelöscht", "WAHR", "FALSCH"),
        ("Est supprimé", "VRAI", "FAUX"),
        ("Eliminado el", "01/02/2024", ""),
        ("isArchived", "true", "false"),
        ("archived_at", "2024-02-01T10:00:00Z", "1970-01-01T00:00:00Z"),
        ("deleted_at", "2024-02-01", "9999-12-31 23:59:59"),
        ("trashed", "1", "0"),
        ("In Recycle Bin", "Yes", "No"),
        ("Merged into", "7", ""),
        ("op", "d", "u"),
        ("Op", "D", "I"),
        ("__op", "d", ""),
        ("_change_type", "delete", "update_postimage"),
        ("cdc_operation", "DELETE", "INSERT"),
        ("METADATA$ACTION", "DELETE", "INSERT"),
        ("__$operation", "1", "4"),
        ("SYS_CHANGE_OPERATION", "D", "U"),
        ("action", "deleted", "created"),
        ("is_removed", "1", "0"),
        ("del_flag", "Y", "N"),
        ("Deleted (Y/N)", "Y", "N"),
        ("IsDeleted__c", "true", "false"),
        ("removed_at", "2024-02-01", ""),
        ("Delete time", "2024-02-01 10:00", ""),
    ],
)
def test_deleted_deals_are_dropped_by_name(header: str, gone: str, kept: str, export: Export, tmp_path: Path) -> None:
    location = Export([deal | {header: gone if n == 1 else kept} for n, deal in enumerate(export.deals)]).write(tmp_path / "deals.csv")
    extraction = open_export(location, crm="hubspot", now=NOW)
    assert [len(frame) for frame in extraction] == [2]
    assert extraction.counts.non_rows == {"deleted in the CRM": 1}
    assert extraction.gone == {export.deals[1]["Record ID"]}


@pytest.mark.parametrize(
    ("header", "old", "latest"),
    [
        ("_fivetran_active", "false", "true"),
        ("is_current", "0", "1"),
        ("CURR_FLG", "N", "Y"),
        ("dbt_valid_to", "2024-02-01 10:00:00", ""),
        ("__END_AT", "2024-02-01", "9999-12-31"),
        ("_change_type", "update_preimage", "update_postimage"),
        ("__$operation", "3", "4"),
    ],
)
def test_history_of_a_warehouse_is_no_deal_and_nothing_gone(header: str, old: str, latest: str, export: Export, tmp_path: Path) -> None:
    rows = [deal | {header: latest} for deal in export.deals]
    extraction = open_export(Export([rows[0] | {header: old}, *rows]).write(tmp_path / "deals.csv"), crm="hubspot", now=NOW)
    assert [len(frame) for frame in extraction] == [3]
    assert (extraction.counts.non_rows, extraction.gone) == ({"an older version of a deal": 1}, set())


@pytest.mark.parametrize("words", [("D", "Dr"), ("delete", "Delete or not")])
def test_a_column_with_other_words_than_those_of_changes_is_no_log_of_them(words: tuple[str, str], export: Export, tmp_path: Path) -> None:
    rows = [deal | {"Op": words[n % 2]} for n, deal in enumerate(export.deals)]
    assert extract(Export(rows).write(tmp_path / "deals.csv"))[1].deals == 3


@pytest.mark.parametrize(
    "header", ["Contacts deleted", "contacts_deleted", "Deleted by", "Not deleted", "Undeleted", "Last deleted email", "Action", "Event"]
)
def test_other_columns_that_speak_of_deleting_say_nothing_of_the_deal(header: str, export: Export, tmp_path: Path) -> None:
    location = Export([deal | {header: "1"} for deal in export.deals]).write(tmp_path / "deals.csv")
    assert extract(location)[1].deals == 3


@pytest.mark.parametrize("header", ["_fivetran_deleted", "is_deleted"])
def test_deleted_deals_are_known_in_a_dialect_that_says_nothing_of_them(header: str, tmp_path: Path) -> None:
    rows = [{"ID": str(n), "Status": "Open", header: str(n == 1)} | PIPEDRIVE for n in range(3)]
    assert extract(Export(rows).write(tmp_path / "deals.csv"), "pipedrive")[1].non_rows == {"deleted in the CRM": 1}


def test_a_status_of_deleted_is_no_deal(tmp_path: Path) -> None:
    rows = [{"ID": str(n), "Status": status} | PIPEDRIVE for n, status in enumerate(["Open", "Deleted", "open"])]
    extraction = open_export(Export(rows).write(tmp_path / "deals.csv"), crm="pipedrive", now=NOW)
    assert [len(frame) for frame in extraction] == [2]
    assert extraction.gone == {"1"}


def test_a_mark_of_deletion_that_cannot_be_read_stops(export: Export, tmp_path: Path) -> None:
    with pytest.raises(ExportUnmappable, match="line 2, column '_fivetran_deleted': 'maybe'"):
        extract(Export([deal | {"_fivetran_deleted": "maybe"} for deal in export.deals]).write(tmp_path / "deals.csv"))


@pytest.mark.parametrize("named", ["102; 103", "102;103", "101;102,103", "[102, 103]", '["102","103"]', "{102,103}", "102|103"])
def test_deals_merged_into_another_are_gone_and_their_stale_rows_no_deals(named: str, tmp_path: Path) -> None:
    ids = ["102", "101", "104"]
    rows = [DEAL | {"Record ID": each, "Merged Deal IDs": named if each == "101" else ""} for each in ids]
    extraction = open_export(Export(rows).write(tmp_path / "deals.csv"), crm="hubspot", now=NOW)
    (frame,) = extraction
    assert frame["id"].tolist() == ["101", "104"]
    assert extraction.counts.non_rows == {"merged into another deal": 1}
    assert extraction.gone == {"102", "103"}


def test_a_stale_row_far_above_the_list_that_names_it_is_no_deal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An export is read in one pass as long as every list is empty; one that names a deal handed on before makes it start anew."""
    monkeypatch.setattr("flows.crm.files.table_reader._TOGETHER", 1)
    monkeypatch.setattr("flows.crm.files.blocks._FIRST_BLOCK", 2000)
    monkeypatch.setattr("flows.crm.files.blocks._LARGEST_BLOCK", 2000)
    rows = [DEAL | {"Record ID": str(n), "Merged Deal IDs": "7; 3" if n == 199 else ""} for n in range(200)]
    location = Export(rows).write(tmp_path / "deals.csv")
    with pytest.raises(MergedLater):
        list(open_export(location, crm="hubspot", now=NOW))
    staged = stage(SyncOptions(export=location, crm="hubspot", collection="deals"), tmp_path, "UTC")
    assert (staged.deals, staged.rows, staged.gone) == (198, 200, 2)
    assert staged.non_rows == {"merged into another deal": 2}
    assert staged.filled["value"] == {"direct": 198}


def test_a_list_that_names_only_its_own_deal_merges_none(tmp_path: Path) -> None:
    rows = [DEAL | {"Record ID": each, "Merged Deal IDs": "2" if each == "2" else ""} for each in "123"]
    extraction = open_export(Export(rows).write(tmp_path / "deals.csv"), crm="hubspot", now=NOW)
    assert [len(frame) for frame in extraction] == [3]
    assert not extraction.gone

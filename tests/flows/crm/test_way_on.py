"""A way on for every file: defaults, a closing date, sheets and ids that are named, and a dialect to start from."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner

from deployments.cli import main
from flows.crm import fit, load_dialect, skeleton
from flows.deals.check_staged import check_staged
from flows.deals.index.content_index import ContentIndex
from flows.deals.quarantine import way_on
from flows.deals.staged_file import stage
from flows.errors import ExportUnmappable, UsageError
from flows.options import SyncOptions
from tests.flows.crm.conftest import DEAL, Export, extract

WON = {"Is Deal Closed?": "true", "Is Closed Won": "true", "Close Date": ""}


def test_a_default_fills_only_what_is_empty(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Amount": ""}).write(tmp_path / "deals.csv")
    frame, counts = extract(location, defaults=["value=0", "companyType=private"])
    assert frame["value"].tolist() == ["9800", "0", "9800"]
    assert frame["companyType"].tolist() == ["private"] * 3
    assert counts.filled["value"] == {"direct": 2, "default:0": 1}


def test_a_default_may_be_another_column(export: Export, tmp_path: Path) -> None:
    location = export.without("Last Modified Date").with_deal(1, WON | {"Close Date": "2026-10-01 09:00"}).write(tmp_path / "deals.csv")
    with pytest.raises(
        ExportUnmappable, match="--default lastUpdateDatetime=@closedDatetime --default lastUpdateDatetime=@creationDatetime"
    ):
        extract(location)
    frame, _ = extract(location, defaults=["lastUpdateDatetime=@closedDatetime", "lastUpdateDatetime=@creationDatetime"])
    assert frame["lastUpdateDatetime"].tolist() == ["2026-09-01T08:00:00", "2026-10-01T09:00:00", "2026-09-01T08:00:00"]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("value", "is not COLUMN=VALUE"),
        ("value=", "is not COLUMN=VALUE"),
        ("amount=0", "none of the platform's 35 columns"),
        ("value=@amount", "none of the platform's 35 columns"),
        ("id=7", "an id must tell deals apart"),
        ("status=open", r"\[\[status\]\]"),
        ("lastSyncedAt=2026-01-01", "the sync fills it"),
        ("creationDatetime=@addDatetime", "made of itself"),
    ],
)
def test_a_default_that_makes_no_sense_is_a_usage_error(said: str, says: str, export: Export, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        extract(export.write(tmp_path / "deals.csv"), defaults=[said])


@pytest.mark.parametrize(
    ("closed_date", "read"),
    [("stage", "2026-10-05T11:00:00"), ("modified", "2026-10-30T12:00:00"), ("created", "2026-09-01T08:00:00")],
)
def test_a_missing_closing_date_is_what_the_user_says(closed_date: str, read: str, export: Export, tmp_path: Path) -> None:
    location = export.each(Date_entered_current_stage="2026-10-05 11:00").with_deal(1, WON).write(tmp_path / "deals.csv")
    frame, _ = extract(location, closed_date=closed_date)
    assert frame["closedDatetime"].isna().tolist() == [True, False, True]
    assert frame.loc[1, "closedDatetime"] == read


def test_a_closing_date_that_the_export_cannot_give_is_said(export: Export, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no column for --closed-date stage: looked for 'Date entered current stage'"):
        extract(export.write(tmp_path / "deals.csv"), closed_date="stage")


def test_only_closing_dates_that_the_export_has_are_offered(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, WON).without("Close Date").write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=r"--closed-date modified \(or created\)\. If") as stopped:
        extract(location)
    assert "--closed-date stage" not in str(stopped.value)
    for offered in ("modified", "created"):
        assert extract(location, closed_date=offered)[0]["closedDatetime"].notna().tolist() == [False, True, False]
    with pytest.raises(UsageError, match="no column for --closed-date stage"):
        extract(location, closed_date="stage")


def checked_way_on(location: str, folder: Path, crm: str = "hubspot") -> str:
    options = SyncOptions(export=location, crm=crm, collection="check", assume_open=True)
    report = check_staged(stage(options, folder, "UTC"), options, ContentIndex, folder).report
    return way_on(report, crm)


def test_the_gate_says_what_settles_the_commonest_gaps(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(0, {"Amount": ""}).with_deal(1, WON).with_deal(2, {"Last Modified Date": ""}).write(tmp_path / "deals.csv")
    said = checked_way_on(location, tmp_path)
    assert "1 have no value: --default value=0" in said
    assert "1 are closed without a date: --closed-date stage, modified or created" in said
    assert "1 have no last change: --default lastUpdateDatetime=@closedDatetime" in said


def test_the_gate_says_nothing_more_where_nothing_settles_it(export: Export, tmp_path: Path) -> None:
    assert checked_way_on(export.with_deal(0, {"Close Date": "next week"}).write(tmp_path / "deals.csv"), tmp_path) == ""


def test_a_preview_shows_all_columns_where_some_are_missing(export: Export, tmp_path: Path) -> None:
    found = fit(export.without("Last Modified Date", "Amount", "Record ID").write(tmp_path / "deals.csv"), "hubspot")
    filled = {column.column for column in found.columns if column.rows}
    assert {"name", "stage", "status", "creationDatetime", "expectedClosureDatetime"} <= filled
    assert found.trouble is not None
    assert "no column for id, value, lastUpdateDatetime" in found.trouble


def test_a_preview_shows_the_other_columns_where_one_cannot_be_read(export: Export, tmp_path: Path) -> None:
    found = fit(export.each(Close_Date="03/04/26").write(tmp_path / "deals.csv"), "hubspot")
    columns = {column.column: column for column in found.columns}
    assert columns["expectedClosureDatetime"].why_empty == "cannot be read as it is"
    assert columns["value"].rows == 3
    assert found.trouble is not None
    assert "--date-order" in found.trouble


def test_what_tells_rows_apart_is_named_where_there_is_no_id(export: Export, tmp_path: Path) -> None:
    deals = [
        deal | {"Deal Name": f"Deal {number // 2}", "Create Date": f"2026-09-0{number + 1} 08:00"} for number, deal in enumerate([DEAL] * 4)
    ]
    location = replace(export, deals=deals).without("Record ID").write(tmp_path / "deals.csv")
    assert fit(location, "hubspot").ids[0] == ("Create Date",)
    result = CliRunner().invoke(main, ["crms", location])
    assert '[columns] id = "Create Date"' in result.stdout
    assert "twice" in result.stdout


def test_the_sheets_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    info = book.worksheets[0]
    info.title = "About"
    info.append(["Exported by", "somebody"])
    info.append(["On", "a day"])
    deals = book.create_sheet("Deals")
    deals.append(list(DEAL))
    deals.append(list(DEAL.values()))
    book.save(tmp_path / "deals.xlsx")
    assert len(extract(str(tmp_path / "deals.xlsx"))[0]) == 1
    assert "sheet 'Deals', not read: 'About'" in fit(str(tmp_path / "deals.xlsx")).form


def test_a_dialect_that_knows_next_to_nothing_is_no_match(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("Opened,Client,Worth,Phase,Amount\n2025-01-02,a,3,x,4\n2025-01-03,b,3,y,4\n")
    found = fit(str(tmp_path / "deals.csv"))
    assert not any(dialect.matches for dialect in found.ranking)
    result = CliRunner().invoke(main, ["crms", str(tmp_path / "deals.csv")])
    assert result.exit_code == 3
    assert "No shipped dialect matches" in result.stdout
    assert "--write own.toml" in result.stdout
    assert "the header has no column" not in result.output


def test_a_skeleton_is_a_dialect_with_every_header(export: Export, tmp_path: Path) -> None:
    for name, made in {"whole": export, "less": export.without("Record ID", "Last Modified Date")}.items():
        location = made.write(tmp_path / f"{name}.csv")
        result = CliRunner().invoke(main, ["crms", location, "--write", str(tmp_path / f"{name}.toml")])
        text = (tmp_path / f"{name}.toml").read_text()
        assert f"{name}.toml is a dialect to start from" in result.stdout
        assert all(f'"{header}"' in text for header in made.deals[0])
        assert tomllib.loads(text)["extends"] == "hubspot"
        assert load_dialect(str(tmp_path / f"{name}.toml")).name == name
    again = CliRunner().invoke(main, ["crms", location, "--write", str(tmp_path / "less.toml")])
    assert again.exit_code == 2
    assert "is there already" in again.output


def test_a_skeleton_of_an_unknown_export_says_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text('Opened,"Client ""x""",Worth,Phase\n2025-01-02,a,3,x\n2025-01-03,b,3,y\n')
    text = skeleton(fit(str(tmp_path / "deals.csv")))
    (tmp_path / "own.toml").write_text(text)
    load_dialect(str(tmp_path / "own.toml"))
    assert "extends" not in tomllib.loads(text)
    assert tomllib.loads(text)["columns"]["id"] == 'Client "x"'
    for column in ("creationDatetime", "closedDatetime", "stage", "value"):
        assert f"# {column} = " in text


def test_no_text_of_a_deal_is_shown(export: Export, tmp_path: Path) -> None:
    location = export.each(Deal_Description="Zanzibar 4711").write(tmp_path / "deals.csv")
    shown = CliRunner().invoke(main, ["crms", location, "--write", str(tmp_path / "own.toml")]).output
    assert not any(text in shown for text in ("Fjord", "Zanzibar", "4711", "9800", "14316276246"))
    assert not any(text in (tmp_path / "own.toml").read_text() for text in ("Fjord", "Zanzibar", "14316276246"))
    assert "Contract Sent" in shown

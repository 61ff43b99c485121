"""Every shipped dialect reads an export of its own shape into exactly the canonical file that was reviewed by hand."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.crm import fit, known_dialects, load_dialect, open_export
from flows.deals.deals_csv import write_deals_csv
from flows.errors import UsageError
from tests.flows.crm.conftest import FIXTURES, NOW, Export, extract

EXPORTS = [path for path in sorted(FIXTURES.iterdir()) if ".golden." not in path.name]
REAL = Path(__file__).parents[4] / "shared" / "crm-exports"
DEMO = Path(__file__).parents[3] / "deployments/commands/demo" / "hubspot-crm-exports-all-deals-2026-11-02.csv"


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
def test_the_fixture_becomes_its_golden_file(path: Path, tmp_path: Path) -> None:
    crm = path.name.partition("--")[0]
    extraction = open_export(str(path), crm=crm, crm_timezone="America/New_York", timezone="Europe/Rome", now=NOW)
    write_deals_csv([pa.Table.from_pandas(frame, preserve_index=False) for frame in extraction], tmp_path / "deals.csv")
    assert (tmp_path / "deals.csv").read_text("utf-8") == path.with_name(f"{path.name}.golden.csv").read_text("utf-8")


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
def test_a_fixture_fits_its_own_dialect_best(path: Path) -> None:
    found = fit(str(path))
    assert found.ranking[0].name == path.name.partition("--")[0]
    assert found.ranking[0].fits
    assert [column.column for column in found.columns] == list(COLUMN_NAMES)
    assert all((column.example is None) == (column.why_empty is not None) for column in found.columns)


def test_a_chosen_dialect_is_ranked_once() -> None:
    found = fit(str(EXPORTS[0]), "hubspot")
    assert sorted(each.name for each in found.ranking) == sorted(dialect.name for dialect in known_dialects())


def test_every_dialect_has_a_fixture() -> None:
    with_fixture = {path.name.partition("--")[0] for path in EXPORTS}
    assert {dialect.name for dialect in known_dialects()} == with_fixture | {"canonical"}


@pytest.mark.parametrize("name", [path.relative_to(REAL).as_posix() for path in sorted(REAL.glob("*/*.csv"))] or [None])
def test_real_exports_are_accounted_for(name: str | None) -> None:
    """Each real file ends in deals or in a reason, and every row is somewhere."""
    if name is None:
        pytest.skip("the real exports are not beside this repository")
    folder, _, file = name.partition("/")
    crm = file.partition("--")[0] if folder == "headers" else folder
    refused = {
        "hubspot/warehouse-44.csv",
        "salesforce/warehouse-10.csv",
        "headers/dynamics365--display_names.csv",
        "headers/zoho--analytics_potentials.csv",
    }
    if name in refused:
        with pytest.raises(Exception, match="lastUpdateDatetime"):
            extract(str(REAL / name), crm)
        return
    _, account = extract(str(REAL / name), crm)
    rows = sum(1 for _ in csv.reader((REAL / name).open(encoding="utf-8-sig", newline=""))) - 1
    assert account.rows == rows


def test_the_demo_export_is_whole() -> None:
    frame, account = extract(str(DEMO))
    assert account.rows == account.deals == 480
    assert frame["value"].notna().all()
    assert frame["id"].is_unique
    assert set(frame["status"]) == {"open", "closed_won", "closed_lost"}
    assert (frame["closedDatetime"] < frame["creationDatetime"]).sum() > 0


def test_a_dialect_of_ones_own_extends_a_shipped_one(export: Export, tmp_path: Path) -> None:
    own = tmp_path / "ours.toml"
    own.write_text(
        'extends = "hubspot"\n[fields]\namount = ["Our amount"]\n[columns]\naccountId = "Region"\ncompanyType = { default = "private" }\n'
        'contactId = { join = ["Region", "Record ID"] }\n[dates]\ntimezone = "Asia/Tokyo"\n'
    )
    location = export.renamed(Amount="Our amount").each(Region="north").write(tmp_path / "deals.csv")
    frame, account = extract(location, str(own))
    assert list(frame.loc[0, ["value", "accountId", "companyType", "contactId"]]) == ["9800", "north", "private", "north|14316276246"]
    assert frame.loc[0, "creationDatetime"] == "2026-08-31T23:00:00"
    assert account.filled["companyType"] == {"default:private": 3}
    assert account.filled["contactId"] == {"derived:join Region, Record ID": 3}


def test_a_composite_key_stands_in_for_an_id(tmp_path: Path) -> None:
    """Zoho Analytics exports no id: only a dialect of one's own may say what identifies a deal there."""
    own = tmp_path / "analytics.toml"
    own.write_text('extends = "zoho"\n[columns]\nid = { join = ["name", "created"] }\nlastUpdateDatetime = ["closing_date", "created"]\n')
    (tmp_path / "deals.csv").write_text(
        "Potential Name,Created Time,Closing Date,Amount,Stage,Forecast Type\n"
        '"Solar roof","15 Apr, 2021 00:02:00","30 Jun, 2021 00:00:00","$22,700.00","Signed","Won"\n'
    )
    frame, _ = extract(str(tmp_path / "deals.csv"), str(own))
    assert frame.loc[0, "id"] == "Solar roof|15 Apr, 2021 00:02:00"
    read = list(frame.loc[0, ["creationDatetime", "closedDatetime", "value", "status"]])
    assert read == ["2021-04-15T00:02:00", "2021-06-30T00:00:00", "22700.00", "closed_won"]


def test_words_for_nothing_are_null(export: Export, tmp_path: Path) -> None:
    words = {"Amount": "N/A", "Deal Description": "n/a", "Close Date": "#N/A", "Associated Meeting IDs": "N/A", "Last Contacted": "N/A"}
    frame, account = extract(
        export.each(**{name.replace(" ", "_"): "" for name in words}).with_deal(1, words).write(tmp_path / "deals.csv")
    )
    assert frame.loc[1, ["value", "description", "expectedClosureDatetime", "lastInteractionDatetime"]].isna().all()
    assert frame.loc[1, "numberOfMeetings"] == "0"
    assert not account.unread


def test_a_default_is_only_ever_the_users_own(export: Export, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[columns]\nvalue = ["amount", { default = "0" }]\n')
    location = export.with_deal(1, {"Amount": ""}).write(tmp_path / "deals.csv")
    assert extract(location)[0]["value"].isna().tolist() == [False, True, False]
    frame, account = extract(location, str(own))
    assert frame["value"].tolist() == ["9800", "0", "9800"]
    assert account.filled["value"] == {"direct": 2, "default:0": 1}


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("extends = ", "not valid TOML"),
        ('extends = "hubspto"', "Did you mean 'hubspot'"),
        ('[columns]\nidd = "x"', "none of the 35"),
        ('[columns]\nid = "@idd"', "none of the 35"),
        ('[columns]\nid = { magic = "x" }', "known: a field"),
        ('[columns]\nvalue = { from = "x", while = "sometimes" }', "while"),
        ('[[status]]\nflags = { a = true }\nis = "maybe"', "status.is"),
        ('[dates]\norder = "last-first"', "dates.order"),
        ('[numbers]\nstyle = "roman"', "numbers.style"),
        ("[[status]]\nflags = { a = true }", "either `is` or `field`"),
        ('[[status]]\nflags = { a = "true" }\nis = "open"', "true or false"),
        ('[[status]]\nfield = "stage"\npatterns = { closed_won = "(" }', "regular expression"),
        ('[footers]\npatterns = ["(?<=a)b"]', "RE2"),
        ("[surprise]\na = 1", "surprise"),
        ('[[drop]]\nfield = "x"', "needs a `why`"),
        ('extends = "hubspot"\n[columns]\nvalue = 5', "value has 5 without quotes"),
        ('extends = "hubspot"\n[columns]\nvalue = { form = "x" }', "known: a field"),
        ('extends = "hubspot"\n[columns]\nvalue = { from = "x", while = "closedwon" }', "while is 'closedwon'"),
        ('extends = "hubspot"\n[columns]\nvalue = "@amount"', "none of the 35"),
        ('extends = "hubspot"\ncolumns = 5', "columns must be a table"),
        ('[[status]]\nfield = "stage"\nwords = { open = ["Sent"], closed_won = ["sent "] }', "'sent ' for open and for closed_won"),
        ('[cells]\nlist_separator = ""', "list_separator is empty"),
    ],
)
def test_a_dialect_that_makes_no_sense_is_a_usage_error(toml: str, says: str, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(toml)
    with pytest.raises(UsageError, match=says):
        load_dialect(str(own))


def test_a_dialect_may_begin_with_a_bom(tmp_path: Path) -> None:
    """As Windows' Notepad saves it."""
    (tmp_path / "own.toml").write_text('extends = "hubspot"\n', "utf-8-sig")
    assert load_dialect(str(tmp_path / "own.toml")).columns == load_dialect("hubspot").columns


def test_a_dialect_may_not_extend_itself(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('extends = "b.toml"')
    (tmp_path / "b.toml").write_text('extends = "a.toml"')
    with pytest.raises(UsageError, match="extends itself"):
        load_dialect(str(tmp_path / "a.toml"))


@pytest.mark.parametrize(
    ("cells", "status"),
    [
        ({"Is Closed Won": "true", "Is Deal Closed?": "true", "Deal Stage": "Dead Deals"}, "closed_won"),
        ({"Is Closed Won": "false", "Is Deal Closed?": "true", "Deal Stage": "Closed Won"}, "closed_lost"),
        ({"Is Closed Won": "false", "Is Deal Closed?": "false", "Deal Stage": "Closed Won (to be signed)"}, "open"),
        ({"Is Closed Won": "", "Is Deal Closed?": "", "Deal Stage": "Closed & Won"}, "closed_won"),
        ({"Is Closed Won": "", "Is Deal Closed?": "", "Deal Stage": "Won - Closed self-serve"}, "open"),
        ({"Is Closed Won": "", "Is Deal Closed?": "", "Deal Stage": "closedlost"}, "closed_lost"),
        ({"Is Closed Won": "", "Is Deal Closed?": "", "Deal Stage": "Negotiation"}, "open"),
    ],
)
def test_flags_come_before_stage_names(cells: dict[str, str], status: str, export: Export, tmp_path: Path) -> None:
    frame, _ = extract(export.with_deal(0, cells).write(tmp_path / "deals.csv"), assume_open=True)
    assert frame.loc[0, "status"] == status


def test_a_closed_flag_alone_does_not_say_how(tmp_path: Path) -> None:
    """Salesforce without IsWon: a closed deal is won or lost by its stage's name, or else it has no status."""
    (tmp_path / "deals.csv").write_text(
        "Id,Name,StageName,Amount,CloseDate,IsClosed,CreatedDate,LastModifiedDate\n"
        "1,a,Closed Won,1,2025-01-02,1,2025-01-01,2025-01-03\n"
        "2,b,Dead Deal,1,2025-01-02,1,2025-01-01,2025-01-03\n"
        "3,c,Dead Deal,1,2025-01-02,0,2025-01-01,2025-01-03\n"
    )
    frame, _ = extract(str(tmp_path / "deals.csv"), "salesforce")
    assert frame["status"].fillna("").tolist() == ["closed_won", "", "open"]


def test_an_add_date_is_never_before_creation(export: Export, tmp_path: Path) -> None:
    """HubSpot's creation date can be edited, its system date cannot: the platform refuses the one before the other."""
    location = (
        export.each(HubSpot_Create_Date="2026-08-01 10:00")
        .with_deal(1, {"HubSpot Create Date": "2026-09-02 10:00"})
        .write(tmp_path / "deals.csv")
    )
    frame, account = extract(location)
    assert frame["addDatetime"].tolist() == ["2026-09-01T08:00:00", "2026-09-02T10:00:00", "2026-09-01T08:00:00"]
    assert account.filled["addDatetime"] == {"direct": 1, "raised:creationDatetime": 2}


def test_the_weekly_export_is_found_in_its_zip(tmp_path: Path) -> None:
    folder = tmp_path / "WE_00D000000000001"
    folder.mkdir()
    shutil.copy(FIXTURES / "salesforce--weekly.csv", folder / "Opportunity.csv")
    (folder / "RowCounts.csv").write_text('"Id","Name"\n"1","x"\n')
    archive = shutil.make_archive(str(tmp_path / "weekly"), "zip", folder)
    extraction = open_export(archive, crm="salesforce")
    assert extraction.facts.member == "Opportunity.csv"
    assert sum(len(frame) for frame in extraction) == 3

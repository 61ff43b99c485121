"""Times that name no zone: each dialect says of each column whether it is UTC or the user's, and everything that shows them says how."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from deployments.cli import main
from expectations.deals_schema import COLUMN_NAMES, COLUMNS, Kind
from flows.crm import Said, fit, known_dialects, open_export
from flows.crm.dialect import load_dialect
from flows.errors import ExportUnmappable, UsageError
from tests.flows.crm.conftest import FIXTURES, Export, extract

ROME = "Europe/Rome"


Canonical = Callable[..., str]


@pytest.fixture
def canonical(tmp_path: Path) -> Canonical:
    """Write deals in the platform's own columns, each the cells that differ from the same moment everywhere."""

    def write(*deals: dict[str, str]) -> str:
        same = {column.name: "2024-05-01T08:00:00" if column.kind is Kind.DATETIME else column.example for column in COLUMNS}
        with (tmp_path / "canonical.csv").open("w", newline="", encoding="utf-8") as sink:
            writer = csv.DictWriter(sink, COLUMN_NAMES)
            writer.writeheader()
            writer.writerows(same | {"id": str(number)} | deal for number, deal in enumerate(deals))
        return str(tmp_path / "canonical.csv")

    return write


def _times(location: str, crm: str = "hubspot", **options: str) -> str:
    with open_export(location, crm=crm, **options) as extraction:  # type: ignore[arg-type] # of strings
        return str(extraction.facts.zones)


def test_local_times_are_the_collection_s_and_stay_as_people_see_them(export: Export, tmp_path: Path) -> None:
    location = export.each(Close_Date="2026-07-01 23:30").write(tmp_path / "deals.csv")
    assert extract(location, timezone=ROME)[0]["expectedClosureDatetime"].tolist() == ["2026-07-01T23:30:00"] * 3
    assert _times(location, timezone=ROME) == f"times without a zone read as {ROME}, sent in {ROME}"


def test_the_user_s_zone_is_above_the_collection_s(export: Export, tmp_path: Path) -> None:
    location = export.each(Close_Date="2026-07-01 23:30").write(tmp_path / "deals.csv")
    frame, _ = extract(location, timezone=ROME, crm_timezone="America/New_York")
    assert frame["expectedClosureDatetime"].tolist() == ["2026-07-02T05:30:00"] * 3
    assert _times(location, timezone=ROME, crm_timezone="America/New_York") == (
        f"times without a zone read as America/New_York, sent in {ROME}"
    )


@pytest.mark.parametrize("name", ["pipedrive--list.csv", "zoho--native.csv", "freshsales--deals.csv", "suitecrm--list.csv"])
def test_a_crm_that_writes_its_user_s_time(name: str) -> None:
    assert _times(str(FIXTURES / name), name.partition("--")[0], timezone=ROME) == f"times without a zone read as {ROME}, sent in {ROME}"


@pytest.mark.parametrize("name", ["salesforce--weekly.csv", "odoo--labels.csv", "close--opportunities.csv", "hubspot--api.csv"])
def test_a_crm_or_an_interface_that_writes_utc(name: str) -> None:
    assert _times(str(FIXTURES / name), name.partition("--")[0], timezone=ROME) == f"times without a zone read as UTC, sent in {ROME}"


def test_a_column_has_a_zone_of_its_own(tmp_path: Path) -> None:
    """Dynamics shows what its user sees, but in its hidden column."""
    (tmp_path / "deals.csv").write_text(
        "(Do Not Modify) Opportunity,(Do Not Modify) Modified On,Created On,Topic,Status,Status Reason,Est. revenue,Est. Close Date\n"
        "o1,7/14/2026 3:41,7/14/2026 10:36,Pumps,Open,In Progress,10,12/29/2026\n"
    )
    location = str(tmp_path / "deals.csv")
    frame, _ = extract(location, "dynamics365", timezone="Asia/Bangkok")
    assert list(frame.loc[0, ["creationDatetime", "lastUpdateDatetime", "expectedClosureDatetime"]]) == [
        "2026-07-14T10:36:00",
        "2026-07-14T10:41:00",
        "2026-12-29T00:00:00",
    ]
    assert _times(location, "dynamics365", timezone="Asia/Bangkok") == (
        "times without a zone read as Asia/Bangkok ('(Do Not Modify) Modified On' as UTC), sent in Asia/Bangkok"
    )


def test_a_dialect_of_one_s_own_says_it_by_field_or_header(export: Export, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[dates]\ntimezone = "UTC"\nlocal = ["close_date", "Last Modified Date"]\n')
    location = export.each(Close_Date="2026-07-01 23:30", Create_Date="2026-07-01 23:30").write(tmp_path / "deals.csv")
    frame, _ = extract(location, str(own), timezone=ROME)
    assert list(frame.loc[0, ["expectedClosureDatetime", "creationDatetime", "lastUpdateDatetime"]]) == [
        "2026-07-01T23:30:00",
        "2026-07-02T01:30:00",
        "2026-10-30T12:00:00",
    ]
    bare = tmp_path / "bare.toml"
    bare.write_text('title = "of no base"\n')
    assert load_dialect(str(bare)).crm_timezone == "local"


@pytest.mark.parametrize(
    ("written", "letters", "said", "sent"),
    [
        ("2024-01-31 10:00 CST", "CST", "America/Chicago", "2024-01-31T17:00:00"),
        ("2024-01-31 10:00:00 PST", "PST", "-08:00", "2024-01-31T19:00:00"),
        ("31/01/2024 10:00 IST", "IST", "Asia/Kolkata", "2024-01-31T05:30:00"),
        ("Jan 31, 2024 10:00 AM ET", "ET", "America/New_York", "2024-01-31T16:00:00"),
        ("2024-07-31 10:00 CET", "CET", "Europe/Rome", "2024-07-31T10:00:00"),
        ("2024-07-31 10:00 CET", "CET", "+01:00", "2024-07-31T11:00:00"),
    ],
)
def test_letters_of_several_zones_are_asked_about(written: str, letters: str, said: str, sent: str, export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Create Date": written}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=rf"line 3, column 'Create Date': the letters {letters} behind the time") as caught:
        extract(location, timezone=ROME)
    own = tmp_path / "own.toml"
    own.write_text(str(caught.value).partition("\n")[2].replace("America/Chicago", said))
    assert extract(location, str(own), timezone=ROME)[0]["creationDatetime"].tolist()[1] == sent


@pytest.mark.parametrize("written", ["2024-01-31 13:15 PM", "soon", "ASAP"])
def test_other_texts_in_a_column_of_times_are_for_the_gate_to_name(written: str, export: Export, tmp_path: Path) -> None:
    frame = extract(export.with_deal(1, {"Create Date": written}).write(tmp_path / "deals.csv"))[0]
    assert frame["creationDatetime"].tolist()[1] == written


def test_letters_in_a_dialect_stand_for_a_zone_or_an_offset(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text('extends = "hubspot"\n[dates]\nletters = { CST = "Chicago" }\n')
    with pytest.raises(UsageError, match=r"dates.letters.CST is 'Chicago', which is neither an offset such as -06:00 nor a zone"):
        load_dialect(str(tmp_path / "own.toml"))


def test_every_dialect_says_what_its_times_are() -> None:
    for dialect in known_dialects():
        text = (Path(__file__).parents[3] / "flows" / "crm" / "dialects" / f"{dialect.name}.toml").read_text("utf-8")
        assert dialect.verbatim or "\ntimezone = " in text, dialect.name


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("2024-06-18T12:30:45Z", "2024-06-18T14:30:45"),
        ("2024-12-31T23:30:45+00:00", "2025-01-01T00:30:45"),
        ("2024-06-18T12:30:45.123456789-0400", "2024-06-18T18:30:45"),
        ("2024-06-18 12:30:45,5 +02", "2024-06-18T12:30:45"),
        ("2024-06-18T12:30:45.999", "2024-06-18T12:30:45"),
        ("2024-06-18 12:30:45", "2024-06-18T12:30:45"),
        ("2024-06-18T12:30:45", "2024-06-18T12:30:45"),
        *(
            (text, text)
            for text in ("2024-06-18", "2024-06-18T12:30", "2024-02-30T08:00:00Z", "0001-01-01T00:00:00Z", "18/06/2024 12:30:45", "soon")
        ),
    ],
)
def test_the_platform_s_own_columns_are_sent_without_fraction_and_offset(canonical: Canonical, written: str, sent: str) -> None:
    """As in any export; what is no whole ISO time stays as it is, for the gate to name."""
    location = canonical({"lastUpdateDatetime": written, "name": written}, {}, {"lastUpdateDatetime": ""})
    frame, _ = extract(location, "canonical", timezone=ROME)
    assert frame["lastUpdateDatetime"].fillna("").tolist() == [sent, "2024-05-01T08:00:00", ""]
    assert frame["name"][0] == written


def test_the_platform_s_own_columns_are_read_in_the_zone_that_is_said(canonical: Canonical) -> None:
    location = canonical({}, {"lastUpdateDatetime": "2024-05-01T08:00:00Z"}, {"lastUpdateDatetime": "2024-05-01"})
    frame, _ = extract(location, "canonical", timezone=ROME, crm_timezone="America/New_York")
    assert frame["lastUpdateDatetime"].tolist() == ["2024-05-01T14:00:00", "2024-05-01T10:00:00", "2024-05-01"]
    assert frame["creationDatetime"].tolist() == ["2024-05-01T14:00:00"] * 3
    assert _times(location, "canonical", timezone=ROME, crm_timezone="America/New_York").endswith(f"America/New_York, sent in {ROME}")


def test_check_and_crms_say_it(export: Export, tmp_path: Path) -> None:
    location = export.write(tmp_path / "deals.csv")
    said = f"times without a zone read as UTC, sent in {ROME}"
    shown = CliRunner().invoke(main, ["check", location, "--crm", "hubspot", "--timezone", ROME, "--crm-timezone", "UTC"])
    assert said in shown.output
    shown = CliRunner().invoke(main, ["crms", location, "--timezone", ROME, "--crm-timezone", "UTC"])
    assert said in shown.output
    shown = CliRunner().invoke(main, ["check", location, "--crm", "hubspot", "--timezone", ROME, "--json"])
    assert json.loads(shown.stdout)["export"]["times"] == {"read_as": ROME, "columns": {}, "sent_in": ROME}


def test_crms_takes_the_answers_to_what_it_asks(export: Export, tmp_path: Path) -> None:
    location = export.each(Amount="1.200", Create_Date="03/04/24").write(tmp_path / "deals.csv")
    assert CliRunner().invoke(main, ["crms", location]).exit_code == 3
    assert CliRunner().invoke(main, ["crms", location, "--decimal", "comma", "--date-order", "day-first"]).exit_code == 0
    columns = {column.column: column.example for column in fit(location, said=Said(decimal="comma", date_order="day-first")).columns}
    assert (columns["value"], columns["creationDatetime"]) == ("1200", "2024-04-03T00:00:00")

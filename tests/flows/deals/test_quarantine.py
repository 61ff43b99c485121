"""The gate in the flow: what the platform would refuse is never sent, is named by line, and can be fixed and sent alone."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pytest
from openpyxl import load_workbook

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, Kind
from expectations.rules import CRITICAL_RULES, NO_NUL, Rule
from flows.crm import open_export
from flows.deals.quarantine import QUARANTINE_SCHEMA, open_quarantine
from flows.deals.quarantine_workbook import write_workbook
from flows.errors import StoppedByGate, StoppedByGuard
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

WRONG = {
    "required": "",
    "datetime": "2025-02-28",
    "not far ahead": "2999-01-01T00:00:00",
    "no null word": "NA",
    "since 1970": "1969-12-31T23:59:59",
    "decimal": "1.000,50",
    "integer": "1.5",
    "not negative": "-1",
    "boolean": "True",
    "one of": "won",
    "unique": "1",
    "not before creationDatetime": "2025-01-10T08:59:59",
    "closed needs closedDatetime": "",
}
BAD = {"value": "-1"}


PLAIN = {Kind.DATETIME: "2025-02-30T00:00:00", Kind.DECIMAL: "1e3", Kind.INTEGER: "1.0"}


def wrong(rule: Rule) -> str:
    """A cell that breaks the rule, and no other."""
    return PLAIN[{column.name: column.kind for column in COLUMNS}[rule.column]] if rule.name == "plain" else WRONG[rule.name]


def quarantine_of(home: Path) -> list[dict[str, str]]:
    """The quarantine file's rows: one collection, so one file."""
    [path] = (home / "forecasts").glob("*/quarantine.csv")
    with path.open(newline="", encoding="utf-8") as source:
        return list(csv.DictReader(source))


def test_a_deal_that_breaks_a_rule_stops_the_sync(failing: Failing, write_deals: WriteDeals, asked: Asked, home: Path) -> None:
    error = failing(write_deals(2, BAD))
    assert isinstance(error, StoppedByGate)
    assert error.exit_code == 4
    assert "nothing was sent" in str(error)
    assert "--quarantine-limit" in str(error)
    assert asked("POST", "/api/*/append") + asked("POST", "/api/invocation") == 0
    assert [(row["line"], row["failed_column"], row["failed_rule"]) for row in quarantine_of(home)] == [("4", "value", "not negative")]
    assert str(home / "forecasts") in str(error), "the message says where the rows are named"


def test_the_table_of_a_stop_names_each_rule_s_first_three_lines(failing: Failing, write_deals: WriteDeals) -> None:
    head, row = failing(write_deals(1, BAD, BAD, BAD, BAD)).details
    assert (head[0], head[2], head[4]) == ("column", "rows", "first lines")
    assert (row[0], row[2], row[4]) == ("value", "4", "3, 4, 5")


def test_every_rule_holds_back_the_deal_that_breaks_it_and_is_told(failing: Failing, write_deals: WriteDeals, home: Path) -> None:
    """One deal for each rule, in one export: whichever rule only warned would leave its deal out of the quarantine."""
    rules = [rule for rule in CRITICAL_RULES if rule.name != NO_NUL]
    error = failing(write_deals(2, *({"name": rule.name, rule.column: wrong(rule)} for rule in rules)))
    quarantined = [(row["line"], row["failed_column"], row["failed_rule"]) for row in quarantine_of(home)]
    assert quarantined == [("2", "id", "unique"), *((str(line), rule.column, rule.name) for line, rule in enumerate(rules, start=4))]
    for rule in rules:
        assert f"{rule.column}: {rule.text}" in str(error)


def test_a_nul_never_reaches_the_platform(failing: Failing, write_deals: WriteDeals, asked: Asked) -> None:
    assert failing(write_deals(2, {"name": "a\0b"})).exit_code in (3, 4)
    assert asked("POST", "/api/*/append") == 0


@pytest.mark.parametrize(
    ("good", "bad", "limit", "goes_on"),
    sampled(
        [
            (8, 2, "20%", True),
            (8, 2, "19.9%", False),
            (8, 1, "0", False),
            (8, 1, "1", True),
            (8, 2, "1", False),
            (8, 2, "2", True),
            (8, 2, "100", True),
            (9, 1, "10%", True),
            (99, 1, "1%", True),
            (100, 1, "0.9%", False),
            (0, 3, "100%", False),
            (1, 0, "0%", True),
            (997, 3, "0.3%", True),
        ],
        2,
    ),
)
def test_the_limit_holds_to_the_row(
    sync: Sync, write_deals: WriteDeals, asked: Asked, held: Held, good: int, bad: int, limit: str, goes_on: bool
) -> None:
    """Sent and quarantined together are the export's rows; one failing row over the limit and nothing is sent."""
    state = sync(write_deals(good, *[BAD] * bad), quarantine_limit=limit, forecast="never")
    if goes_on and good:
        outcome = state.result()
        assert outcome.entry.rows == good == len(held())
        assert outcome.entry.quarantined == bad == outcome.checked.quarantined
        assert outcome.checked.staged.rows == good + bad
    else:
        assert asked("POST", "/api/*/append") == 0
        assert isinstance(state.result(raise_on_failure=False), StoppedByGate) is not goes_on


@pytest.mark.slow
def test_the_quarantine_file_syncs_by_itself_once_mended(sync: Sync, write_deals: WriteDeals, home: Path, held: Held, asked: Asked) -> None:
    first = sync(
        write_deals(8, {"value": "12,5"}, {"status": "won", "name": 'Quoted "name", with a comma'}), quarantine_limit="2", forecast="never"
    )
    assert first.is_completed()
    assert len(held()) == 8
    [path] = (home / "forecasts").glob("*/quarantine.csv")
    rows = quarantine_of(home)
    assert [(row["id"], row["line"], row["failed_column"], row["failed_value"], row["failed_rule"]) for row in rows] == [
        ("extra-0", "10", "value", "12,5", "decimal"),
        ("extra-1", "11", "status", "won", "one of"),
    ]
    fixed = path.with_name("fixed.csv")
    fixed.write_text(path.read_text().replace('"12,5"', "12.5").replace('"won"', '"closed_won"'))
    assert sync(fixed, forecast="never").is_completed(), "the guard takes it for what it is: a part"
    deals = held()
    assert len(deals) == 10
    assert deals["extra-0"]["value"] == "12.5"
    assert deals["extra-1"]["name"] == 'Quoted "name", with a comma'
    assert asked("POST", "/api/*/append") == 2


@pytest.mark.slow
def test_a_quarantine_that_is_being_mended_is_never_lost(
    sync: Sync, failing: Failing, write_deals: WriteDeals, home: Path, held: Held
) -> None:
    """Not by the sync of that very file, nor by any other in the meantime; and it is no measure for the next whole export."""
    whole = write_deals(20, BAD, {"value": "12,5"}, name="whole.csv")
    assert sync(whole, quarantine_limit="2", forecast="never").is_completed()
    [path] = (home / "forecasts").glob("*/quarantine.csv")
    half_mended = path.read_text().replace('"12,5"', "12.5")
    path.write_text(half_mended)
    failing(path, forecast="never")
    assert path.read_text() == half_mended
    assert [row["id"] for row in csv.DictReader((path.parent / "quarantine-again.csv").open(newline=""))] == ["extra-0"]
    assert sync(path, quarantine_limit="1", forecast="never").is_completed()
    assert held()["extra-1"]["value"] == "12.5"
    assert path.read_text() == half_mended
    assert isinstance(failing(write_deals(10, name="shrunk.csv")), StoppedByGuard)
    [edited] = path.parent.glob("quarantine-edited-*.csv")
    assert edited.read_text() == half_mended
    assert not path.exists()


@pytest.mark.slow
def test_an_old_quarantine_file_goes_when_nothing_fails(sync: Sync, write_deals: WriteDeals, home: Path) -> None:
    sync(write_deals(3, BAD), quarantine_limit="1")
    assert len(quarantine_of(home)) == 1
    sync(write_deals(4), full=True)
    assert not list((home / "forecasts").glob("*/quarantine*"))


def test_the_quarantine_is_private_and_whole(sync: Sync, write_deals: WriteDeals, home: Path, held: Held) -> None:
    """A deal that breaks several rules is one row that names them all, and both deals of one id are in it."""
    several = {"value": "-1", "stage": "", "numberOfMeetings": "two", "description": "two\nlines"}
    sync(write_deals(3, several, {"id": "2", "name": "Another"}), quarantine_limit="3", forecast="never")
    [path] = (home / "forecasts").glob("*/quarantine.csv")
    assert path.stat().st_mode & 0o077 == 0
    first, row, another = quarantine_of(home)
    assert [first["line"], another["line"]] == ["3", "7"]
    assert set(held()) == {"1", "3"}
    assert row["failed_column"] == "stage; value; numberOfMeetings"
    assert row["failed_rule"] == "required; not negative; integer"
    assert row["failed_value"] == "; -1; two"
    assert row["description"] == "two\nlines"
    assert list(row)[4:] == list(COLUMN_NAMES)
    book = path.with_suffix(".xlsx")
    assert book.stat().st_mode & 0o077 == 0
    assert read_as_deals(book).equals(read_as_deals(path))


@pytest.mark.slow
def test_a_workbook_that_was_fixed_is_synced_and_kept(sync: Sync, write_deals: WriteDeals, home: Path, held: Held) -> None:
    assert sync(write_deals(20, BAD, {"value": "12,5"}), quarantine_limit="2", forecast="never").is_completed()
    [path] = (home / "forecasts").glob("*/quarantine.xlsx")
    book = load_workbook(path)
    [value] = [cell for cell in book.active["2"] if book.active.cell(1, cell.column).value == "value"]
    value.value = "12.5"
    book.save(path)
    fixed = path.read_bytes()
    assert sync(path, quarantine_limit="1", forecast="never").is_completed()
    assert held()["extra-0"]["value"] == "12.5"
    assert path.read_bytes() == fixed
    assert sync(write_deals(21), forecast="never").is_completed()
    [edited] = path.parent.glob("quarantine-edited-*.xlsx")
    assert edited.read_bytes() == fixed


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)"]
ODD = [*FORMULAS, "00123", "2024-01-02", "1e5", "TRUE", " a ", "_x0041_", "_", "a\r\nb", "a\rb\nc", "\x01\x1f", "<&>\"'", "😀 ü"]


def test_every_cell_of_the_workbook_is_text_and_is_read_back_as_the_csv_is(tmp_path: Path) -> None:
    path, book = quarantine_with(tmp_path, ODD), tmp_path / "quarantine.xlsx"
    assert write_workbook(path, book) == ""
    cells = [cell for row in load_workbook(book).active.iter_rows() for cell in row if cell.value is not None]
    assert {(cell.data_type, cell.number_format) for cell in cells} <= {("s", "@"), ("inlineStr", "@")}
    assert load_workbook(book).active.column_dimensions["A"].number_format == "@", "what is typed into an empty cell is text too"
    read = read_as_deals(book)
    assert read["name"].tolist() == ODD
    assert read.equals(read_as_deals(path))


def test_no_workbook_is_written_of_what_a_sheet_cannot_hold(tmp_path: Path) -> None:
    book = tmp_path / "quarantine.xlsx"
    path = quarantine_with(tmp_path, ["a", "b"])
    assert write_workbook(path, book, 2) == "a sheet holds 2 rows, its header included"
    assert write_workbook(quarantine_with(tmp_path, ["a", "é" * 32_768]), book).startswith("row 3 has a cell of more than the 32,767")
    assert write_workbook(quarantine_with(tmp_path, ["a", "😀" * 16_384]), book).startswith("row 3 has a cell of more than the 32,767")
    assert not book.exists()
    assert write_workbook(quarantine_with(tmp_path, ["a", "é" * 32_767]), book, 3) == ""


def quarantine_with(folder: Path, names: list[str]) -> Path:
    """A quarantine of deals with these names."""
    empty = dict.fromkeys(QUARANTINE_SCHEMA.names)
    rows = [empty | {"line": line, "id": f"{line}", "name": name} for line, name in enumerate(names, 2)]
    with open_quarantine(path := folder / "quarantine.csv") as sink:
        sink.write_table(pa.Table.from_pylist(rows, QUARANTINE_SCHEMA))
    return path


def read_as_deals(path: Path) -> pd.DataFrame:
    """The deals of an export, without the lines, which a cell of two lines moves in a text alone."""
    frames = list(open_export(str(path), crm="canonical", timezone="UTC"))
    return pd.concat(frames, ignore_index=True).drop(columns="source_line")


@pytest.mark.slow
def test_staging_is_emptied_after_success_and_after_failure(sync: Sync, write_deals: WriteDeals, home: Path, fault: Fault) -> None:
    sync(write_deals())
    assert list((home / "staging").iterdir()) == []
    fault("spoil", "*/append", "POST")
    sync(write_deals(name="other.csv", value="2"))
    assert list((home / "staging").iterdir()) == []


@pytest.mark.slow
def test_warnings_are_reported_and_sent(sync: Sync, write_deals: WriteDeals, held: Held) -> None:
    state = sync(write_deals(2, {"closedDatetime": "2024-01-01T00:00:00"}))
    assert state.result().checked.report.warnings == 1
    assert len(held()) == 3


def test_that_no_deal_can_be_sent_stops_whatever_may_be_quarantined(sync: Sync, write_deals: WriteDeals, asked: Asked) -> None:
    error = sync(write_deals(0, BAD, BAD), quarantine_limit="100%").result(raise_on_failure=False)
    assert isinstance(error, StoppedByGate)
    assert "2 of 2 deals are assumed to be refused" in str(error)
    assert "--quarantine-limit" not in str(error)
    assert asked("POST", "*/append") == 0

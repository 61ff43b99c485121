"""The platform's verdict on a file, without HTTP. Each case's name is its rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deployments.sandbox.platform import csv_reader, validation
from deployments.sandbox.platform.deals_rules import (
    ADDED_AFTER_CREATION,
    AFTER_EPOCH,
    CLOSED_UNLESS_OPEN,
    COLUMNS,
    DATETIME,
    DECIMAL,
    EXISTS,
    INTEGER,
    NOT_NEGATIVE,
    STRICT_DATETIME,
    deals_model,
)
from deployments.sandbox.platform.validation import Failure, validate

DealsCsv = Callable[..., bytes]

FIVE = "\N{ARABIC-INDIC DIGIT FIVE}"
NULL = "not_nullable"
STATUS = "isin(['closed_won', 'closed_lost', 'open'])"
TRUTH = "isin(['true', 'false'])"


def matches(pattern: str) -> str:
    return f"str_matches(re.compile('{pattern}'))"


BAD_CELLS = [
    ("id", "", NULL),
    ("status", "", NULL),
    ("stage", "", NULL),
    ("value", "", NULL),
    ("creationDatetime", "", NULL),
    ("addDatetime", "", NULL),
    ("currentStageStartDatetime", "", NULL),
    ("lastUpdateDatetime", "", NULL),
    ("closedDatetime", "", CLOSED_UNLESS_OPEN),
    ("status", "won", STATUS),
    ("status", "Open", STATUS),
    ("status", "open ", STATUS),
    ("companyIsCustomer", "True", TRUTH),
    ("contactEmailOptedOut", "1", TRUTH),
    ("addDatetime", "2024-04-30T23:59:59", ADDED_AFTER_CREATION),
    *[
        ("lastSyncedAt", text, matches(DATETIME))
        for text in (
            "2024-05-01",
            "2024-05-01 08:00:00",
            "2024-05-01T08:00",
            "2024-05-01T08:00:00,5",
            "2024-05-01T08:00:00+2",
            "2024-05-01T08:00:00 +02:00",
            "2024-05-01T08:00:00\n",
            " 2024-05-01T08:00:00",
            f"{FIVE * 4}-05-01T08:00:00",
            "2024-5-1T8:00:00",
            "24-05-01T08:00:00",
            "(null)",
        )
    ],
    *[
        ("lastSyncedAt", text, EXISTS)
        for text in (
            "2024-02-30T00:00:00",
            "2023-02-29T00:00:00",
            "2024-13-01T00:00:00",
            "2024-00-01T00:00:00",
            "2024-01-01T24:00:00",
            "2024-01-01T23:60:00",
            "2024-01-01T23:59:60",
        )
    ],
    ("lastSyncedAt", "1969-12-31T23:59:59", AFTER_EPOCH),
    *[
        ("value", text, matches(DECIMAL))
        for text in ("1e3", "5.", ".5", "+5", "1,5", "inf", "NAN", " 5", "5 ", "5\n", FIVE, "1_0", "--5", "-")
    ],
    *[("numberOfMeetings", text, matches(INTEGER)) for text in ("1.0", "1e3", "five", FIVE, "5\n")],
    ("value", "-0.01", NOT_NEGATIVE),
    ("value", "-0", NOT_NEGATIVE),
    ("numberOfMeetings", "-1", NOT_NEGATIVE),
]

GOOD_CELLS = [
    ("lastSyncedAt", "1970-01-01T00:00:00"),
    ("lastSyncedAt", "2024-02-29T23:59:59"),
    ("lastSyncedAt", "9999-12-31T23:59:59"),
    ("lastSyncedAt", ""),
    ("value", "0"),
    ("value", "007.50"),
    ("value", "9" * 40),
    ("numberOfMeetings", "9" * 40),
    ("numberOfMeetings", ""),
    ("name", " "),
    ("name", "null"),
    ("lastSyncedAt", "NaN"),
    ("companyRevenue", "NA"),
    ("name", 'a "quoted", \n two-line ü name'),
    ("stage", " "),
    ("companyIsCustomer", ""),
]


@pytest.mark.parametrize(("column", "text", "check"), BAD_CELLS)
def test_a_bad_cell_is_refused_and_named(deals_csv: DealsCsv, column: str, text: str, check: str) -> None:
    verdict = validate(deals_csv({}, {"id": "2", column: text}, {"id": "3"}))
    assert verdict.message == "Validation failed"
    assert verdict.failures == (Failure(1, column, check),)
    assert verdict.errors is not None
    [report] = verdict.errors
    entries = [entry for kinds in report.values() for listed in kinds.values() for entry in listed]
    assert [(entry["schema"], entry["check"]) for entry in entries] == [("DealsDataModel", check)]
    assert all(set(entry) == {"schema", "column", "check", "error"} for entry in entries)


@pytest.mark.parametrize(("column", "text"), GOOD_CELLS)
def test_a_good_cell_passes(deals_csv: DealsCsv, column: str, text: str) -> None:
    assert validate(deals_csv({}, {"id": "2", column: text})) == validation.Validation(2)


DETAILED = ["2024-05-01T08:00:00Z", "2024-05-01T08:00:00.5", "2024-05-01T08:00:00.123456+02:00", "2024-05-01T08:00:00-0330"]


@pytest.mark.parametrize("text", DETAILED)
def test_a_fraction_and_an_offset_are_taken_unless_it_is_strict(deals_csv: DealsCsv, text: str) -> None:
    content = deals_csv({}, {"id": "2", "lastSyncedAt": text})
    assert validate(content).passed
    assert validate(content, strict_datetimes=True).failures == (Failure(1, "lastSyncedAt", matches(STRICT_DATETIME)),)


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("2024-02-30T00:00:00Z", EXISTS),
        ("2024-05-01T08:00:00+25:00", EXISTS),
        ("1969-12-31T23:59:59.9Z", AFTER_EPOCH),
    ],
)
def test_a_datetime_with_an_offset_is_one_that_exists(deals_csv: DealsCsv, text: str, check: str) -> None:
    assert validate(deals_csv({"lastSyncedAt": text})).failures == (Failure(0, "lastSyncedAt", check),)


@pytest.mark.parametrize(
    ("created", "added", "passes"),
    [
        ("2024-05-01T08:00:00+02:00", "2024-05-01T06:00:00Z", True),
        ("2024-05-01T08:00:00+02:00", "2024-05-01T05:59:59Z", False),
        ("2024-05-01T08:00:00.50", "2024-05-01T08:00:00.5", True),
        ("2024-05-01T08:00:00", "2024-05-01T05:00:00Z", True),  # in which zone the first is read is not known here
    ],
)
def test_moments_are_compared_and_not_texts(deals_csv: DealsCsv, created: str, added: str, passes: bool) -> None:
    verdict = validate(deals_csv({"creationDatetime": created, "addDatetime": added}))
    assert verdict.failures == (() if passes else (Failure(0, "addDatetime", ADDED_AFTER_CREATION),))


def test_an_open_deal_needs_no_closing(deals_csv: DealsCsv) -> None:
    assert validate(deals_csv({"status": "open", "closedDatetime": ""})).passed


def test_a_null_status_does_not_excuse_a_missing_closing(deals_csv: DealsCsv) -> None:
    verdict = validate(deals_csv({"status": "", "closedDatetime": ""}))
    assert verdict.failures == (Failure(0, "closedDatetime", CLOSED_UNLESS_OPEN), Failure(0, "status", NULL))


def test_the_order_of_unreadable_datetimes_is_not_judged(deals_csv: DealsCsv) -> None:
    verdict = validate(deals_csv({"addDatetime": "soon"}))
    assert verdict.failures == (Failure(0, "addDatetime", matches(DATETIME)),)


def test_the_report_has_the_documented_shape(deals_csv: DealsCsv) -> None:
    verdict = validate(deals_csv({"addDatetime": "", "status": "won"}))
    assert verdict.errors is not None
    assert verdict.errors[0]["SCHEMA"]["SERIES_CONTAINS_NULLS"][0]["check"] == NULL
    assert verdict.errors[0]["DATA"]["DATAFRAME_CHECK"][0] == {
        "schema": "DealsDataModel",
        "column": "status",
        "check": STATUS,
        "error": f"Column 'status' failed element-wise validator number 0: {STATUS} failure cases: won",
    }
    nulls = verdict.errors[0]["SCHEMA"]["SERIES_CONTAINS_NULLS"][0]["error"]
    assert nulls == "non-nullable series 'addDatetime' contains null values:0    NaNName: addDatetime, dtype: object"


def test_the_report_shows_the_documented_pattern(deals_csv: DealsCsv) -> None:
    """Our copy of the documentation's is cut off behind this."""
    [report] = validate(deals_csv({"lastSyncedAt": "soon"})).errors or []
    [entry] = report["DATA"]["DATAFRAME_CHECK"]
    documented = r"str_matches(re.compile('^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:"
    assert entry["check"].startswith(documented)
    assert documented in entry["error"]


def test_repeated_ids_are_refused_across_batches(deals_csv: DealsCsv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 1500)
    monkeypatch.setattr(csv_reader, "BATCH_ROWS", 1)
    rows = [{"id": str(number % 40)} for number in range(50)]
    verdict = validate(deals_csv(*rows))
    assert verdict.rows == 50
    assert verdict.failures == tuple(Failure(row, "id", "field_uniqueness") for row in (*range(10), *range(40, 50)))
    assert verdict.errors is not None
    assert list(verdict.errors[0]["DATA"]) == ["SERIES_CONTAINS_DUPLICATES"]


def test_rows_are_counted_across_batches(deals_csv: DealsCsv, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = deals_csv(*({"id": str(number), "value": "x" if number % 7 == 0 else "1"} for number in range(60)))
    expected = validate(whole)
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 1500)
    monkeypatch.setattr(csv_reader, "BATCH_ROWS", 1)
    assert validate(whole).failures == expected.failures
    assert [failure.row for failure in expected.failures] == list(range(0, 60, 7))


def test_null_ids_are_not_also_duplicates(deals_csv: DealsCsv) -> None:
    verdict = validate(deals_csv({"id": ""}, {"id": ""}))
    assert verdict.failures == (Failure(0, "id", NULL), Failure(1, "id", NULL))


@pytest.mark.parametrize("missing", ["id", "name", "closedDatetime", "lastSyncedAt"])
def test_a_missing_column_is_named(deals_csv: DealsCsv, missing: str) -> None:
    verdict = validate(deals_csv({}, columns=tuple(name for name in COLUMNS if name != missing)))
    assert verdict.errors is not None
    [entry] = verdict.errors[0]["SCHEMA"]["COLUMN_NOT_IN_DATAFRAME"]
    assert f"'{missing}'" in entry["error"]
    assert verdict.failures == (Failure(-1, missing, "column_in_dataframe"),)


def test_extra_columns_and_another_order_are_fine(deals_csv: DealsCsv) -> None:
    assert validate(deals_csv({}, columns=("extra", *reversed(COLUMNS), "extra"))).passed


@pytest.mark.parametrize("separator", [";", "\t", "|", " ", "a", "§", "→"])
def test_any_one_character_separates(deals_csv: DealsCsv, separator: str) -> None:
    assert validate(deals_csv({"name": f"x{separator}y"}, separator=separator), separator) == validation.Validation(1)


def test_line_ends_and_a_byte_order_mark_are_fine(deals_csv: DealsCsv) -> None:
    assert validate(b"\xef\xbb\xbf" + deals_csv({}, {"id": "2"}, line_end="\r\n")) == validation.Validation(2)
    assert validate(deals_csv({}).rstrip()) == validation.Validation(1)


def test_a_header_alone_is_a_file_without_deals(deals_csv: DealsCsv) -> None:
    assert validate(deals_csv()) == validation.Validation(0)
    assert validate(deals_csv().rstrip()) == validation.Validation(0)


UNREADABLE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "empty"),
    "wrong separator": (lambda csv: csv.replace(b",", b";"), "separator"),
    "a row too short": (lambda csv: csv + b"2,x\n", "Expected 35 columns, got 2"),
    "a row too long": (lambda csv: csv.replace(b"\n1,", b"\n1,more,"), "Expected 35 columns, got 36"),
    "NUL": (lambda csv: csv.replace(b"Annual", b"An\0ual"), "NUL"),
    "UTF-16": (lambda csv: csv.decode().encode("utf-16"), "NUL"),
    "Latin-1": (lambda csv: csv.replace(b"Annual", b"Ann\xe9e"), "UTF-8"),
    "Latin-1 header": (lambda csv: csv.replace(b"name", b"nam\xe9", 1), "UTF-8"),
    "an open quote": (lambda csv: csv.rstrip() + b'"end', "never closed"),
    "a repeated column": (lambda csv: csv.replace(b"name", b"id", 1), "more than once: id"),
    "not a table": (lambda _: b"%PDF-1.7 what is this", "separator"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_table_is_refused_with_a_reason(deals_csv: DealsCsv, case: str) -> None:
    spoil, reason = UNREADABLE[case]
    verdict = validate(spoil(deals_csv({}, {"id": "2"})))
    assert verdict.message is not None
    assert reason in verdict.message
    assert verdict.errors is None


def test_a_hopeless_file_is_given_up_early(deals_csv: DealsCsv, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 3000)
    monkeypatch.setattr(csv_reader, "BATCH_ROWS", 1)
    monkeypatch.setattr(validation, "FAILURES", 20)
    verdict = validate(deals_csv(*({"id": str(number), "value": "x"} for number in range(300))))
    assert not verdict.passed
    assert 20 < len(verdict.failures) == verdict.rows < 300


def test_the_report_stays_small(deals_csv: DealsCsv) -> None:
    verdict = validate(deals_csv(*({"id": str(number), "value": "x"} for number in range(5000))))
    assert len(verdict.failures) == 5000
    assert len(str(verdict.errors)) < 5000


def test_a_file_on_disk_is_judged_like_its_bytes(deals_csv: DealsCsv, tmp_path: Path) -> None:
    path = tmp_path / "deals.csv"
    path.write_bytes(content := deals_csv({}, {"value": "-1"}))
    assert validate(path) == validate(content)


def test_the_model_has_the_35_columns() -> None:
    assert len(deals_model().cells.columns) == 35

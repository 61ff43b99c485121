"""The gate and the platform's validator are two witnesses: over the CSV as it is uploaded they say the same, cell by cell.

``DEALCAST_FUZZ=full`` (``make fuzz``) tries more than 100 000 rows, else some thousands, seeded.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.sandbox.platform.validation import validate
from expectations import FileProfile, Gate
from expectations.deals_schema import COLUMNS, NULL_WORDS, SOURCE_LINE, Column, Kind, Null
from expectations.row_checks import deals_frame, deals_table
from expectations.rules import CRITICAL_RULES
from flows.deals.deals_csv import write_deals_csv
from flows.deals.staged_file import without_null_words
from tests.conftest import sampled

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]
Cells = dict[tuple[int, str], str]
"""Why a cell is refused, by its data row (counted from 0) and column: one reason a cell, the first in order."""

FULL = os.environ.get("DEALCAST_FUZZ") == "full"
ROWS = 250
EXAMPLES = 420 if FULL else 5

# What the gate says ------------------------------------------------------------------------------------------------------

_ORDER = {rule.key: place for place, rule in enumerate(CRITICAL_RULES)}


def gate_cells(frame: pd.DataFrame, size: int) -> Cells:
    """The gate's verdict, in batches of ``size`` rows."""
    table = deals_table(frame)
    gate = Gate(FileProfile.of([table]), datetime(2025, 1, 1))  # noqa: DTZ001  # the gate's clock is naive
    found = [
        ((row[SOURCE_LINE] - 2, row["column"]), _as_one(row["column"], row["rule"], row["value"]))
        for start in range(0, len(frame), size)
        for row in gate.check(frame.iloc[start : start + size]).failures.to_pylist()
        if row["severity"] == "critical"
    ]
    report = gate.report()
    assert report.failing == len({row for (row, _), _ in found})
    assert report.ok is (not found)
    return _first(found)


def _as_one(column: str, rule: str, value: str | None) -> str:
    """The form and the strictness of a kind, a null word and an empty cell: two rules of the gate, one check of the platform."""
    declared = {each.name: each for each in COLUMNS}[column]
    return "required" if value in NULL_WORDS else declared.kind.value if rule == "plain" else rule


# What the platform's validator says --------------------------------------------------------------------------------------


def platform_cells(csv: Path) -> Cells | None:
    """The sandbox's verdict on the file as uploaded, in the gate's words; None where it refuses the file unread.

    It is as strict about datetimes as the gate, which lets none with a fraction or an offset be sent.
    """
    verdict = validate(csv, strict_datetimes=True)
    if not verdict.passed and not verdict.failures:
        return None
    return _first([((failure.row, failure.column), _in_our_words(failure.column, failure.check)) for failure in verdict.failures])


def _in_our_words(column: str, check: str) -> str:
    declared = {each.name: each for each in COLUMNS}[column]
    words = {
        "not_nullable": "required",
        "field_uniqueness": "unique",
        "datetime_exists": "datetime",
        "datetime_after_epoch": "since 1970",
        "str_matches": declared.kind.value,
        "isin": "one of" if declared.choices else declared.kind.value,
        "greater_than_or_equal_to": "not negative",
        "addDatetime_not_before_creationDatetime": "not before creationDatetime",
        "closedDatetime_required_unless_open": "closed needs closedDatetime",
    }
    return words[check.split("(", maxsplit=1)[0]]


def _first(found: Sequence[tuple[tuple[int, str], str]]) -> Cells:
    ordered = sorted(found, key=lambda each: _ORDER[each[0][1], each[1]], reverse=True)
    return dict(ordered)


def both(frame: pd.DataFrame, csv: Path, size: int = 1000) -> tuple[Cells, Cells | None]:
    """Both verdicts on ``frame``."""
    deals, _ = without_null_words(pa.Table.from_pandas(frame, preserve_index=False))
    write_deals_csv([deals], csv)
    return gate_cells(deals_frame(deals), size), platform_cells(csv)


# Named cases ---------------------------------------------------------------------------------------------------------------

DATETIMES = {
    "29 February of a leap year": ("2024-02-29T00:00:00", None),
    "29 February of another year": ("2023-02-29T00:00:00", "datetime"),
    "29 February of 1900, no leap year": ("1900-02-29T00:00:00", "datetime"),
    "29 February of 2000": ("2000-02-29T00:00:00", None),
    "29 February of 2100": ("2100-02-29T00:00:00", "datetime"),
    "31 April": ("2024-04-31T00:00:00", "datetime"),
    "day 0": ("2024-01-00T00:00:00", "datetime"),
    "month 0": ("2024-00-01T00:00:00", "datetime"),
    "month 13": ("2024-13-01T00:00:00", "datetime"),
    "hour 24": ("2024-05-01T24:00:00", "datetime"),
    "last second of the day": ("2024-05-01T23:59:59", None),
    "a leap second": ("2016-12-31T23:59:60", "datetime"),
    "minute 60": ("2024-05-01T23:60:00", "datetime"),
    "the last second before 1970": ("1969-12-31T23:59:59", "since 1970"),
    "the first second of 1970": ("1970-01-01T00:00:00", None),
    "year 0001": ("0001-01-01T00:00:00", "since 1970"),
    "year 0000": ("0000-01-01T00:00:00", "datetime"),
    "29 February 1968": ("1968-02-29T00:00:00", "since 1970"),
    "30 February 1968": ("1968-02-30T00:00:00", "datetime"),
    "year 10000": ("10000-01-01T00:00:00", "datetime"),
    "a lone date": ("2024-05-01", "datetime"),
    "no seconds": ("2024-05-01T08:00", "datetime"),
    "a fraction of a second": ("2024-05-01T08:00:00.5", "datetime"),
    "Z": ("2024-05-01T08:00:00Z", "datetime"),
    "an offset": ("2024-05-01T08:00:00+02:00", "datetime"),
    "a blank for the T": ("2024-05-01 08:00:00", "datetime"),
    "a small t": ("2024-05-01t08:00:00", "datetime"),
    "a trailing newline": ("2024-05-01T08:00:00\n", "datetime"),
    "a leading blank": (" 2024-05-01T08:00:00", "datetime"),
    "Arabic digits in a datetime": ("٢٠٢٤-05-01T08:00:00", "datetime"),
    "full-width digits": ("2024-05-0\uff11T08:00:00", "datetime"),
    "a sign in a number of the date": ("2024-05-+1T08:00:00", "datetime"),
    "a week date": ("2024-W18-3T08:00:00", "datetime"),
    "blanks for a datetime": ("   ", "datetime"),
    "the word null": ("null", "datetime"),
}
NUMBERS = {
    "zero": ("0", None, None),
    "minus zero": ("-0", "not negative", "not negative"),
    "minus one": ("-1", "not negative", "not negative"),
    "minus one half": ("-0.5", "not negative", "integer"),
    "a negative of many digits": ("-" + "9" * 400, "not negative", "not negative"),
    "leading zeros": ("007", None, None),
    "a point and a zero": ("1.0", None, "integer"),
    "a decimal comma": ("1,5", "decimal", "integer"),
    "a thousands separator": ("1,234.50", "decimal", "integer"),
    "a trailing point": ("5.", "decimal", "integer"),
    "a leading point": (".5", "decimal", "integer"),
    "two points": ("1.2.3", "decimal", "integer"),
    "an exponent": ("1e3", "decimal", "integer"),
    "a plus": ("+5", "decimal", "integer"),
    "two minuses": ("--5", "decimal", "integer"),
    "a lone minus": ("-", "decimal", "integer"),
    "a Unicode minus": ("\u22125", "decimal", "integer"),
    "NaN": ("NaN", "decimal", "integer"),
    "nan": ("nan", "decimal", "integer"),
    "infinity": ("inf", "decimal", "integer"),
    "minus infinity": ("-inf", "decimal", "integer"),
    "an underscore": ("1_000", "decimal", "integer"),
    "a hexadecimal": ("0x10", "decimal", "integer"),
    "Arabic digits": ("٣", "decimal", "integer"),
    "a superscript": ("²", "decimal", "integer"),
    "a newline after a number": ("5\n", "decimal", "integer"),
    "a blank before a number": (" 5", "decimal", "integer"),
    "a no-break space after": ("5\u00a0", "decimal", "integer"),
    "a currency": ("€5", "decimal", "integer"),
    "many digits": ("9" * 5000, None, None),
    "many decimals": ("0." + "1" * 500, None, "integer"),
    "2 to the 64": ("18446744073709551616", None, None),
}
BOOLEANS = dict.fromkeys(("true", "false"), None) | dict.fromkeys(
    ("True", "TRUE", "t", "yes", "1", "0", " true", "true ", "false\n", "falsey", "nan"), "boolean"
)
TEXTS = {
    "an embedded separator": "a,b",
    "an embedded quote": 'a "b" c',
    "an embedded newline": "a\nb",
    "an embedded carriage return": "a\r\nb\rc",
    "a lone quote": '"',
    "two quotes": '""',
    "quotes and newlines at both ends": '"\n"',
    "blanks": "  ",
    "a tab": "\t",
    "a byte order mark": "\ufeffx",
    "the word null": "null",
    "the word NaN": "NaN",
    "a backslash": "a\\",
    "an apostrophe": "'",
    "emoji": "🦊",
    "a right-to-left mark": "\u200fx",
    "very long text": "x" * 100_000,
    "a formula": "=1+1",
    "a semicolon": "a;b",
    "a line separator": "a\u2028b",
}


def single(column: str, value: str | None, reason: str | None) -> tuple[list[Overrides], Cells]:
    if value in NULL_WORDS:
        reason = "required" if any(each.name == column and each.null is Null.FORBIDDEN for each in COLUMNS) else None
    return [{}, {column: value}, {}], {(1, column): reason} if reason else {}


CASES: dict[str, tuple[list[Overrides], Cells]] = {
    **{f"datetime: {name}": single("lastInteractionDatetime", value, reason) for name, (value, reason) in DATETIMES.items()},
    **{f"decimal: {name}": single("value", value, reason) for name, (value, reason, _) in NUMBERS.items()},
    **{f"integer: {name}": single("numberOfMeetings", value, reason) for name, (value, _, reason) in NUMBERS.items()},
    **{f"boolean: {value!r}": single("companyIsCustomer", value, reason) for value, reason in BOOLEANS.items()},
    **{f"text: {name}": single("name", value, None) for name, value in TEXTS.items()},
    **{f"id: {name}": single("id", value, None) for name, value in TEXTS.items()},
    **{f"stage: {name}": single("stage", value, None) for name, value in TEXTS.items()},
    **{f"null: {column.name}": single(column.name, None, None) for column in COLUMNS if column.null == "allowed"},
    **{f"null: {column.name}": single(column.name, None, "required") for column in COLUMNS if column.null == "forbidden"},
    **{
        f"empty text: {name}": single(name, "", reason) for name, reason in {"stage": "required", "value": "required", "name": None}.items()
    },
    **{f"status: {value!r}": single("status", value, "one of") for value in ("Open", "won", "closed won", "open ", "null", "open\n")},
    "status: open": single("status", "open", None),
    "closed without a date": single("closedDatetime", None, "closed needs closedDatetime"),
    "closed with an empty text for a date": single("closedDatetime", "", "closed needs closedDatetime"),
    "open without a date": ([{"status": "open", "closedDatetime": None}], {}),
    "open with a date": ([{"status": "open"}], {}),
    "no status and no date": (
        [{"status": None, "closedDatetime": None}],
        {(0, "status"): "required", (0, "closedDatetime"): "closed needs closedDatetime"},
    ),
    "a wrong status and no date": (
        [{"status": "OPEN", "closedDatetime": None}],
        {(0, "status"): "one of", (0, "closedDatetime"): "closed needs closedDatetime"},
    ),
    "closed before it was created": single("closedDatetime", "1999-01-01T00:00:00", None),
    "added a second before it was created": single("addDatetime", "2024-05-01T07:59:59", "not before creationDatetime"),
    "added when it was created": single("addDatetime", "2024-05-01T08:00:00", None),
    "added before an impossible creation": single("creationDatetime", "2025-02-30T00:00:00", "datetime"),
    "an impossible addition before its creation": single("addDatetime", "2024-04-31T00:00:00", "datetime"),
    "added before 1970": single("addDatetime", "1969-05-01T00:00:00", "since 1970"),
    "created before 1970": single("creationDatetime", "1969-05-01T00:00:00", "since 1970"),
    "both before 1970, the wrong way round": (
        [{"creationDatetime": "1969-05-01T00:00:00", "addDatetime": "1968-05-01T00:00:00"}],
        {(0, "creationDatetime"): "since 1970", (0, "addDatetime"): "since 1970"},
    ),
    "added when nobody knows when it was created": single("creationDatetime", None, "required"),
    "ids that differ in leading zeros": ([{"id": "1"}, {"id": "01"}, {"id": "001"}], {}),
    "ids that differ in case": ([{"id": "a"}, {"id": "A"}], {}),
    "ids that differ in a blank": ([{"id": "a"}, {"id": "a "}, {"id": " a"}], {}),
    "ids that only look alike": ([{"id": "\u00e9"}, {"id": "e\u0301"}], {}),
    "ids that are the same number": ([{"id": "1"}, {"id": "1.0"}, {"id": "1e0"}], {}),
    "an id twice": ([{"id": "7"}, {}, {"id": "7"}], {(0, "id"): "unique", (2, "id"): "unique"}),
    "an id three times": ([{"id": "7"}] * 3, {(row, "id"): "unique" for row in range(3)}),
    "a long id twice": ([{"id": "x" * 5000}] * 2, {(row, "id"): "unique" for row in range(2)}),
    "null ids": ([{"id": None}] * 2, {(row, "id"): "required" for row in range(2)}),
    "no rows": ([], {}),
    "every cell that may be null is": ([{column.name: None for column in COLUMNS if column.null == "allowed"}], {}),
}


OF_ONE_CELL = [name for name, (rows, _) in CASES.items() if len(rows) == 3 and not rows[0] and len(rows[1]) == 1 and not rows[2]]
"""Cases in which the deal between two sound ones differs in one cell: what a cell is found to be depends on no other deal."""


@pytest.fixture(scope="module")
def of_one_cell(make_frame: MakeFrame, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Cells, Cells | None]]:
    """Both verdicts on a file of all cases of one cell, told apart again: to read a file takes either of them a tenth of a second."""
    rows = [row for name in OF_ONE_CELL for row in CASES[name][0]]
    ours, theirs = both(make_frame(rows), tmp_path_factory.mktemp("cells") / "deals.csv")
    assert theirs is not None

    def of(found: Cells, number: int) -> Cells:
        return {(row - 3 * number, column): why for (row, column), why in found.items() if row // 3 == number}

    return {name: (of(ours, number), of(theirs, number)) for number, name in enumerate(OF_ONE_CELL)}


@pytest.mark.parametrize("case", OF_ONE_CELL)
def test_both_say_of_a_cell_what_the_contract_says(case: str, of_one_cell: dict[str, tuple[Cells, Cells | None]]) -> None:
    _, expected = CASES[case]
    assert of_one_cell[case] == (expected, expected)


@pytest.mark.parametrize("case", [name for name in CASES if name not in OF_ONE_CELL])
def test_both_say_what_the_contract_says(case: str, make_frame: MakeFrame, tmp_path: Path) -> None:
    rows, expected = CASES[case]
    assert both(make_frame(rows), tmp_path / "deals.csv") == (expected, expected)


def _is_another_of_its_kind(column: Column) -> bool:
    return column is not next(each for each in COLUMNS if each.kind == column.kind)


def test_a_year_that_is_a_typing_error_is_the_gate_s_alone(make_frame: MakeFrame, tmp_path: Path) -> None:
    """The platform takes it, and would forecast from there on."""
    ours, theirs = both(make_frame([{}, {"lastUpdateDatetime": "9999-12-31T23:59:59"}]), tmp_path / "deals.csv")
    assert (set(ours), theirs) == ({(1, "lastUpdateDatetime")}, {})


@pytest.mark.parametrize("column", sampled({column.name: column for column in sorted(COLUMNS, key=_is_another_of_its_kind)}, len(Kind)))
@pytest.mark.parametrize("value", ["a\0b", "0000-00-00T00:00\0"])
def test_a_nul_is_refused_by_both(column: Column, value: str, make_frame: MakeFrame, tmp_path: Path) -> None:
    """The platform's validator cannot even read such a file, so it names no cell; the gate does."""
    ours, theirs = both(make_frame([{}, {column.name: value}]), tmp_path / "deals.csv")
    rule = "one of" if column.choices else "no NUL" if column.kind is Kind.STRING else column.kind.value
    assert ours[1, column.name] == rule
    assert theirs is None


# Any frames ----------------------------------------------------------------------------------------------------------------

_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
_NEAR_NUMBER = st.text(st.sampled_from("0123456789.,-+eE _\n٣²"), max_size=8)
_NEAR_DATETIME = st.one_of(
    st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(2045, 12, 31)).map(lambda moment: moment.isoformat()),  # noqa: DTZ001
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", fullmatch=True),
    st.from_regex(
        r"(?:19[67]|20[0-2])[0-9]-(?:0[12]|1[0-3])-(?:0[0-2]|2[89]|3[0-2])T(?:00|2[34]):(?:00|59|60):(?:00|59|60)", fullmatch=True
    ),
    st.from_regex(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T t][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:[.,][0-9]{1,6})?(?:Z|[+-][0-9]{2}:?[0-9]{2})?\n?"
    ).filter(lambda text: "\0" not in text),  # any text may stand around it, and a file with a NUL has a test of its own
)
_EDGES: dict[Kind, list[str]] = {
    Kind.DATETIME: [value for value, _ in DATETIMES.values()],
    Kind.DECIMAL: [value for value, _, _ in NUMBERS.values() if len(value) < 1000],
    Kind.INTEGER: [value for value, _, _ in NUMBERS.values() if len(value) < 1000],
    Kind.BOOLEAN: list(BOOLEANS),
    Kind.STRING: [*(text for text in TEXTS.values() if len(text) < 1000), "closed_won", "closed_lost", "open", "7", "07"],
}
_OWN = {Kind.DATETIME: _NEAR_DATETIME, Kind.DECIMAL: _NEAR_NUMBER, Kind.INTEGER: _NEAR_NUMBER}


def _values(column: Column) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.sampled_from(_EDGES[column.kind]), _OWN.get(column.kind, _ANY_TEXT), _ANY_TEXT)


_EDITS = st.lists(st.sampled_from(COLUMNS).flatmap(lambda column: st.tuples(st.just(column.name), _values(column))), max_size=60)


_SETTINGS = settings(
    max_examples=EXAMPLES,
    derandomize=not FULL,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large],
)


def test_they_agree_on_any_file(make_frame: MakeFrame, tmp_path: Path) -> None:
    """Rows that take several of the edits each, in batches."""
    tried = 0

    @_SETTINGS
    @given(edits=_EDITS, seed=st.integers(0, 2**32), most=st.integers(0, 4), size=st.sampled_from([1000, 100]))
    def agree(edits: list[tuple[str, str | None]], seed: int, most: int, size: int) -> None:
        nonlocal tried
        choose = random.Random(seed)
        rows = [dict(choose.sample(edits, min(len(edits), choose.randint(0, most)))) for _ in range(ROWS)]
        ours, theirs = both(make_frame(rows), tmp_path / "deals.csv", size)
        assert ours == theirs
        tried += len(rows)

    agree()
    assert tried >= EXAMPLES * ROWS


def test_they_agree_on_a_file_with_one_odd_cell(make_frame: MakeFrame, tmp_path: Path) -> None:
    """File by file: one cell decides."""

    @_SETTINGS
    @given(column=st.sampled_from(COLUMNS), data=st.data())
    def agree(column: Column, data: st.DataObject) -> None:
        value = data.draw(_values(column))
        ours, theirs = both(make_frame([{}, {column.name: value}, {}]), tmp_path / "deals.csv")
        assert ours == theirs

    agree()

"""Every rule of the schema catches its named example, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import pandas as pd
import pyarrow as pa
import pytest

from expectations import CheckReport, FileProfile, Gate
from expectations.deals_schema import COLUMNS, NULL_WORDS, Kind, Severity
from expectations.formats import may_hold_null_words
from expectations.row_checks import deals_table
from expectations.rules import CRITICAL_RULES, RULES, WARNING_RULES, Rule, accepting
from tests.conftest import sampled

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]

WRONG = {
    "required": None,
    "datetime": "2024-05-01",
    "not far ahead": "2999-01-01T00:00:00",
    "no null word": "NA",
    "since 1970": "1969-12-31T23:59:59",
    "decimal": "1,5",
    "integer": "1.5",
    "not negative": "-1",
    "boolean": "True",
    "one of": "won",
    "no NUL": "a\0b",
    "not before creationDatetime": "2024-05-01T07:59:59",
    "closed needs closedDatetime": None,
}
PLAIN = {Kind.DATETIME: "2024-02-30T00:00:00", Kind.DECIMAL: "1e3", Kind.INTEGER: "1.0"}
KINDS = {column.name: column.kind for column in COLUMNS}
ORDINARY: Overrides = {"stage": "Open", "status": "open", "closedDatetime": None}
WARNED: dict[str, list[Overrides]] = {
    "closed before created": [{"closedDatetime": "2024-05-01T07:59:59"}],
    "closed in the future": [{"closedDatetime": "2024-07-01T12:00:01"}],
    "open and long overdue": [{**ORDINARY, "expectedClosureDatetime": "2024-04-02T11:59:59"}],
    "stage before created": [{"currentStageStartDatetime": "2024-05-01T07:59:59"}],
    "won without value": [{"value": "0.00"}],
    "outlier for its stage": [{**ORDINARY, "value": "999999999"}, *[ORDINARY] * 40],
}


def example(rule: Rule) -> list[Overrides]:
    """The rows of which the first breaks ``rule`` (for ids: the first two)."""
    if rule.name == "unique":
        return [{"id": "7"}, {"id": "7"}, {}]
    if rule.severity is Severity.WARNING:
        return WARNED[rule.name]
    if rule.name == "plain":
        return [{rule.column: PLAIN[KINDS[rule.column]]}, {}]
    return [{rule.column: WRONG[rule.name]}, {}]


def judge(frame: pd.DataFrame, now: datetime, rules: Sequence[Rule] = RULES) -> tuple[set[tuple[int, str, str]], CheckReport]:
    """All failures as (line, column, rule), and the report."""
    gate = Gate(FileProfile.of([deals_table(frame)]), now, rules=rules)
    rows = gate.check(frame).failures.to_pylist()
    return {(row["source_line"], row["column"], row["rule"]) for row in rows}, gate.report()


def named(rule: Rule) -> str:
    return f"{rule.column}: {rule.name}"


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_a_rule_catches_its_example_alone(rule: Rule, make_frame: MakeFrame, now: datetime) -> None:
    failures, report = judge(make_frame(example(rule)), now)
    lines = (2, 3) if rule.name == "unique" else (2,)
    assert failures == {(line, rule.column, rule.name) for line in lines}
    assert report.ok is (rule.severity is Severity.WARNING)
    assert [(result.column, result.rule, result.failed) for result in report.failed_rules] == [(rule.column, rule.name, len(lines))]


ONE_OF_A_NAME = sorted(RULES, key=lambda rule: rule is not next(each for each in RULES if each.name == rule.name))
"""The first rule of each name, then the others."""


@pytest.mark.parametrize("rule", sampled({named(rule): rule for rule in ONE_OF_A_NAME}, len({rule.name for rule in RULES})))
def test_without_the_rule_its_example_passes(rule: Rule, make_frame: MakeFrame, now: datetime) -> None:
    """No rule stands in for another: each is needed."""
    failures, report = judge(make_frame(example(rule)), now, [other for other in RULES if other is not rule])
    assert failures == set()
    assert report.ok
    assert report.warnings == 0


def test_a_sound_file_passes(make_frame: MakeFrame, now: datetime) -> None:
    failures, report = judge(make_frame([{}, {}, ORDINARY]), now)
    assert failures == set()
    assert (report.rows, report.passed, report.failing, report.warnings, report.ok) == (3, 3, 0, 0, True)
    assert report.validation_result is not None
    assert report.validation_result.success
    assert report.validation_result.statistics["evaluated_expectations"] == len(RULES)


def test_keys_are_unique() -> None:
    """A rule is known by its column and name."""
    assert len({rule.key for rule in RULES}) == len(CRITICAL_RULES) + len(WARNING_RULES)


def test_a_null_id_is_missing_not_repeated(make_frame: MakeFrame, now: datetime) -> None:
    failures, _ = judge(make_frame([{"id": None}, {"id": None}, {}]), now)
    assert failures == {(2, "id", "required"), (3, "id", "required")}


def test_every_occurrence_of_an_id_is_named(make_frame: MakeFrame, now: datetime) -> None:
    failures, report = judge(make_frame([{"id": "7"}, {}, {"id": "7"}, {"id": "7"}]), now)
    assert failures == {(line, "id", "unique") for line in (2, 4, 5)}
    assert (report.passed, report.failing) == (1, 3)


def test_an_empty_text_is_null(make_frame: MakeFrame, now: datetime) -> None:
    failures, _ = judge(make_frame([{"stage": "", "numberOfMeetings": "", "companyIsCustomer": "", "lastSyncedAt": ""}]), now)
    assert failures == {(2, "stage", "required")}


def test_datetimes_that_are_wrong_are_not_compared(make_frame: MakeFrame, now: datetime) -> None:
    failures, _ = judge(make_frame([{"creationDatetime": "2025", "closedDatetime": "1960-01-01T00:00:00"}]), now)
    assert failures == {(2, "creationDatetime", "datetime"), (2, "closedDatetime", "since 1970")}


@pytest.mark.parametrize("status", [None, "lost"])
def test_only_an_open_deal_may_lack_its_closing(status: str | None, make_frame: MakeFrame, now: datetime) -> None:
    failures, _ = judge(make_frame([{"status": status, "closedDatetime": None}]), now)
    assert (2, "closedDatetime", "closed needs closedDatetime") in failures


def test_a_warning_never_blocks(make_frame: MakeFrame, now: datetime) -> None:
    rows: list[Overrides] = [row for example in WARNED.values() for row in example]
    _, report = judge(make_frame(rows), now)
    assert report.ok
    assert report.passed == report.rows == len(rows)
    assert report.warnings == len(WARNED)


@pytest.mark.parametrize(("year", "fails"), [(1969, True), (1970, False), (2044, False), (2045, True), (2204, True)])
def test_a_year_far_from_now_is_refused(year: int, fails: bool, make_frame: MakeFrame) -> None:
    frame = make_frame([{**ORDINARY, "expectedClosureDatetime": f"{year}-05-15T10:00:00"}])
    found, _ = judge(frame, datetime(2024, 7, 1, 12))  # noqa: DTZ001 - naive, as the gate's
    rule = "since 1970" if year < 1970 else "not far ahead"
    named = {name for _, column, name in found if column == "expectedClosureDatetime"}
    assert named & {"since 1970", "not far ahead"} == ({rule} if fails else set())


@pytest.mark.parametrize(
    ("closed", "warned"), [("2026-03-02T00:00:00", False), ("2026-03-01T00:00:00", True), ("2026-03-02T09:14:00", True)]
)
def test_a_day_is_compared_as_a_day(closed: str, warned: bool, make_frame: MakeFrame) -> None:
    created = dict.fromkeys(("creationDatetime", "addDatetime"), "2026-03-02T09:15:00")
    frame = make_frame([{**created, "closedDatetime": closed, "currentStageStartDatetime": closed}])
    found, _ = judge(frame, datetime(2027, 1, 1))  # noqa: DTZ001 - naive, as the gate's
    assert {key[2] for key in found} == ({"closed before created", "stage before created"} if warned else set())


@pytest.mark.parametrize("rule", CRITICAL_RULES, ids=named)
def test_only_an_assumed_rule_can_be_accepted(rule: Rule) -> None:
    """A refusal that is only assumed becomes a warning where the user says so; a documented one does not."""
    name = f"{rule.column}:{rule.name}"
    assert rule.standing is not None
    if rule.standing.is_documented:
        with pytest.raises(ValueError, match="documented"):
            accepting([name])
        return
    assert [each.key for each, before in zip(accepting([name]), RULES, strict=True) if each != before] == [rule.key]


def test_a_rule_is_accepted_where_it_is_assumed_and_nowhere_else() -> None:
    lenient = {rule.column for rule in accepting(["required"]) if rule.name == "required" and rule.severity is Severity.WARNING}
    assert lenient == {"currentStageStartDatetime", "value", "lastUpdateDatetime"}
    with pytest.raises(ValueError, match="Did you mean 'unique'"):
        accepting(["uniqe"])


def test_a_report_says_how_surely_rows_are_refused(make_frame: Callable[[Sequence[Overrides]], pd.DataFrame], now: datetime) -> None:
    frame = make_frame([{"id": None}, {"value": "1e3"}, {"value": "1e3"}, {}])
    _, report = judge(frame, now)
    assert report.refusals == "1 of 4 deals would be refused by the platform and 2 are assumed to be"
    _, report = judge(frame, now, accepting(["plain"]))
    assert report.refusals == "1 of 4 deals would be refused by the platform"
    _, report = judge(make_frame([{"value": "1e3"}]), now)
    assert report.refusals == "1 of 1 deals are assumed to be refused (the platform does not say so)"


@pytest.mark.parametrize("word", sorted(NULL_WORDS))
def test_a_glance_misses_no_null_word(word: str) -> None:
    """Wherever in a column it is; and where nothing ends like one, it says so."""
    texts = pa.array([None, "", "Zürich", "12.5", word, "2024-05-01T08:00:00"])
    assert may_hold_null_words(pa.chunked_array([texts]))
    assert may_hold_null_words(pa.chunked_array([texts[:2], texts[4:5]]))
    assert not may_hold_null_words(pa.chunked_array([texts[:4], texts[5:], pa.nulls(2, pa.string())]))

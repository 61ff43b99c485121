"""A user's own stock expectations, from a file, are held beside the schema's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expectations import CheckReport, FileProfile, Gate, GateError, Severity, Verdict
from expectations.row_checks import deals_table
from expectations.rules import RULES

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]
Judge = Callable[..., tuple[list[Verdict], CheckReport]]


@pytest.fixture
def judge(make_frame: MakeFrame, tmp_path: Path) -> Judge:
    """Judge rows, in batches, by the schema and by expectations written as a suite."""

    def judged(rows: Sequence[Overrides], *expectations: dict[str, Any], size: int = 1000) -> tuple[list[Verdict], CheckReport]:
        file = tmp_path / "suite.json"
        file.write_text(json.dumps({"name": "ours", "expectations": expectations, "meta": {}}), encoding="utf-8")
        frame = make_frame(rows)
        gate = Gate(FileProfile.of([deals_table(frame)]), extra_suite=file)
        verdicts = [gate.check(frame.iloc[start : start + size]) for start in range(0, len(frame), size)]
        return verdicts, gate.report()

    return judged


def between(severity: str = "critical", **arguments: object) -> dict[str, Any]:
    return {
        "type": "expect_column_values_to_be_between",
        "kwargs": {"column": "value", "max_value": 5000, **arguments},
        "severity": severity,
    }


ROWS: list[Overrides] = [{}, {"value": "9000"}, {"value": "-1"}, {"value": "oops"}, {"value": "5000.01"}]


@pytest.mark.parametrize("size", [5, 2])
def test_rows_that_fail_are_refused_and_named(size: int, judge: Judge) -> None:
    """A cell that is no number is the schema's business alone."""
    verdicts, report = judge(ROWS, between(), size=size)
    assert [passing for verdict in verdicts for passing in verdict.passing.to_pylist()] == [True, False, False, False, False]
    failures = [(failure.line, failure.value, failure.rule) for failure in report.failures]
    assert failures == [
        (3, "9000", "expect_column_values_to_be_between"),
        (4, "-1", "not negative"),
        (5, "oops", "decimal"),
        (6, "5000.01", "expect_column_values_to_be_between"),
    ]
    assert (report.failing, report.ok, report.stopped_by) == (4, False, ())
    assert report.validation_result is not None
    assert report.validation_result.statistics["evaluated_expectations"] == len(RULES) + 1
    extra = report.validation_result.results[-1].result
    assert (extra["element_count"], extra["unexpected_count"]) == (5, 2)


def test_a_rule_of_the_user_s_is_told_as_theirs(judge: Judge) -> None:
    """It is neither the platform's nor assumed of it; a row that breaks both counts as the platform's."""
    _, report = judge(ROWS, between())
    assert (report.failing, report.documented, report.assumed, report.own) == (4, 0, 2, 2)
    assert report.refusals == (
        "2 of 5 deals are assumed to be refused (the platform does not say so) and 2 break a rule of your own suite (DEALCAST_EXTRA_SUITE)"
    )
    _, report = judge([{}, {"value": "9000"}, {"value": "9000", "status": "won"}], between())
    assert report.refusals == "1 of 3 deals would be refused by the platform and 1 break a rule of your own suite (DEALCAST_EXTRA_SUITE)"
    _, report = judge(ROWS[:2], between())
    assert report.refusals == "1 of 2 deals break a rule of your own suite (DEALCAST_EXTRA_SUITE)"
    assert [(rule.severity, rule.standing) for rule in report.failed_rules] == [(Severity.CRITICAL, None)]


def test_a_warning_is_reported_only(judge: Judge) -> None:
    verdicts, report = judge(ROWS[:2], between("warning"))
    assert verdicts[0].passing.to_pylist() == [True, True]
    assert (report.ok, report.warnings, report.failures[0].severity) == (True, 1, Severity.WARNING)


def test_more_rows_than_great_expectations_lists(judge: Judge) -> None:
    """Its lists of values stop at 200, not those of rows."""
    verdicts, report = judge([{"value": "9000"}] * 300, between())
    assert report.failing == 300
    assert verdicts[0].failures.num_rows == 300
    assert next(result for result in report.failed_rules).failed == 300


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(
    ("expectation", "arguments"),
    [
        ("expect_column_mean_to_be_between", {"column": "value", "max_value": 10}),
        ("expect_table_row_count_to_be_between", {"min_value": 6}),
        ("expect_column_values_to_be_unique", {"column": "name"}),
        ("expect_column_values_to_be_between", {"column": "value", "max_value": 5, "mostly": 0.9}),
        ("expect_column_max_to_be_between", {"column": "lastUpdateDatetime", "min_value": "2025-01-01T00:00:00"}),
    ],
)
def test_what_judges_the_whole_file_stops_it(size: int, expectation: str, arguments: dict[str, Any], judge: Judge) -> None:
    """However the file was dealt in batches; no row is to blame."""
    verdicts, report = judge([{}] * 5, {"type": expectation, "kwargs": arguments}, size=size)
    assert all(passing for verdict in verdicts for passing in verdict.passing.to_pylist())
    assert [result.rule for result in report.stopped_by] == [expectation]
    assert not report.ok


@pytest.mark.parametrize("size", [2, 5])
def test_what_the_whole_file_satisfies_does_not_stop_it(size: int, judge: Judge) -> None:
    """A share over the file, though one batch falls short of it."""
    _, report = judge(ROWS[:2] + [{}] * 3, between(mostly=0.8), size=size)
    assert report.ok


def test_expectations_of_several_columns_keep_their_findings(judge: Judge) -> None:
    """Great Expectations answers in the order of the columns, not of the suite."""
    named = {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "name", "regex": "^A"}}
    mean = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "value", "min_value": 1}}
    many = {"type": "expect_table_row_count_to_be_between", "kwargs": {"max_value": 1}}
    rows: list[Overrides] = [{"value": "9000"}, {"name": "B"}, {"value": "1"}]
    _, report = judge(rows, between(), mean, named, many, between(max_value=99999, min_value=10))
    failures = [(failure.line, failure.column, failure.value, failure.rule) for failure in report.failures]
    assert failures == [
        (2, "value", "9000", "expect_column_values_to_be_between"),
        (3, "name", "B", "expect_column_values_to_match_regex"),
        (4, "value", "1", "expect_column_values_to_be_between 2"),
    ]
    assert [result.rule for result in report.stopped_by] == ["expect_table_row_count_to_be_between"]


def test_a_file_without_rows_is_judged_too(tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    file.write_text('{"expectations": [{"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}}]}')
    assert not Gate(FileProfile.of([]), extra_suite=file).report().ok


def test_the_same_expectation_twice(judge: Judge) -> None:
    _, report = judge(ROWS[:2], between(), between(max_value=8000))
    assert [failure.rule for failure in report.failures] == [
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_between 2",
    ]


def test_pairs_and_datetimes_are_typed(judge: Judge) -> None:
    pair = {
        "type": "expect_column_pair_values_a_to_be_greater_than_b",
        "kwargs": {"column_A": "closedDatetime", "column_B": "addDatetime", "ignore_row_if": "either_value_is_missing"},
    }
    verdicts, report = judge([{}, {"closedDatetime": "2024-05-01T08:00:00"}, {"status": "open", "closedDatetime": None}], pair)
    assert verdicts[0].passing.to_pylist() == [True, False, True]
    assert report.failures[0].column == "closedDatetime"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"expectations": [{"type": "expect_miracles", "kwargs": {}}]}', '{"expectations": [{}]}']
)
def test_a_file_that_is_no_suite_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "suite.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"suite\.json is not a suite of expectations"):
        Gate(FileProfile.of([]), extra_suite=file)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a suite of expectations"):
        Gate(FileProfile.of([]), extra_suite=tmp_path / "none.json")


def test_an_expectation_about_nothing_is_an_error(judge: Judge) -> None:
    with pytest.raises(GateError, match="nowhere"):
        judge([{}], {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "nowhere"}})


@pytest.mark.parametrize("parser", [None, "pandas", "great_expectations"])
def test_a_condition_that_is_text_is_refused_before_it_runs(parser: str | None, judge: Judge, tmp_path: Path) -> None:
    """Pandas evaluates such a text as code, which a suite from elsewhere is not to bring."""
    mark = tmp_path / "ran"
    expectation = between(row_condition=f"@pd.io.common.os.system('touch {mark}') == 0", condition_parser=parser)
    with pytest.raises(ValueError, match="structured form"):
        judge(ROWS, expectation)
    assert not mark.exists()

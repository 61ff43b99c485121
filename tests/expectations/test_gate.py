"""The gate over batches: verdicts in row order, one report, errors that are errors."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime

import great_expectations as gx
import pandas as pd
import pyarrow as pa
import pytest
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult
from great_expectations.execution_engine import pandas_execution_engine

from expectations import FAILURES_SCHEMA, FileProfile, Gate, GateError, Severity, check, suite
from expectations.row_checks import RowChecks, deals_table
from expectations.rules import RULES

Overrides = dict[str, str | None]
MakeFrame = Callable[[Sequence[Overrides]], pd.DataFrame]

ROWS: list[Overrides] = [
    {"value": "-1", "stage": None},
    {},
    {"id": "7"},
    {"closedDatetime": "2024-05-01T07:59:59"},
    {"id": "7", "status": "won"},
    {"id": None, "lastSyncedAt": "yesterday"},
]
EXPECTED = [
    (2, "1", "stage", None, "required", "critical"),
    (2, "1", "value", "-1", "not negative", "critical"),
    (4, "7", "id", "7", "unique", "critical"),
    (5, "4", "closedDatetime", "2024-05-01T07:59:59", "closed before created", "warning"),
    (6, "7", "id", "7", "unique", "critical"),
    (6, "7", "status", "won", "one of", "critical"),
    (7, None, "id", None, "required", "critical"),
    (7, None, "lastSyncedAt", "yesterday", "datetime", "critical"),
]


@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_verdicts_do_not_depend_on_the_batches(size: int, make_frame: MakeFrame, now: datetime) -> None:
    frame = make_frame(ROWS)
    gate = Gate(FileProfile.of([deals_table(frame)]), now)
    verdicts = [gate.check(frame.iloc[start : start + size]) for start in range(0, len(frame), size)]
    assert [passing for verdict in verdicts for passing in verdict.passing.to_pylist()] == [False, True, False, True, False, False]
    failures = pa.concat_tables([verdict.failures for verdict in verdicts])
    assert failures.schema == FAILURES_SCHEMA
    assert [tuple(row.values()) for row in failures.to_pylist()] == EXPECTED
    report = gate.report()
    assert (report.rows, report.passed, report.failing, report.warnings) == (6, 2, 4, 1)
    assert [(f.line, f.id, f.column, f.value, f.rule, f.severity) for f in report.failures] == EXPECTED
    assert {(r.column, r.rule): r.failed for r in report.failed_rules}["id", "unique"] == 2


@pytest.mark.parametrize("size", [1, 4])
def test_the_validation_result_is_great_expectations_own(size: int, make_frame: MakeFrame, now: datetime) -> None:
    frame = make_frame(ROWS)
    gate = Gate(FileProfile.of([deals_table(frame)]), now)
    for start in range(0, len(frame), size):
        gate.check(frame.iloc[start : start + size])
    result = gate.report().validation_result
    assert isinstance(result, ExpectationSuiteValidationResult)
    assert not result.success
    results = result.to_json_dict()["results"]  # type: ignore[no-untyped-call]  # theirs is untyped
    outcomes = [(outcome["expectation_config"]["kwargs"], outcome["result"]) for outcome in results]
    assert result.statistics["evaluated_expectations"] == len(RULES)
    failed = {(kwargs["column"], kwargs["rule"]): found for kwargs, found in outcomes if found["unexpected_count"]}
    assert set(failed) == {(column, rule) for _, _, column, _, rule, _ in EXPECTED}
    assert failed["id", "unique"] == {
        "element_count": 6,
        "unexpected_count": 2,
        "unexpected_percent": pytest.approx(100 / 3),
        "partial_unexpected_list": ["7", "7"],
        "details": {"samples": [{"line": 4, "id": "7", "value": "7"}, {"line": 6, "id": "7", "value": "7"}]},
    }


def test_samples_and_failures_are_bounded_and_counts_are_not(make_frame: MakeFrame) -> None:
    zero: dict[str, str | None] = {"value": "0"}
    word: dict[str, str | None] = {"value": "x"}
    report = check(make_frame([zero] * 1200 + [word] * 20_500))
    failed, doubted = report.failed_rules
    assert (failed.failed, len(failed.samples), doubted.failed, len(doubted.samples)) == (20_500, 20, 1200, 20)
    assert [failure.line for failure in report.failures] == [*range(2, 1002), *range(1202, 21_202)]
    assert [sample.line for sample in doubted.samples] == list(range(2, 22))
    assert report.validation_result is not None
    assert len(report.validation_result.get_failed_validation_results().results[0].result["partial_unexpected_list"]) == 20


def test_each_of_many_bad_rows_is_named_once_for_each_rule(make_frame: MakeFrame) -> None:
    """10 000 bad rows of 100 000: one in ten, with one to three faults each."""
    faults: list[Overrides] = [{"value": "-1"}, {"value": "x", "stage": None}, {"status": None, "addDatetime": "2024", "id": None}]
    columns = [tuple(fault) for fault in faults]
    bad = {row: row // 10 % 3 for row in range(0, 100_000, 10)}
    frame = make_frame([faults[bad[row]] if row in bad else {} for row in range(100_000)])
    gate = Gate(FileProfile.of([deals_table(frame)]))
    failures = gate.check(frame).failures.to_pylist()
    named = [(failure["source_line"], failure["column"]) for failure in failures]
    assert sorted(named) == sorted((row + 2, column) for row, which in bad.items() for column in columns[which])
    report = gate.report()
    assert (report.rows, report.failing, report.passed) == (100_000, 10_000, 90_000)
    counts = {(result.column, result.rule): result.failed for result in report.failed_rules}
    assert counts == {
        ("value", "not negative"): 3334,
        ("value", "decimal"): 3333,
        ("stage", "required"): 3333,
        ("status", "required"): 3333,
        ("addDatetime", "datetime"): 3333,
        ("id", "required"): 3333,
    }


def test_a_file_without_rows_breaks_no_rule(make_frame: MakeFrame, now: datetime) -> None:
    report = check(make_frame([]), now)
    assert (report.rows, report.ok) == (0, True)
    assert Gate(FileProfile.of([]), now).report().rows == 0


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda frame: frame.drop(columns="stage"), "stage missing"),
        (lambda frame: frame.drop(columns="source_line"), "source_line missing"),
        (lambda frame: pd.concat([frame, frame[["id"]]], axis=1), "id missing or repeated"),
        (lambda frame: frame.assign(value=1.5), "value must be text, and is float64"),
        (lambda frame: frame.assign(source_line="two"), "source_line must be line numbers"),
    ],
)
def test_a_frame_of_another_kind_is_an_error(spoil: Callable[[pd.DataFrame], pd.DataFrame], complaint: str, make_frame: MakeFrame) -> None:
    with pytest.raises(ValueError, match=complaint):
        check(spoil(make_frame([{}])))


def test_text_of_any_pandas_kind_is_read(make_frame: MakeFrame) -> None:
    """Only the line numbers need be integers."""
    frame = make_frame([{}, {"value": "x"}])
    for kind in ("object", "str", pd.ArrowDtype(pa.large_string())):
        converted = frame.astype(dict.fromkeys(frame.columns.drop("source_line"), kind))
        assert [failure.rule for failure in check(converted).failures] == ["decimal"]


def test_a_broken_metric_is_an_error_not_bad_data(make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowChecks, "_long_overdue", lambda _: 1 / 0)
    with pytest.raises(GateError, match="division by zero"):
        check(make_frame([{}]))


def test_the_suite_works_without_the_gate(make_frame: MakeFrame) -> None:
    """Anyone's own Great Expectations project can hold a deals frame to it."""
    deals = suite()
    assert isinstance(deals, ExpectationSuite)
    assert len(deals.expectations) == len(RULES)
    assert {expectation.severity for expectation in deals.expectations} == {severity.value for severity in Severity}
    asset = gx.get_context(mode="ephemeral").data_sources.add_pandas("mine").add_dataframe_asset("deals")
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": make_frame(ROWS)})
    failed = [result for result in batch.validate(deals).results if not result.success]
    assert len(failed) == 7


def test_the_gate_holds_on_to_no_frame(make_frame: MakeFrame, now: datetime) -> None:
    """Memory must not grow with the batches, nor keep the last."""
    frame = make_frame(ROWS)
    gate = Gate(FileProfile.of([deals_table(frame)]), now)
    gate.check(frame)
    values = weakref.ref(frame)
    memory = pa.total_allocated_bytes()
    del frame
    gc.collect()
    assert values() is None
    assert pa.total_allocated_bytes() < memory


def test_no_frame_is_hashed(make_frame: MakeFrame) -> None:
    """The one switch is a constant inside Great Expectations; this notices when it moves."""
    assert hasattr(pandas_execution_engine, "HASH_THRESHOLD")
    check(make_frame([{}]))
    assert pandas_execution_engine.HASH_THRESHOLD < 0


def test_great_expectations_is_imported_on_first_use() -> None:
    """It takes seconds."""
    seen = "import sys, expectations; print([name for name in ('great_expectations', 'pandas', 'prefect') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.strip() == "[]"

"""One file's run through Great Expectations: a validation for each batch, one result at the end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import great_expectations as gx
import pandas as pd
from great_expectations.core import ExpectationSuite, ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.execution_engine import pandas_execution_engine
from great_expectations.validator.v1_validator import Validator

from expectations.check_report import GateError
from expectations.gx.extra_suite import ExtraSuite
from expectations.gx.suite import ATTRIBUTE, SUITE_NAME, build_suite, merge
from expectations.row_checks import Findings, RowChecks
from expectations.rules import Rule

pandas_execution_engine.HASH_THRESHOLD = -1  # every cell of a frame is hashed otherwise, for a fingerprint that nobody reads

logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.WARNING)  # it announces each temporary folder

Results = list[ExpectationValidationResult]


class Session:
    """Holds the context and the results, never the frames.

    Args:
        rules: one expectation is made of each.
        extra_suite: see :class:`expectations.gx.extra_suite.ExtraSuite`.
    """

    def __init__(self, rules: Sequence[Rule], extra_suite: Path | None = None) -> None:
        self._context = gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
        self._source = self._context.data_sources.add_pandas("deals")
        self._batch = self._source.add_dataframe_asset("deals").add_batch_definition_whole_dataframe("batch")
        self._suite = build_suite(rules)
        self._extra = ExtraSuite(extra_suite) if extra_suite else None
        self._merged: Results = []
        self._merged_extra: Results = []

    @property
    def extra_rules(self) -> tuple[Rule, ...]:
        """The rules that the user's own suite adds."""
        return self._extra.rules if self._extra else ()

    def validate(self, frame: pd.DataFrame, row_checks: RowChecks) -> Findings:
        """Validate one batch and return the rows that break each rule."""
        carrier = frame.copy(deep=False)
        carrier.attrs = {ATTRIBUTE: row_checks}
        results = self._run(carrier, self._suite)
        self._merged = _merged(self._merged, results)
        findings = {key: row_checks.findings[key] for key in map(_key, results)}
        if self._extra:
            extra = self._run(self._extra.typed(row_checks.table), self._extra.per_row, {"result_format": "COMPLETE"})
            findings = findings | self._extra.findings(extra)
            self._merged_extra = _merged(self._merged_extra, extra)
            self._extra.keep(row_checks.table)
        return findings

    def conclude(self) -> tuple[dict[tuple[str, str], int], ExpectationSuiteValidationResult]:
        """Judge what only the whole file can show; return its failed rules with counts, and the result over all batches."""
        whole: Results = []
        if self._extra and self._extra.whole_file.expectations:
            whole = self._run(self._extra.kept(), self._extra.whole_file)
        failed = self._extra.failed(whole) if self._extra else {}
        return failed, _suite_result([*self._merged, *self._merged_extra, *whole])

    def _run(self, frame: pd.DataFrame, suite: ExpectationSuite, result_format: dict[str, str] | None = None) -> Results:
        """As ``Batch.validate`` does, which would load the frame twice."""
        validator = Validator(self._batch, result_format or {"result_format": "BASIC"}, {"dataframe": frame})
        outcome = validator.validate_expectation_suite(suite)
        batches = self._source.get_execution_engine().batch_manager
        batches.batch_data_cache.clear()  # with the next line: else the last frame stays
        batches.reset_batch_cache()
        for result in outcome.results:
            _raise_if_broken(result)
        return list(outcome.results)


def _key(result: ExpectationValidationResult) -> tuple[str, str]:
    kwargs = result.expectation_config.kwargs if result.expectation_config else {}
    return kwargs["column"], kwargs["rule"]


def _raise_if_broken(result: ExpectationValidationResult) -> None:
    information = result.exception_info
    details = [information] if "raised_exception" in information else list(information.values())
    for detail in details:
        if detail["raised_exception"]:
            config = result.expectation_config
            what = f"{config.type} {config.kwargs}" if config else "An expectation"
            raise GateError(f"{what} could not be evaluated: {detail['exception_message']}")


def _merged(so_far: Results, results: Results) -> Results:
    return [merge([before, after]) for before, after in zip(so_far, results, strict=True)] if so_far else results


def _suite_result(results: Results) -> ExpectationSuiteValidationResult:
    good = sum(bool(result.success) for result in results)
    return ExpectationSuiteValidationResult(
        success=good == len(results),
        results=results,
        suite_name=SUITE_NAME,
        statistics={
            "evaluated_expectations": len(results),
            "successful_expectations": good,
            "unsuccessful_expectations": len(results) - good,
            "success_percent": 100 * good / len(results) if results else None,
        },
        meta={
            "great_expectations_version": gx.__version__,
            "run_id": {"run_name": "dealcast", "run_time": datetime.now(UTC).isoformat()},
            "active_batch_definition": {"data_asset_name": "deals"},
        },
    )

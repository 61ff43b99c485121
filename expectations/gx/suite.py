"""The genuine Great Expectations suite: one metric, one expectation class, one expectation for each rule.

Stock expectations filter the whole frame by each column's nulls, several times over. Here one table metric examines the frame
once, vectorised, and every expectation reads its rule's rows from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, NamedTuple

import pandas as pd
import pyarrow as pa
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
from great_expectations.expectations.metadata_types import FailureSeverity
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
from great_expectations.render.components import CollapseContent, LegacyDiagnosticRendererType, RenderedTableContent
from great_expectations.render.renderer.renderer import renderer
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validator import ValidationDependencies

from expectations.check_report import SAMPLES
from expectations.deals_schema import SOURCE_LINE
from expectations.formats import one_chunk
from expectations.row_checks import Positions, RowChecks
from expectations.rules import RULES, Rule

METRIC = "table.deals.row_checks"
SUITE_NAME = "deals"
ATTRIBUTE = "dealcast_examination"
"""The attribute under which a frame carries its row_checks; a frame without one is examined as a whole file of its own."""


Samples = list[dict[str, Any]]
"""Rows as line, id and value."""


class Examined(NamedTuple):
    """The metric's value: rows in all, and for each rule how many break it and the first of them. It holds on to no frame."""

    rows: int
    broken: dict[tuple[str, str], tuple[int, Samples]]


class DealsExamination(TableMetricProvider):
    """The one metric: which rows of the frame break which rule."""

    metric_name = METRIC
    value_keys = ()

    @metric_value(engine=PandasExecutionEngine)
    def _pandas(
        cls,  # noqa: N805  # the decorator binds the class
        execution_engine: PandasExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],  # noqa: ARG002  # great_expectations calls by these names
        metrics: dict[str, Any],  # noqa: ARG002  # great_expectations calls by these names
        runtime_configuration: dict[str, Any],  # noqa: ARG002  # great_expectations calls by these names
    ) -> Examined:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        return examined(frame)


def examined(frame: pd.DataFrame) -> Examined:
    """The row_checks that the frame carries, or a new one, summed up."""
    row_checks = frame.attrs.get(ATTRIBUTE) or RowChecks.of(frame)
    table, findings = row_checks.table, row_checks.findings
    return Examined(table.num_rows, {key: (len(found), _samples(table, key[0], found)) for key, found in findings.items()})


def _samples(table: pa.Table, column: str, positions: Positions) -> Samples:
    if not len(positions):
        return []
    first = pa.array(positions[:SAMPLES])
    cells = {"line": table[SOURCE_LINE], "id": table["id"], "value": table[column]}
    samples: Samples = pa.table({name: one_chunk(values).take(first) for name, values in cells.items()}).to_pylist()
    return samples


class ExpectDealsToKeepRule(BatchExpectation):
    """Expect every row of a deals frame to keep one named rule of one column."""

    column: str
    rule: str

    metric_dependencies: ClassVar[tuple[str, ...]] = (METRIC,)
    success_keys: ClassVar[tuple[str, ...]] = ("column", "rule")
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)
    args_keys: ClassVar[tuple[str, ...]] = ("column", "rule")

    def get_validation_dependencies(
        self,
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002  # great_expectations calls by these names
        runtime_configuration: dict[str, Any] | None = None,
    ) -> ValidationDependencies:
        """The one metric; asking the registry what it depends on takes longer than the metric itself on a small batch."""
        metric = MetricConfiguration(METRIC, metric_domain_kwargs={"batch_id": self.batch_id}, metric_value_kwargs={})
        result_format = (runtime_configuration or {}).get("result_format") or {"result_format": "BASIC"}
        return ValidationDependencies(metric_configurations={METRIC: metric}, result_format=result_format)

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG002  # great_expectations calls by these names
        execution_engine: ExecutionEngine[Any] | None = None,  # noqa: ARG002  # great_expectations calls by these names
    ) -> dict[str, Any]:
        examined: Examined = metrics[METRIC]
        failed, samples = examined.broken[self.column, self.rule]
        return {
            "success": not failed,
            "result": {
                "element_count": examined.rows,
                "unexpected_count": failed,
                "unexpected_percent": 100 * failed / examined.rows if failed else 0.0,
                "partial_unexpected_list": [sample["value"] for sample in samples],
                "details": {"samples": samples},
            },
        }

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls,
        configuration: ExpectationConfiguration | None = None,  # noqa: ARG003  # great_expectations calls by these names
        result: ExpectationValidationResult | None = None,
        runtime_configuration: dict[str, Any] | None = None,  # noqa: ARG003  # great_expectations calls by these names
    ) -> list[RenderedTableContent | CollapseContent] | None:
        """Data Docs' table of the first failing rows, by line and id."""
        samples = result.result["details"]["samples"] if result else []
        if not samples:
            return None
        rows = [[str(cell) if cell is not None else "(empty)" for cell in sample.values()] for sample in samples]
        styling = {"body": {"classes": ["table-bordered", "table-sm", "mt-3"]}}
        return [RenderedTableContent(content_block_type="table", header_row=["Line", "Id", "Value"], table=rows, styling=styling)]


def expectation(rule: Rule) -> ExpectDealsToKeepRule:
    """The expectation that holds one rule."""
    return ExpectDealsToKeepRule(
        column=rule.column,
        rule=rule.name,
        description=f"{rule.column} {rule.text}",
        severity=FailureSeverity(rule.severity.value),
        meta={"standing": rule.standing.value} if rule.standing else None,
    )


def build_suite(rules: Iterable[Rule] = RULES) -> ExpectationSuite:
    """A suite of one expectation for each rule."""
    return ExpectationSuite(name=SUITE_NAME, expectations=[expectation(rule) for rule in rules])


def merge(results: list[ExpectationValidationResult]) -> ExpectationValidationResult:
    """One expectation's results over several batches as one."""
    parts = [result.result for result in results]
    rows, failed = (sum(part.get(key, 0) for part in parts) for key in ("element_count", "unexpected_count"))
    values = [value for part in parts for value in part.get("partial_unexpected_list", ())][:SAMPLES]
    samples = [sample for part in parts for sample in part.get("details", {}).get("samples", ())][:SAMPLES]
    return ExpectationValidationResult(
        success=all(result.success for result in results),
        expectation_config=results[0].expectation_config,
        result={
            "element_count": rows,
            "unexpected_count": failed,
            "unexpected_percent": 100 * failed / rows if rows else 0.0,
            "partial_unexpected_list": values,
            "details": {"samples": samples},
        },
    )

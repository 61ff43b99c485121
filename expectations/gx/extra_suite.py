"""A user's own expectations, held beside the schema's: stock Great Expectations over typed columns.

An expectation that judges row by row quarantines rows; any other (a mean, a row count, uniqueness, one with ``mostly``) judges
the whole file at the end, for which the file's deals are kept in memory.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.core import ExpectationSuite, ExpectationValidationResult
from great_expectations.exceptions.exceptions import GreatExpectationsError
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

from expectations.deals_schema import COLUMNS, Kind, Severity
from expectations.formats import PATTERNS, amounts, matches
from expectations.row_checks import Findings
from expectations.rules import Rule

_MAPS = (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation)
_BETWEEN_ROWS = {
    "expect_column_values_to_be_unique",
    "expect_compound_columns_to_be_unique",
    "expect_column_values_to_be_increasing",
    "expect_column_values_to_be_decreasing",
    "expect_column_values_to_be_of_type",
    "expect_column_values_to_be_in_type_list",
}
"""Map expectations whose word on a row depends on other rows, or is about the column."""

_NUMBER = "dealcast_number"
_EMPTY = pa.table({column.name: pa.array([], pa.string()) for column in COLUMNS})
_TYPES = {Kind.DECIMAL: "float64", Kind.INTEGER: "float64", Kind.DATETIME: "datetime64[us]"}


class ExtraSuite:
    """The expectations of a JSON file in Great Expectations' own suite format.

    Raises:
        ValueError: the file cannot be read as a suite.
    """

    def __init__(self, path: Path) -> None:
        expectations = _load(path)
        self.rules = tuple(_unique(_rule(expectation, _is_per_row(expectation)) for expectation in expectations))
        for number, expectation in enumerate(expectations):  # results come in another order
            expectation.meta = {**(expectation.meta or {}), _NUMBER: number}
        self.per_row = ExpectationSuite(name="extra per row", expectations=[e for e in expectations if _is_per_row(e)])
        self.whole_file = ExpectationSuite(name="extra whole file", expectations=[e for e in expectations if not _is_per_row(e)])
        self._kept = [_EMPTY]

    def keep(self, table: pa.Table) -> None:
        """Keep a batch for the end, if anything is judged then."""
        if self.whole_file.expectations:
            self._kept.append(table.select(_EMPTY.column_names))

    def kept(self) -> pd.DataFrame:
        """All batches as one typed frame."""
        return self.typed(pa.concat_tables(self._kept))

    @staticmethod
    def typed(table: pa.Table) -> pd.DataFrame:
        """Numbers as float64, datetimes as datetime64, booleans and text as objects; what is not of its kind is null."""
        return pd.DataFrame({column.name: _typed(table[column.name], column.kind) for column in COLUMNS})

    def findings(self, results: Sequence[ExpectationValidationResult]) -> Findings:
        """The rows that each row-by-row expectation found, ascending."""
        return {self._rule(result).key: np.asarray(result.result.get("unexpected_index_list") or (), dtype=np.int64) for result in results}

    def failed(self, results: Sequence[ExpectationValidationResult]) -> dict[tuple[str, str], int]:
        """The whole-file rules that failed, with the number of rows where the expectation counts them, else 1."""
        return {self._rule(result).key: result.result.get("unexpected_count") or 1 for result in results if not result.success}

    def _rule(self, result: ExpectationValidationResult) -> Rule:
        meta = result.expectation_config.meta if result.expectation_config else None
        number: int = (meta or {})[_NUMBER]
        return self.rules[number]


def _load(path: Path) -> list[Expectation]:
    try:
        configurations = json.loads(path.read_text(encoding="utf-8"))["expectations"]
        for configuration in configurations:
            if isinstance(configuration.get("kwargs", {}).get("row_condition"), str):
                raise ValueError(  # noqa: TRY004, TRY301 - told with the others below, as what a suite cannot be
                    f"the row_condition of {configuration.get('type')} is text, which pandas would run as code; "
                    "write it in Great Expectations' structured form"
                )
        return [ExpectationConfiguration(**configuration).to_domain_obj() for configuration in configurations]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GreatExpectationsError) as error:
        raise ValueError(
            f"{path} is not a suite of expectations: {error}. It must be JSON as Great Expectations writes it:"
            ' {"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}.'
        ) from error


def _is_per_row(expectation: Expectation) -> bool:
    return (
        isinstance(expectation, _MAPS)
        and expectation.expectation_type not in _BETWEEN_ROWS
        and getattr(expectation, "mostly", 1) in {1, None}
    )


def _rule(expectation: Expectation, per_row: bool) -> Rule:
    kwargs = expectation.configuration.kwargs
    column = kwargs.get("column") or kwargs.get("column_A") or next(iter(kwargs.get("column_list") or ()), "")
    text = expectation.description or ", ".join(f"{key} {value}" for key, value in kwargs.items())
    severity = Severity.CRITICAL if expectation.severity == "critical" else Severity.WARNING
    return Rule(column if per_row else "", expectation.expectation_type, text, severity)


def _unique(rules: Iterable[Rule]) -> Iterable[Rule]:
    """The same expectation may stand twice with other arguments."""
    seen: dict[tuple[str, str], int] = {}
    for rule in rules:
        seen[rule.key] = count = seen.get(rule.key, 0) + 1
        yield rule if count == 1 else Rule(rule.column, f"{rule.name} {count}", rule.text, rule.severity)


def _typed(values: pa.ChunkedArray, kind: Kind) -> pd.Series[Any]:
    if kind is Kind.DATETIME:
        values = pc.if_else(matches(values, PATTERNS[kind]), values, None).cast(pa.timestamp("us"))
    elif kind in {Kind.DECIMAL, Kind.INTEGER}:
        values = amounts(values)
    elif kind is Kind.BOOLEAN:
        values = pc.if_else(pc.is_in(values, value_set=pa.array(["true", "false"])), values, None).cast(pa.bool_())
    return pd.Series(values.to_numpy(), dtype=_TYPES.get(kind, "object"))

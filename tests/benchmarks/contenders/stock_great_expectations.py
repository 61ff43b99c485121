"""The rules as Great Expectations' own expectations on pandas' own text columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import great_expectations as gx
import pandas as pd
import pyarrow as pa
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.row_conditions import Column as Cells

from expectations import rules
from expectations.deals_schema import COLUMNS, NULL_WORDS, Column, Kind
from expectations.formats import PATTERNS

_CLOSED = {"row_condition": Cells("status") != "open"}

_FAR_AHEAD = "^(?:20(?:4[6-9]|[5-9])|2[1-9]|[3-9])"
"""Twenty years after the benchmark's clock."""


def prepare(table: pa.Table) -> Callable[[], int]:
    """Great Expectations' own expectations on pandas' own text columns; only what refuses, as that takes long enough."""
    frame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=float("nan"))}.get)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("stock").add_dataframe_asset("deals")
    batches = asset.add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name="stock", expectations=[stock for column in COLUMNS for stock in _stock(column)])

    def judge() -> int:
        results = batches.get_batch({"dataframe": frame}).validate(suite, result_format="COMPLETE").results
        rows: set[int] = set()
        for result in results:
            rows.update(result.result.get("unexpected_index_list") or ())
        return len(rows)

    return judge


def _stock(column: Column) -> Iterator[dict[str, Any]]:
    pair = {"column_A": column.name, "column_B": column.not_before, "or_equal": True}
    stock: dict[str, tuple[str, dict[str, Any]]] = {
        rules.REQUIRED: ("expect_column_values_to_not_be_null", {}),
        rules.CLOSED_NEEDS_DATE: ("expect_column_values_to_not_be_null", _CLOSED),
        rules.UNIQUE: ("expect_column_values_to_be_unique", {}),
        rules.SINCE_1970: ("expect_column_values_to_not_match_regex", {"regex": "^(?:0|1[0-8]|19[0-6])"}),
        rules.NOT_FAR_AHEAD: ("expect_column_values_to_not_match_regex", {"regex": _FAR_AHEAD}),
        rules.NO_NULL_WORD: ("expect_column_values_to_not_be_in_set", {"value_set": sorted(NULL_WORDS)}),
        rules.NOT_NEGATIVE: ("expect_column_values_to_not_match_regex", {"regex": "^-"}),
        rules.NO_NUL: ("expect_column_values_to_not_match_regex", {"regex": "\0"}),
        rules.ONE_OF: ("expect_column_values_to_be_in_set", {"value_set": list(column.choices)}),
        Kind.BOOLEAN.value: ("expect_column_values_to_be_in_set", {"value_set": ["true", "false"]}),
        **{kind.value: ("expect_column_values_to_match_regex", {"regex": pattern}) for kind, pattern in PATTERNS.items()},
    }
    for rule in rules.column_rules(column):
        if rule.name in stock:
            name, arguments = stock[rule.name]
            yield {"type": name, "kwargs": {"column": column.name, **arguments}}
        elif column.not_before and rule.name == rules.not_before(column.not_before):
            yield {"type": "expect_column_pair_values_a_to_be_greater_than_b", "kwargs": pair}

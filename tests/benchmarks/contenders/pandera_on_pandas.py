"""The rules as Pandera checks on pandas' own text columns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pap
import pyarrow as pa

from expectations import rules
from expectations.deals_schema import COLUMNS, EPOCH, NULL_WORDS, Column, Kind, Null
from expectations.file_profile import DEVIATIONS, FACTOR
from expectations.formats import PATTERNS
from tests.benchmarks.deals import CLOCK, FAR_AHEAD, OVERDUE


def prepare(table: pa.Table) -> Callable[[], int]:
    """Pandera's checks on pandas' own text columns."""
    frame = table.to_pandas(types_mapper={pa.string(): pd.StringDtype(na_value=float("nan"))}.get)
    columns = {
        column.name: pap.Column(checks=_pandera_checks(column), nullable=column.null is not Null.FORBIDDEN, unique=column.unique)
        for column in COLUMNS
    }
    schema = pap.DataFrameSchema(columns, checks=[pap.Check(check, ignore_na=False) for check in _PANDERA_ACROSS] + _pandera_warnings())

    def judge() -> int:
        try:
            with warnings.catch_warnings(action="ignore"):
                schema.validate(frame, lazy=True)
        except pap.errors.SchemaErrors as errors:
            return int(errors.failure_cases["index"].nunique())
        return 0

    return judge


def _pandera_checks(column: Column) -> list[pap.Check]:
    checks = {
        rules.SINCE_1970: pap.Check.ge(EPOCH),
        rules.NOT_FAR_AHEAD: pap.Check.le(FAR_AHEAD),
        rules.NO_NULL_WORD: pap.Check.notin(sorted(NULL_WORDS)),
        rules.NOT_NEGATIVE: pap.Check(lambda cells: ~cells.str.startswith("-")),
        rules.NO_NUL: pap.Check(lambda cells: ~cells.str.contains("\0", regex=False)),
        rules.ONE_OF: pap.Check.isin(column.choices),
        Kind.BOOLEAN.value: pap.Check.isin(["true", "false"]),
        **{kind.value: pap.Check.str_matches(pattern) for kind, pattern in PATTERNS.items()},
    }
    return [checks[rule.name] for rule in rules.column_rules(column) if rule.name in checks]


_PANDERA_ACROSS: list[Callable[[pd.DataFrame], Any]] = [
    lambda deals: ~(deals["addDatetime"] < deals["creationDatetime"]),
    lambda deals: deals["closedDatetime"].notna() | (deals["status"] == "open"),
]


def _pandera_warnings() -> list[pap.Check]:
    def no_outlier(deals: pd.DataFrame) -> Any:
        log = np.log(pd.to_numeric(deals["value"], errors="coerce").where(lambda amount: amount > 0))
        stages = log.groupby(deals["stage"])
        return ~((log - stages.transform("mean")).abs() > (DEVIATIONS * stages.transform("std")).clip(lower=math.log(FACTOR)))

    doubts: list[Callable[[pd.DataFrame], Any]] = [
        lambda deals: ~(deals["closedDatetime"] < deals["creationDatetime"]),
        lambda deals: ~((deals["closedDatetime"] > CLOCK.isoformat()) & deals["status"].isin(["closed_won", "closed_lost"])),
        lambda deals: ~((deals["expectedClosureDatetime"] < OVERDUE.isoformat()) & (deals["status"] == "open")),
        lambda deals: ~(deals["currentStageStartDatetime"] < deals["creationDatetime"]),
        lambda deals: ~((pd.to_numeric(deals["value"], errors="coerce") == 0) & (deals["status"] == "closed_won")),
        no_outlier,
    ]
    return [pap.Check(doubt, ignore_na=False, raise_warning=True) for doubt in doubts]

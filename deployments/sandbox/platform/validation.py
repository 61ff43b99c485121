"""Judging an uploaded CSV: Pandera's verdict, its own lazy report in the documented shape, and the failing cells.

A file is judged in batches, so that its size does not matter; ids are compared across the whole file. The report is
Pandera's own (``SchemaErrors.message``), made from a bounded sample of the failing rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from deployments.sandbox.platform.csv_reader import UnreadableCsv, read_batches
from deployments.sandbox.platform.deals_rules import NAME, UNIQUE, Model, deals_model

SAMPLE = 100
"""Failing rows that the report takes from each check of each column."""

FAILURES = 200_000
"""Failing cells after which reading stops: the file is refused whole anyway (S)."""

UNIQUENESS = "field_uniqueness"

_TEXT = pd.ArrowDtype(pa.string())

Report = dict[str, dict[str, list[dict[str, str]]]]


class Failure(NamedTuple):
    """A failing cell. ``row`` counts data rows from 0, ``check`` is Pandera's name for the rule.

    A failure of the whole file, such as a missing column, has ``row`` -1.
    """

    row: int
    column: str
    check: str


@dataclass(frozen=True, slots=True)
class Validation:
    """The verdict on a file: ``message`` and ``errors`` are null when it passes, as in an UploadRequest (S, D).

    ``errors`` alone is null when the file could not be read at all. ``rows`` counts the rows read, which are all of
    the file's unless :data:`FAILURES` was exceeded.
    """

    rows: int
    message: str | None = None
    errors: list[Report] | None = None
    failures: tuple[Failure, ...] = ()

    @property
    def passed(self) -> bool:
        """True where the platform would take the file."""
        return self.message is None


@dataclass(slots=True)
class _Findings:
    model: Model
    rows: int = 0
    failures: list[Failure] = field(default_factory=list)
    sampled: dict[tuple[str, str], int] = field(default_factory=dict)
    sample: list[pd.DataFrame] = field(default_factory=list)
    ids: list[pa.ChunkedArray] = field(default_factory=list)


def validate(csv: bytes | Path, separator: str = ",", *, strict_datetimes: bool = False) -> Validation:
    """Judge a deals CSV, given as its bytes or as a file; ``strict_datetimes`` refuses fractions and offsets."""
    findings = _Findings(deals_model(strict_datetimes=strict_datetimes))
    try:
        for table in read_batches(csv, separator):
            _judge(table, findings)
            if len(findings.failures) > FAILURES:
                break
    except UnreadableCsv as error:
        return Validation(findings.rows, message=str(error))
    reports = [*_reports(findings), *_judge_ids(findings)]
    if not reports:
        return Validation(findings.rows)
    failures = tuple(sorted(set(findings.failures)))
    return Validation(findings.rows, "Validation failed", [_merge(reports)], failures)


def _judge(table: pa.Table, findings: _Findings) -> None:
    deals = table.to_pandas(types_mapper={pa.string(): _TEXT}.get)
    deals.index = pd.RangeIndex(findings.rows, findings.rows + len(deals))
    failures = [failure for errors in _errors(deals, findings.model) for failure in _failing_cells(errors)]
    findings.rows += len(deals)
    if "id" in deals:
        findings.ids.append(table["id"])
    if failures:
        findings.failures += failures
        findings.sample.append(deals.loc[_sample_rows(failures, findings)] if len(deals) else deals)


def _errors(deals: pd.DataFrame, model: Model) -> Iterator[SchemaErrors]:
    yield from _refusal(model.cells, deals)
    for columns, check in model.across.items():
        if set(columns) <= set(deals.columns):
            yield from _refusal(pandera.DataFrameSchema(name=NAME, checks=check), deals[list(columns)])


def _refusal(schema: pandera.DataFrameSchema, deals: pd.DataFrame) -> Iterator[SchemaErrors]:
    try:
        schema.validate(deals, lazy=True)
    except SchemaErrors as errors:
        yield errors


def _failing_cells(errors: SchemaErrors) -> Iterator[Failure]:
    cases = errors.failure_cases
    for column, check, case, row in zip(cases["column"], cases["check"], cases["failure_case"], cases["index"], strict=True):
        if check == "column_in_dataframe":
            yield Failure(-1, str(case), check)
        else:
            yield Failure(int(row), _BLAMED.get(check, column), check)


_BLAMED = {str(check.name): columns[-1] for columns, check in deals_model().across.items()}


def _sample_rows(failures: list[Failure], findings: _Findings) -> list[int]:
    rows = set()
    for row, column, check in failures:
        taken = findings.sampled.get((column, check), 0)
        if row >= 0 and taken < SAMPLE:
            findings.sampled[column, check] = taken + 1
            rows.add(row)
    return sorted(rows)


def _reports(findings: _Findings) -> Iterator[Report]:
    if findings.sample:
        for errors in _errors(_as_objects(pd.concat(findings.sample)), findings.model):
            yield errors.message


def _as_objects(sample: pd.DataFrame) -> pd.DataFrame:
    """The cells as the documented report shows them: `NaN` for an empty one, `dtype: object` for a column of text."""
    return sample.astype(object).where(sample.notna(), math.nan)


def _judge_ids(findings: _Findings) -> Iterator[Report]:
    ids = pa.chunked_array([chunk for column in findings.ids for chunk in column.chunks], pa.string())
    if pc.count_distinct(ids).as_py() == len(ids) - ids.null_count:
        return
    series = pd.Series(ids, dtype=_TEXT)
    repeated = series[series.duplicated(keep=False) & series.notna()]
    findings.failures += [Failure(int(row), "id", UNIQUENESS) for row in repeated.index[:FAILURES]]
    for errors in _refusal(UNIQUE, _as_objects(repeated[repeated.isin(repeated.unique()[:SAMPLE])].to_frame("id"))):
        yield errors.message


def _merge(reports: list[Report]) -> Report:
    merged: Report = {}
    for report in reports:
        for where, kinds in report.items():
            for kind, entries in kinds.items():
                merged.setdefault(where, {}).setdefault(kind, []).extend(dict(entry) for entry in entries)
    return merged

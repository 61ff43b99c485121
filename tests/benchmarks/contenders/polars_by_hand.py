"""The rules in polars, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import polars as pl
import pyarrow as pa

from expectations import rules
from expectations.deals_schema import COLUMNS, EPOCH, NULL_WORDS, SOURCE_LINE, Column, Kind
from expectations.file_profile import DEVIATIONS, FACTOR
from expectations.formats import PATTERNS
from tests.benchmarks.deals import CLOCK, FAR_AHEAD, OVERDUE


def prepare(table: pa.Table) -> Callable[[], int]:
    """By hand, as someone would who knows polars: one expression a rule, all at once, then the cells that break each."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    refusals = [rule for column in COLUMNS for rule in _polars_rules(column)]
    rules = refusals + _polars_warnings()

    def judge() -> int:
        named = [rule.fill_null(value=False).alias(str(number)) for number, (_, rule) in enumerate(rules)]
        broken = frame.lazy().select(named).collect()
        rows = [column.arg_true() for column in broken.iter_columns()]
        cells = [
            frame.select(SOURCE_LINE, "id", value=name)[found].with_columns(column=pl.lit(name), rule=number)
            for number, ((name, _), found) in enumerate(zip(rules, rows, strict=True))
            if len(found)
        ]
        pl.concat(cells).sort(SOURCE_LINE)
        return int(pl.concat(rows[: len(refusals)]).n_unique())

    return judge


def _polars_rules(column: Column) -> Iterator[tuple[str, pl.Expr]]:
    cell = pl.col(column.name)
    broken = {
        column.kind.value: ~cell.str.contains(PATTERNS.get(column.kind, "")),
        rules.REQUIRED: cell.is_null(),
        rules.NO_NULL_WORD: cell.is_in(sorted(NULL_WORDS)),
        rules.CLOSED_NEEDS_DATE: cell.is_null() & pl.col("status").ne_missing("open"),
        rules.UNIQUE: cell.is_duplicated() & cell.is_not_null(),
        rules.SINCE_1970: cell < EPOCH,
        rules.NOT_FAR_AHEAD: cell > FAR_AHEAD,
        rules.NOT_NEGATIVE: cell.str.starts_with("-"),
        rules.NO_NUL: cell.str.contains("\0", literal=True),
        rules.ONE_OF: ~cell.is_in(list(column.choices)),
        rules.not_before("creationDatetime"): cell < pl.col("creationDatetime"),
        Kind.BOOLEAN.value: ~cell.is_in(["true", "false"]),
    }
    return ((column.name, broken[rule.name]) for rule in rules.column_rules(column) if rule.name != rules.PLAIN)  # refused by its kind


def _polars_warnings() -> list[tuple[str, pl.Expr]]:
    created, closed, status = pl.col("creationDatetime"), pl.col("closedDatetime"), pl.col("status")
    amount = pl.col("value").cast(pl.Float64, strict=False)
    log = pl.when(amount > 0).then(amount.log())
    distance = (log - log.mean().over("stage")).abs()
    return [
        ("closedDatetime", closed < created),
        ("closedDatetime", (closed > CLOCK.isoformat()) & status.is_in(["closed_won", "closed_lost"])),
        ("expectedClosureDatetime", (pl.col("expectedClosureDatetime") < OVERDUE.isoformat()) & status.eq("open")),
        ("currentStageStartDatetime", pl.col("currentStageStartDatetime") < created),
        ("value", (amount == 0) & status.eq("closed_won")),
        ("value", distance > pl.max_horizontal(DEVIATIONS * log.std(ddof=0).over("stage"), math.log(FACTOR))),
    ]

"""Whether a deal is won, lost or open: flags and status columns first, stage names last, as the dialect says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from expectations.schema import STATUSES
from flows.crm.bound_dialect import Bound
from flows.crm.dialect import StatusRule
from flows.crm.values.cells import by_value

_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Status:
    """The status of each row, which rows are open, and how many rows each rule told."""

    column: pa.Array
    is_open: pa.Array
    told: Counter[str]


def tell_status(bound: Bound, raw: Callable[[str], pa.Array], flag: Callable[[str], pa.Array], rows: int) -> Status:
    """The status by the first rule that decides; a row that none decides keeps the text of the status column, so the gate names it."""
    column, told = pa.nulls(rows, pa.string()), Counter[str]()
    for rule in bound.status_rules:
        for label, decided in _decisions(rule, bound, raw, flag, rows):
            before = column.null_count
            column = pc.coalesce(column, decided)
            told[label] += before - column.null_count
        if column.null_count == 0:
            break
    column = pc.if_else(pc.equal(column, _UNKNOWN), None, column)
    for rule in bound.status_rules:
        if rule.field and {status for _, status in rule.words} == set(STATUSES):
            column = pc.coalesce(column, raw(rule.field))
    return Status(column, pc.fill_null(pc.equal(column, "open"), False), +told)


def _decisions(
    rule: StatusRule, bound: Bound, raw: Callable[[str], pa.Array], flag: Callable[[str], pa.Array], rows: int
) -> list[tuple[str, pa.Array]]:
    holds = pa.repeat(True, rows)
    for name, wanted in rule.flags:
        holds = pc.and_(holds, pc.fill_null(pc.equal(flag(name), "true" if wanted else "false"), False))
    if rule.verdict:
        headers = ", ".join(bound.header_of(name) for name, _ in rule.flags)
        return [(f"derived:{headers}", _where(holds, pa.repeat(pa.scalar(rule.verdict, pa.string()), rows)))]
    assert rule.field is not None  # noqa: S101 -- the dialect's loader saw to it
    header = bound.header_of(rule.field)
    text = raw(rule.field)
    label = "direct" if rule.words else f"derived:{header}"
    decided = [(label, _where(holds, by_value(text, lambda value: _verdict(rule, value))))]
    if rule.otherwise:
        decided.append(
            (
                f"assumed:{header} names no outcome",
                _where(pc.and_(holds, pc.is_valid(text)), pa.repeat(pa.scalar(rule.otherwise, pa.string()), rows)),
            )
        )
    return decided


def _where(holds: pa.Array, decided: pa.Array) -> pa.Array:
    return pc.if_else(holds, decided, None)


def _verdict(rule: StatusRule, text: str) -> str | None:
    word = text.strip().casefold()
    said = next((status for known, status in rule.words if known == word), None)
    return said or next((status for pattern, status in rule.patterns if re.search(pattern, text)), None)

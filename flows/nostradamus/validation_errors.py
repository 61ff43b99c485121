"""The platform's ``validationErrors``, readable: which column failed which check, in as few lines as it takes."""

from __future__ import annotations

import json
import re
from typing import Any

from expectations.deals_schema import COLUMNS, Column, Kind, Null, Standing
from expectations.disclosure import name_or_shape, without_cells
from flows.errors import printable
from flows.nostradamus import UploadRequest
from flows.nostradamus.models import one_line
from flows.nostradamus.retryable_answers import forms_of

_LINES = 12
_LONGEST = 160
_COLUMNS = {column.name: column for column in COLUMNS}
_BY_CHECK = {
    "datetime_after_epoch": "epoch",
    "greater_than": "zero",
    "greater_than_or_equal_to": "numbers",
    "field_uniqueness": "unique",
    "unique": "unique",
    "column_in_dataframe": "all-columns",
    "addDatetime_not_before_creationDatetime": "added-after-creation",
}
CORRECT = {
    "status-choices": "expectations/deals_schema.py: STATUSES",
    "strict-text": "expectations/formats.py: PATTERNS",
    "datetime-text": "expectations/formats.py: PATTERNS",
    "numbers": "expectations/formats.py: PATTERNS",
    "zero": "expectations/formats.py: ALMOST",
    "epoch": "expectations/deals_schema.py: EPOCH",
    "null-words": "expectations/deals_schema.py: NULL_WORDS",
} | dict.fromkeys(
    ("closed-unless-open", "other-columns", "optional", "required", "required-sibling", "unique", "all-columns", "added-after-creation"),
    "expectations/deals_schema.py: COLUMNS",
)
"""The place where each fact that a validation can show to be wrong is corrected."""

_CASES = re.compile(r"failure[ _]cases?|(?<=\bvalues):|(?<=\bunique):|\n")
"""Pandera lists the failing values, those that stand twice and those that are empty behind these words: people's data, without bound."""


def describe(answer: UploadRequest) -> str:
    """A sentence and a line per failed check; copes with any body, since the wording may change (D).

    Failing values are left out: the text goes to logs and to Prefect. The whole answer is kept in ``rejection.json``.
    """
    lines = [line for report in _reports(answer.validation_errors) for line in _lines_of(report)]
    head = words_of(answer.message)
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... and {len(lines) - _LINES} more"]
    return "\n".join([f"{head}.", *(f"  - {line}" for line in lines)])


def words_of(message: str | None) -> str:
    """The platform's own words, in one line, without what may be a cell's."""
    return one_line(without_cells(message or "no reason given")).rstrip(".")


def columns(answer: UploadRequest) -> list[str]:
    """The columns that the platform names, each once."""
    named = [_column(entry) for report in _reports(answer.validation_errors) for _, entry in _entries_of(report)]
    return list(dict.fromkeys(column for column in named if column))


def fallen(answer: UploadRequest) -> str:
    """The facts of ``tests/conformance/facts.toml`` that a refusal of what the gate passed shows to be wrong, as a paragraph; or empty."""
    entries = [entry for report in _reports(answer.validation_errors) for entry in _entries_of(report)]
    lines = []
    for code, entry in entries:
        column, check = _column(entry), str(entry.get("check") or code)
        fact = _fact(column, check)
        told = f"`{fact}`, to correct in {CORRECT[fact]}" if fact else "no fact that is written down"
        lines.append(f"  - column {column or '(whole file)'}, check {_short(check)}: {told}")
    if not lines:
        return ""
    head = "The gate passed these deals, so the platform does otherwise than dealcast takes it to (tests/conformance/facts.toml):"
    return "\n".join([head, *dict.fromkeys(lines[:_LINES])])


def _fact(name: str | None, check: str) -> str | None:
    """The fact by which the gate judged a column's check, or None."""
    column = _COLUMNS.get(name or "")
    word = check.split("(", maxsplit=1)[0]
    if word == "not_nullable" and column is not None:
        return _null_fact(column)
    if word == "isin":
        return "status-choices" if name == "status" else "strict-text"
    if word == "str_matches":
        return "datetime-text" if column is not None and column.kind is Kind.DATETIME else "strict-text"
    return _BY_CHECK.get(word)


def _null_fact(column: Column) -> str:
    if column.null is Null.WHILE_OPEN:
        return "closed-unless-open"
    if column.null is Null.ALLOWED:
        return "other-columns" if column.standing is Standing.ASSUMED else "optional"
    if column.kind is Kind.STRING and not column.choices:
        return "null-words"  # an empty cell would not have passed
    return "required" if column.standing.is_documented else "required-sibling"


def _reports(errors: Any) -> list[Any]:
    if errors is None:
        return []
    return errors if isinstance(errors, list) else [errors]


def _lines_of(report: Any) -> list[str]:
    if isinstance(report, str):
        return [_short(without_cells(_before_cases(report)))]
    return [_line(code, entry) for code, entry in _entries_of(report)] or [_short(forms_of(report))]


def _entries_of(report: Any) -> list[tuple[str, dict[str, Any]]]:
    """(code, entry) of Pandera's nested report: {"SCHEMA" | "DATA": {code: [entry, ...]}} (D)."""
    groups = [group for group in report.values() if isinstance(group, dict)] if isinstance(report, dict) else []
    return [
        (str(code), entry)
        for group in groups
        for code, found in group.items()
        if isinstance(found, list)
        for entry in found
        if isinstance(entry, dict)
    ]


def _line(code: str, entry: dict[str, Any]) -> str:
    check = str(entry.get("check") or code)
    error = _before_cases(str(entry.get("error") or ""))
    return f"column {_column(entry) or '(whole file)'}: {_short(check)}{': ' + without_cells(_short(error)) if error else ''}"


def _before_cases(error: str) -> str:
    return _CASES.split(error, maxsplit=1)[0].rstrip(" :,")


def _column(entry: dict[str, Any]) -> str | None:
    """The column of an entry; a check of the whole file names the schema in its place."""
    column = entry.get("column")
    return None if column is None or column == entry.get("schema") else name_or_shape(str(column))


def _short(value: Any) -> str:
    text = " ".join(printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."

"""The platform's ``validationErrors``, readable: which column failed which check, in as few lines as it takes."""

from __future__ import annotations

import json
from typing import Any

from flows.nostradamus import UploadRequest

_LINES = 12
_LONGEST = 160
_CASES = "failure cases"
"""Pandera lists the failing values behind this word: they are people's data, and without bound."""


def describe(answer: UploadRequest) -> str:
    """A sentence and a line per failed check; copes with any body, since the wording may change (D).

    Failing values are left out: the text goes to logs and to Prefect. The whole answer is kept in ``rejection.json``.
    """
    lines = [line for report in _reports(answer.validation_errors) for line in _lines_of(report)]
    head = (answer.message or "no reason given").rstrip(".")
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"... and {len(lines) - _LINES} more"]
    return "\n".join([f"{head}.", *(f"  - {line}" for line in lines)])


def columns(answer: UploadRequest) -> list[str]:
    """The columns that the platform names, each once."""
    named = [_column(entry) for report in _reports(answer.validation_errors) for _, entry in _entries_of(report)]
    return list(dict.fromkeys(column for column in named if column))


def _reports(errors: Any) -> list[Any]:
    if errors is None:
        return []
    return errors if isinstance(errors, list) else [errors]


def _lines_of(report: Any) -> list[str]:
    entries = _entries_of(report)
    return [_line(code, entry) for code, entry in entries] if entries else [_short(report)]


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
    error = str(entry.get("error") or "").split(_CASES, 1)[0].rstrip(" :,")
    return f"column {_column(entry) or '(whole file)'}: {_short(check)}{': ' + _short(error) if error else ''}"


def _column(entry: dict[str, Any]) -> str | None:
    """The column of an entry; a check of the whole file names the schema in its place."""
    column = entry.get("column")
    return None if column is None or column == entry.get("schema") else str(column)


def _short(value: Any) -> str:
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."

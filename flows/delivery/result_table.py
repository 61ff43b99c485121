"""A forecast's result as a table of months and revenues, read by what the cells are: the names of its columns are not documented (A)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from flows.errors import ExportUnreadable
from flows.nostradamus import FORECAST_MONTH, FORECAST_REVENUE, ResultFormat
from flows.runtime.staging_area import staging_folder
from flows.settings import load_settings

Months = tuple[tuple[str, float], ...]
"""Predictions as (month ``YYYY-MM-DD``, revenue), in order of month."""

_MONTH = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2])-01)(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]00:?00)?)?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SEPARATORS = ",;\t|"
_DEEPEST = 3
"""Objects around the records that are looked into."""

_BEYOND = "(cells beyond the header)"
"""As a decimal comma makes them, which would leave the wrong number in the column before."""

_LARGEST_REVENUE = 1e15
"""Of a month: no sum or share of such numbers leaves the range of floats."""

_Cell = TypeVar("_Cell")
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a result: its predictions, or why they are not known for sure. Both never."""

    months: Months = ()
    why_not: str = ""


def read_months(content: bytes, form: ResultFormat) -> Reading:
    """Read the predictions of a result in one format.

    The month is the one column whose every value is the first of a month, no two alike; the revenue the one column of numbers beside it.
    Where several could be it, the one with a known name is; where none has one, nothing is read.
    """
    try:
        rows = _READERS[form](content)
    except (ValueError, TypeError, OSError, OverflowError, RecursionError, csv.Error):
        return Reading(why_not=f"its {form} is no table")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not rows or not names:
        return Reading(why_not=f"its {form} has no rows")
    columns = {name: [row.get(name) for row in rows] for name in names}
    month = _one({name: found for name in names if (found := _months(columns[name]))}, FORECAST_MONTH)
    revenue = _one({name: amounts for name in names if (amounts := _numbers(columns[name]))}, FORECAST_REVENUE)
    if month is None or revenue is None or _BEYOND in names:
        return Reading(why_not=f"columns {', '.join(names)}")
    if any(abs(amount) > _LARGEST_REVENUE for amount in revenue):
        return Reading(why_not=f"its {form} has a revenue beyond {_LARGEST_REVENUE:.0e}")
    return Reading(tuple(sorted(zip(month, revenue, strict=True))))


def _one(candidates: dict[str, list[_Cell]], known: Sequence[str]) -> list[_Cell] | None:
    """The one column that it can be, or among several the one whose name is known; None where that leaves it open."""
    named = [cells for name, cells in candidates.items() if _plain(name) in known]
    found = named if len(candidates) > 1 else list(candidates.values())
    return found[0] if len(found) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _months(cells: list[Any]) -> list[str] | None:
    """The cells as ``YYYY-MM-DD``, if each is the first of a month and no two are alike."""
    texts = [cell.isoformat() if isinstance(cell, date) else cell for cell in cells]
    found = [_MONTH.fullmatch(text.strip()) if isinstance(text, str) else None for text in texts]
    months = [match[1] for match in found if match]
    return months if len(set(months)) == len(cells) else None


def _numbers(cells: list[Any]) -> list[float] | None:
    """The cells as numbers, if each is one; an empty cell is none."""
    try:
        numbers = [float(cell) for cell in cells if _is_number(cell)]
    except OverflowError:
        return None
    return numbers if len(numbers) == len(cells) and all(map(math.isfinite, numbers)) else None


def _is_number(cell: Any) -> bool:
    if isinstance(cell, str):
        return _NUMBER.fullmatch(cell.strip()) is not None
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _from_json(content: bytes) -> Rows:
    return next((records for records in _records(json.loads(content), _DEEPEST) if records), [])


def _records(body: Any, deep: int) -> Iterator[Rows]:
    """The lists of objects in a body: it is one (D*), or an object around it."""
    if isinstance(body, list) and all(isinstance(entry, dict) for entry in body):
        yield body
    elif isinstance(body, dict) and deep:
        for value in body.values():
            yield from _records(value, deep - 1)


def _from_csv(content: bytes) -> Rows:
    text = content.decode("utf-8-sig")
    header = text.partition("\n")[0]
    separator = max(_SEPARATORS, key=header.count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restkey=_BEYOND))


def _from_xlsx(content: bytes) -> Rows:
    from flows.crm.files.workbooks import open_sheets  # noqa: PLC0415 - only a finished forecast needs it
    from flows.crm.values.cells import NUMERIC_CELL  # noqa: PLC0415 - as above

    with staging_folder(load_settings().home_folder) as folder:
        copy = folder / "forecast.xlsx"
        copy.write_bytes(content)
        try:
            header, *rest = [cells for _, cells in open_sheets(copy, copy.name)[0].rows()]
        except ExportUnreadable as error:
            raise ValueError(str(error)) from error
    return [dict(zip(header, (cell.removeprefix(NUMERIC_CELL) for cell in row), strict=False)) for row in rest]


_READERS = {"json": _from_json, "csv": _from_csv, "xlsx": _from_xlsx}

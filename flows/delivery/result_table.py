"""A forecast's result as a table of months and revenues, read by what the cells are: the names of its columns are not documented (A)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from expectations.disclosure import name_or_shape
from flows.errors import ExportUnreadable
from flows.nostradamus import FORECAST_MONTH, FORECAST_REVENUE, ResultFormat
from flows.runtime.staging_area import staging_folder
from flows.settings import load_settings

Months = tuple[tuple[str, float], ...]
"""Predictions as (month ``YYYY-MM-DD``, revenue), in order of month."""

_MONTH = re.compile(r"([1-9][0-9]{3}-(?:0[1-9]|1[0-2]))(?:-01(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?)?")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_SEPARATORS = ",;\t|"
_DEEPEST = 3
"""Objects around the records that are looked into."""

_BEYOND = "(cells beyond the header)"
"""As a decimal comma makes them, which would leave the wrong number in the column before."""

_LARGEST_REVENUE = 1e15
"""Of a month: no sum or share of such numbers leaves the range of floats."""

_MOST_CELLS, _MOST_SIGNS = 1_000_000, 16 << 20
"""Of a table, which has a dozen rows where it is a forecast: a small file may claim any number of either."""

_NAMED = 12
"""Columns that a message names."""

_Cell = TypeVar("_Cell")
Table = list[tuple[str, list[Any]]]
"""Columns by name; a name may stand twice."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The content of a result: its predictions, or why they are not known for sure. Both never."""

    months: Months = ()
    why_not: str = ""


def read_months(content: bytes, form: ResultFormat) -> Reading:
    """Read the predictions of a result in one format.

    The month is the one column whose every value is the first of a month, no two alike; the revenue the one column of numbers beside it.
    Where several could be it, the one with a known name is; where none has one, nothing is read. Of several tables one alone may be such.
    """
    try:
        readings = [_read(table, form) for table in _READERS[form](content) if table]
    except (ValueError, TypeError, OSError, OverflowError, RecursionError, csv.Error):
        return Reading(why_not=f"its {form} is no table")
    if not readings:
        return Reading(why_not=f"its {form} has no rows")
    read = [reading for reading in readings if reading.months]
    return Reading(why_not=f"its {form} has several tables of months") if len(read) > 1 else [*read, *readings][0]


def _read(table: Table, form: ResultFormat) -> Reading:
    month = _one([(name, found) for name, cells in table if (found := _months(cells))], FORECAST_MONTH)
    revenue = _one([(name, numbers) for name, cells in table if (numbers := _numbers(cells))], FORECAST_REVENUE)
    names = [name for name, _ in table]
    is_header = not any(_months([name]) or _numbers([name]) for name in names)  # else the first month would be taken for one
    if month is not None and revenue is not None and is_header and _BEYOND not in names:
        if any(abs(amount) > _LARGEST_REVENUE for amount in revenue):
            return Reading(why_not=f"its {form} has a revenue beyond {_LARGEST_REVENUE:.0e}")
        return Reading(tuple(sorted(zip(month, revenue, strict=True))))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return Reading(why_not=f"columns {', '.join(map(name_or_shape, names[:_NAMED]))}{more}")


def _one(candidates: list[tuple[str, list[_Cell]]], known: Sequence[str]) -> list[_Cell] | None:
    """The one column that it can be, or among several the one whose name is known; None where that leaves it open."""
    found = candidates if len(candidates) == 1 else [(name, cells) for name, cells in candidates if _plain(name) in known]
    return found[0][1] if len(found) == 1 else None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _months(cells: list[Any]) -> list[str] | None:
    """The cells as ``YYYY-MM-DD``, if each is the first of a month, or names the month alone, and no two are alike."""
    texts = [cell.isoformat() if isinstance(cell, date) else cell for cell in cells]
    found = [_MONTH.fullmatch(text.strip()) if isinstance(text, str) else None for text in texts]
    months = [f"{match[1]}-01" for match in found if match]
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


def _from_json(content: bytes) -> Iterator[Table]:
    for records in _records(json.loads(content, object_pairs_hook=_object), _DEEPEST):
        rows = [_flat(record) for record in records]
        names = dict.fromkeys(name for row in rows for name in row)
        _require_few(len(rows) * len(names))
        yield [(name, [row.get(name) for row in rows]) for name in names]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found


def _records(body: Any, deep: int) -> Iterator[list[dict[str, Any]]]:
    """The lists of objects in a body: it is one (D*), or an object around it."""
    if isinstance(body, list) and all(isinstance(entry, dict) for entry in body):
        yield body
    elif isinstance(body, dict) and deep:
        for value in body.values():
            yield from _records(value, deep - 1)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the fields of objects in it as its own: `prediction.revenue`."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= {f"{name}.{inner}": cell for inner, cell in _flat(value).items()} if isinstance(value, dict) else {name: value}
    return flat


def _from_csv(content: bytes) -> Iterator[Table]:
    text = content.decode("utf-8-sig").lstrip("\r\n")
    header = text.splitlines()[0] if text else ""
    separator = max(_SEPARATORS, key=header.count)
    yield _table(csv.reader(io.StringIO(text, newline=""), delimiter=separator))


def _from_xlsx(content: bytes) -> Iterator[Table]:
    from flows.crm.files.workbooks import open_sheets  # noqa: PLC0415 - only a finished forecast needs it
    from flows.crm.values.cells import NUMERIC_CELL  # noqa: PLC0415 - as above

    with staging_folder(load_settings().home_folder) as folder:
        copy = folder / "forecast.xlsx"
        copy.write_bytes(content)
        try:
            sheets = [list(_held(cells for _, cells in sheet.rows())) for sheet in open_sheets(copy, copy.name)]
        except ExportUnreadable as error:
            raise ValueError(str(error)) from error
    yield from (_table([[cell.removeprefix(NUMERIC_CELL) for cell in row] for row in rows]) for rows in sheets)


def _table(lines: Iterable[Sequence[Any]]) -> Table:
    """The columns of lines, the first of which has their names; lines of empty cells are none, and nor are lines without others below."""
    header, *rows = [line for line in _held(lines) if _width(line)] or [[]]
    _require_few(len(rows) * max(map(_width, [header, *rows])))
    names = [*map(str, header), *[_BEYOND] * (max(map(_width, rows), default=0) - len(header))]
    return [(name, [row[place] if place < len(row) else None for row in rows]) for place, name in enumerate(names) if rows]


def _held(lines: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """The lines, up to as much as a table may hold."""
    cells = signs = 0
    for line in lines:
        cells, signs = cells + len(line), signs + sum(len(cell) for cell in line if isinstance(cell, str))
        _require_few(cells, signs)
        yield line


def _require_few(cells: int, signs: int = 0) -> None:
    if cells > _MOST_CELLS or signs > _MOST_SIGNS:
        raise ValueError("it is larger than any forecast")


def _width(line: Sequence[Any]) -> int:
    """Cells up to the last one that is filled."""
    return max((place for place, cell in enumerate(line, start=1) if cell not in ("", None)), default=0)


_READERS = {"json": _from_json, "csv": _from_csv, "xlsx": _from_xlsx}

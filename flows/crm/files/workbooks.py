"""Workbooks (.xlsx and its kin) as rows of text, each with its row number in the sheet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.crm.values.cells import NUMERIC_CELL
from flows.errors import ExportUnreadable

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

SheetRow = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet that is not empty, and the names of the ``others``. ``rows`` gives its rows anew."""

    name: str
    others: tuple[str, ...]
    rows: Callable[[], Iterator[SheetRow]]


def open_sheets(path: Path, location: str) -> list[Sheet]:
    """The sheets that are not empty, each from its first row with text. Raises ExportUnreadable for a damaged workbook."""
    from python_calamine import CalamineError, CalamineWorkbook  # noqa: PLC0415 -- CSV exports need not pay for its import

    try:
        book = CalamineWorkbook.from_path(str(path))
        sheets = [book.get_sheet_by_name(name) for name in book.sheet_names]
    except CalamineError as error:
        raise ExportUnreadable(
            f"{location} is a workbook that cannot be opened ({error}). If it has a password, save it without; else export again."
        ) from error
    filled = [sheet for sheet in sheets if sheet.total_height]
    if not filled:
        raise ExportUnreadable(f"{location} is a workbook without any cell filled. Export again.")
    names = [sheet.name for sheet in filled]
    return [Sheet(sheet.name, tuple(name for name in names if name != sheet.name), partial(_rows, sheet)) for sheet in filled]


def _rows(sheet: CalamineSheet) -> Iterator[SheetRow]:
    for number, cells in enumerate(sheet.iter_rows(), start=1):
        yield number, [_text(cell) for cell in cells]


def _text(cell: Any) -> str:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else f"{NUMERIC_CELL}{cell!r}"
    if isinstance(cell, datetime):
        return cell.replace(microsecond=0).isoformat(sep=" ") if cell.time() != time.min else cell.date().isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if not isinstance(cell, timedelta) else str(cell.total_seconds())

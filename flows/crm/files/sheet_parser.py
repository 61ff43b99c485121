"""A program of its own that parses a workbook: what it claims can end this process, and no other.

It is run by `flows.crm.files.workbooks`, in isolation, and imports nothing of dealcast. A workbook on stdin, rows to the file
descriptor that it is told, and the sheets as JSON on stdout.
"""

from __future__ import annotations

import json
import marshal
import os
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import IO, Any

DAMAGED, TOO_LARGE = 3, 4
"""Exit codes: what is no workbook; what takes more than it may (where the system does not end the process first)."""

_MOST_ROWS, _HEAVIEST = 1000, 4 << 20
_CELL = 16
"""Bytes that an empty cell weighs."""


def main() -> int:
    """Parse within the limits of the arguments: a JSON object with ``path``, ``memory``, ``seconds``, ``disk``, ``rows``, ``mark``."""
    told = json.loads(sys.argv[1])
    sys.path[:] = told["path"]
    for limit, bound in (resource.RLIMIT_AS, told["memory"]), (resource.RLIMIT_CPU, told["seconds"]), (resource.RLIMIT_FSIZE, told["disk"]):
        resource.setrlimit(limit, (bound, bound))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from python_calamine import CalamineError, load_workbook  # noqa: PLC0415 -- found by the path that was told

    try:
        with os.fdopen(told["rows"], "wb") as sink:
            print(json.dumps(_sheets(load_workbook(sys.stdin.buffer), sink, told["mark"])))
    except CalamineError as error:
        print(json.dumps(type(error).__name__))
        return DAMAGED
    except (MemoryError, OSError):
        return TOO_LARGE
    return 0


def _sheets(book: Any, sink: IO[bytes], mark: str) -> list[tuple[str, int, list[tuple[int, int, int, int]]]]:
    """The name of each sheet that is not empty, where its rows begin, and its cells that are merged over several rows."""
    found = []
    for name in book.sheet_names:
        sheet = book.get_sheet_by_name(name)
        if sheet.total_height:
            found.append((name, sink.tell(), _merged(sheet)))
            for rows in _batches(sheet.iter_rows(), mark):
                marshal.dump(rows, sink)
            marshal.dump([], sink)
    return found


def _merged(sheet: Any) -> list[tuple[int, int, int, int]]:
    """First and last row, counted from 1, and first and last position in a row, of what is merged over several rows."""
    left = sheet.start[1]
    ranges = sheet.merged_cell_ranges or []
    return [(first + 1, last + 1, begin - left, end - left) for (first, begin), (last, end) in ranges if last > first]


def _batches(rows: Iterator[list[Any]], mark: str) -> Iterator[list[list[str]]]:
    """Rows as text, as many at a time as a reader holds with ease."""
    batch, weight = [], 0
    for cells in rows:
        texts = [cell if type(cell) is str else _text(cell, mark) for cell in cells]
        batch.append(texts)
        weight += sum(map(len, texts)) + _CELL * len(texts)
        if len(batch) == _MOST_ROWS or weight > _HEAVIEST:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch


def _text(cell: Any, mark: str) -> str:
    """A cell as text; ``mark`` stands before a fraction."""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else f"{mark}{cell!r}"
    if isinstance(cell, datetime):
        return cell.replace(microsecond=0).isoformat(sep=" ") if cell.time() != time.min else cell.date().isoformat()
    if isinstance(cell, date | time):
        return cell.isoformat()
    return str(cell) if not isinstance(cell, timedelta) else str(cell.total_seconds())


if __name__ == "__main__":
    sys.exit(main())

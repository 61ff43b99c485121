"""Tables of many syncs: CSV files of which every line names one."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from flows.errors import UsageError

Line = dict[str, str]
"""Column -> cell, without the blanks around it."""


def read_lines(path: str, unique: Sequence[str], others: Collection[str] | None = None) -> dict[int, Line]:
    """Read a table's lines, by their number in the file; the header is line 1.

    Args:
        path: path of the CSV.
        unique: columns that it has, none of whose cells is empty or repeats another.
        others: columns that it may have; default: any.

    Raises:
        UsageError: it cannot be read, or is not such a table; the message names line, column and value.
    """
    wanted = f"It is a CSV with the column{'s' if len(unique) > 1 else ''} {','.join(unique)}"
    if others is not None:
        wanted += f" and any of {', '.join(name for name in others if name not in unique)}"
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as source:
            reader = csv.reader(source)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({error}). {wanted}.") from error
    known = header if others is None else (*unique, *others)
    for wrong, names in {
        "has no column": [name for name in unique if name not in header],
        "names twice the column": [name for name, times in Counter(header).items() if times > 1],
        "names the unknown column": [name for name in header if name not in known],
    }.items():
        if names:
            raise UsageError(f"{path}, line 1 {wrong} {names[0]!r}. {wanted}.")
    if not rows:
        raise UsageError(f"{path} names no {unique[0]}: write one line for each.")
    for line, row in rows:
        if len(row) != len(header):
            raise UsageError(f"{path}, line {line} has {len(row)} cells, the header {len(header)}. Fix it.")
    lines = {line: {name: cell.strip() for name, cell in zip(header, row, strict=True)} for line, row in rows}
    for name in unique:
        check_unique(path, name, lines)
    return lines


def check_unique(path: str, name: str, lines: dict[int, Line]) -> None:
    """See that no cell of a column is empty or repeats another.

    Raises:
        UsageError: one does; the message names line, column and value.
    """
    seen: dict[str, int] = {}
    for line, row in lines.items():
        value = row[name]
        if not value:
            raise UsageError(f"{path}, line {line}, column {name} is empty. Write one in, or take out the line.")
        if value in seen:
            raise UsageError(f"{path}, line {line}, column {name}, value {value!r} is on line {seen[value]} too: name each once.")
        seen[value] = line

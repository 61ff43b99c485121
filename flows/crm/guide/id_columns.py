"""Candidates for the id in an export without one: a column, else the smallest combination, whose values are all distinct."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.file_profile import quick_hashes
from expectations.formats import one_chunk
from flows.crm.dialect import known_dialects
from flows.crm.files.header_row import folded
from flows.crm.files.table_reader import TableReader

Hashes = npt.NDArray[np.uint64]

LASTING = ("id", "name", "creationDatetime", "companyId", "contactId")
"""Columns whose values a deal rarely changes; a header that some dialect reads into another changes with the deal."""

_ROWS = 100_000
"""Rows that are looked at for candidates, which are then compared with all rows."""

_LOOKED_AT = 100
_DATE = r"^\s*[0-9]{1,4}[-./][0-9]{1,2}[-./][0-9]{1,4}\b"
_COLUMNS = 8
_AT_MOST = 4
_CHANGES = 2
_SHOWN = 3


def find_ids(reader: TableReader) -> list[tuple[str, ...]]:
    """Up to three columns, or combinations of as few as tell all rows apart, none where nothing does.

    What changes with a deal, and any date, is taken only where the rest does not tell the rows apart.
    """
    hashes = _hashes(reader, range(len(reader.layout.headers)), _ROWS)
    if not hashes or not len(next(iter(hashes.values()))):
        return []
    rank = _rank(reader.layout.headers, _dates(reader))
    filled = sorted(hashes, key=lambda place: (rank[place], -len(np.unique(hashes[place])), place))
    varied = [place for place in filled if len(np.unique(hashes[place])) > 1]
    lasting = [place for place in varied if rank[place] < _CHANGES]
    for pool in (lasting, varied):
        for size in range(1, _AT_MOST + 1):
            some = combinations(pool if size == 1 else pool[:_COLUMNS], size)
            found = [places for places in some if _distinct(_joined([hashes[place] for place in places]))]
            found = [places for places in found[:_SHOWN] if _holds_throughout(reader, places)]
            if found:
                return [tuple(reader.layout.headers[place] for place in places) for places in found]
    return []


def _dates(reader: TableReader) -> set[int]:
    """The columns whose first cells are dates or times."""
    places = range(len(reader.layout.headers))
    first = next(_tables(reader, places, _LOOKED_AT), None)
    if first is None:
        return set()
    cells = {place: one_chunk(first.column(str(place))).drop_null() for place in places}
    return {place for place, column in cells.items() if len(column) and pc.all(pc.match_substring_regex(column, _DATE)).as_py()}


def _rank(headers: Sequence[str], dates: set[int]) -> list[int]:
    """0 for a header that lasts, 1 for one that no dialect knows, 2 for one that changes with the deal, or holds any date."""
    known: dict[str, bool] = {}
    for dialect in known_dialects():
        for column, recipe in dialect.columns.items():
            for source in recipe:
                for name in source.names if source.how in {"field", "first"} and not dialect.verbatim else ():
                    for header in dialect.headers_of(name):
                        known[folded(header)] = known.get(folded(header), True) and column in LASTING
    return [
        {True: 0, None: _CHANGES if place in dates else 1, False: _CHANGES}[known.get(folded(header))]
        for place, header in enumerate(headers)
    ]


def _hashes(reader: TableReader, places: Sequence[int], rows: int | None) -> dict[int, Hashes]:
    """A hash of each cell of the columns that have no empty one."""
    parts: dict[int, list[Hashes]] = {place: [] for place in places}
    for table in _tables(reader, places, rows):
        for place in list(parts):
            column = one_chunk(table.column(str(place)))
            if column.null_count:
                del parts[place]
            else:
                parts[place].append(quick_hashes(pc.utf8_trim_whitespace(column)))
    return {place: np.concatenate(some) for place, some in parts.items() if some}


def _tables(reader: TableReader, places: Sequence[int], rows: int | None) -> Iterator[pa.Table]:
    left = rows
    for batch in reader.read(sorted(places)):
        yield batch.table if left is None else batch.table.slice(0, left)
        if left is not None:
            left -= batch.table.num_rows
            if left <= 0:
                return


def _joined(columns: Sequence[Hashes]) -> Hashes:
    return reduce(lambda left, right: (left ^ (right >> np.uint64(7))) * np.uint64(0x9E3779B97F4A7C15) + right, columns)


def _distinct(hashes: Hashes) -> bool:
    return len(np.unique(hashes)) == len(hashes)


def _holds_throughout(reader: TableReader, places: Sequence[int]) -> bool:
    hashes = _hashes(reader, places, None)
    return len(hashes) == len(places) and _distinct(_joined([hashes[place] for place in places]))

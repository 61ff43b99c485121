"""The cells of an export's columns, each text once, with the place where it stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from expectations.formats import one_chunk
from flows.crm.files.table_reader import TableReader
from flows.crm.header_match import Bound
from flows.crm.values.cells import masked

_MANY = 1_000_000


class Sighting(NamedTuple):
    """A cell that proves something, or needs proof; shown by its form, for it is a deal's."""

    line: int
    header: str
    value: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.header!r} ({masked(self.value)})"


@dataclass(frozen=True)
class Cells:
    """The export's cells, read anew at each question."""

    reader: TableReader
    bound: Bound

    def texts(self, names: list[str]) -> Iterator[tuple[str, str, Sighting]]:
        """Each text of some fields once, or a few times where there are very many, with the field and where it stands."""
        asked: dict[str, set[str]] = defaultdict(set)
        for name, column, lines in self.columns(names):
            header, known = self.bound.header_of(name), asked[name]
            fresh = [(place, text) for place, text in _distinct(column) if text not in known]
            for place, text in fresh:
                yield name, text, Sighting(int(lines[place]), header, text)
            if len(known) > _MANY:
                known.clear()
            known.update(text for _, text in fresh)

    def columns(self, names: list[str]) -> Iterator[tuple[str, pa.Array, pa.Array]]:
        """For each batch and each field that the export has: the field, its cells, the line of each."""
        wanted = {name: position for name in names if (position := self.bound.position_of(name)) is not None}
        for rows in self.reader.read(sorted(set(wanted.values()))):
            for name, position in wanted.items():
                yield name, one_chunk(rows.table.column(str(position))), rows.lines


def _distinct(column: pa.Array) -> list[tuple[int, str]]:
    """The first position of each text in the column."""
    encoded = column.drop_null().dictionary_encode()
    places = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    return list(zip(places[first].tolist(), encoded.dictionary.to_pylist(), strict=True))

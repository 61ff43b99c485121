"""Facts that only the whole column can tell: the order of day and month, the decimal sign, the currencies, the pipelines.

Each question costs one pass over the columns concerned, and is asked only when a value needs the answer.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import one_chunk
from flows.crm.files.table_reader import TableReader
from flows.crm.header_match import Bound
from flows.crm.inference.column_cells import Cells
from flows.crm.inference.currencies import units_of
from flows.crm.inference.date_order import DateOrder
from flows.crm.inference.decimal_sign import DecimalSign
from flows.crm.values.cells import without
from flows.crm.values.dates import Order
from flows.crm.values.identifiers import plain_ids
from flows.crm.values.numbers import Style

_BETWEEN_IDS = re.compile(r"[;,|\s\[\]{}\"']+")


@dataclass(frozen=True)
class FormatInference:
    """The whole export's answers. ``date_order`` and ``decimal`` are the user's own words, above the dialect's."""

    reader: TableReader
    bound: Bound
    date_order: Order | None = None
    decimal: Style | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _among: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def dates(self) -> DateOrder:
        """The order of day, month and year in its dates."""
        return DateOrder(self._cells, self.date_order, self.now)

    @cached_property
    def numbers(self) -> DecimalSign:
        """The decimal sign of its numbers."""
        return DecimalSign(self._cells, self.decimal, self.dates)

    @cached_property
    def _cells(self) -> Cells:
        return Cells(self.reader, self.bound)

    def ids_merged(self, field: str, identity: int) -> frozenset[str]:
        """The ids that the list in ``field`` names in any row, but for a row's own, which stands at position ``identity``."""
        place, header, merged = self.bound.position_of(field), self.bound.header_of(field), set[str]()
        if place is None:
            return frozenset()
        for rows in self.reader.read(sorted({place, identity})):
            lists = without(one_chunk(rows.table.column(str(place))), self.bound.dialect.nulls)
            filled = pc.fill_null(pc.not_equal(lists, header), False)
            own = plain_ids(one_chunk(rows.table.column(str(identity))).filter(filled))
            for names, kept in zip(lists.filter(filled).to_pylist(), own.to_pylist(), strict=True):
                merged |= {each for each in plain_ids(pa.array(_BETWEEN_IDS.split(names))).to_pylist() if each and each != kept}
        return frozenset(merged)

    def is_among(self, name: str, words: frozenset[str]) -> bool:
        """True if every filled cell of a field is one of ``words``, in any case."""
        if name not in self._among:
            known = pa.array(sorted(words), pa.string())
            lowered = (pc.utf8_lower(pc.utf8_trim_whitespace(column.drop_null())) for _, column, _ in self._cells.columns([name]))
            self._among[name] = all(pc.all(pc.is_in(column, known), min_count=0).as_py() for column in lowered)
        return self._among[name]

    @cached_property
    def pipelines(self) -> Counter[str]:
        """Number of rows of each pipeline; rows without one are not counted."""
        counts: Counter[str] = Counter()
        for _, column, _ in self._cells.columns([self.bound.dialect.pipeline or ""]):
            counts.update(named(column).drop_null().to_pylist())
        return counts

    @cached_property
    def currencies(self) -> Counter[str]:
        """Number of amounts in each currency (and period, where the dialect knows one)."""
        counts: Counter[str] = Counter()
        names = [*self.bound.names_for({"value"}, converted=False), *self.bound.units]
        for rows in self.reader.read(sorted({position for name in names if (position := self.bound.position_of(name)) is not None})):
            counts.update(units_of(self.bound, rows.table).drop_null().to_pylist())
        return counts


def named(column: pa.Array) -> pa.Array:
    """Names, null where a cell has nothing but blanks."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)

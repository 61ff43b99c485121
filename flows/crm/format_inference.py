"""What only the whole column can tell: the order of day and month, the decimal sign, the currencies, the pipelines.

Each question costs one pass over the columns concerned, and is asked only when a value needs the answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from expectations.schema import COLUMNS, Kind
from flows.crm.bound_dialect import Bound
from flows.crm.files.table_reader import TableReader
from flows.crm.values.cells import by_value, one_chunk
from flows.crm.values.dates import Order, order_shown_by
from flows.crm.values.numbers import Style, currency_of, style_shown_by
from flows.errors import ExportUnmappable

_DATES = {column.name for column in COLUMNS if column.kind is Kind.DATETIME}
_NUMBERS = {column.name for column in COLUMNS if column.kind is Kind.DECIMAL}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A cell that proves something, or needs proof."""

    line: int
    header: str
    value: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.header!r}: {self.value!r}"


@dataclass(frozen=True)
class FormatInference:
    """The whole export's answers. ``date_order`` is the user's own word, above the dialect's."""

    reader: TableReader
    bound: Bound
    date_order: Order | None = None

    def order(self) -> Order:
        """Which of day and month comes first in this export. Raises ExportUnmappable where nothing or too much says it."""
        return self._order

    def style(self) -> Style:
        """Which decimal sign this export uses. Raises ExportUnmappable where nothing or too much says it."""
        return self._style

    @cached_property
    def _order(self) -> Order:
        seen = self._first_sightings(_DATES, order_shown_by)
        day, month = seen.get("day-first"), seen.get("month-first")
        where = self.reader.location
        if day and month:
            raise ExportUnmappable(
                f"{where} mixes two orders of day and month: {day} can only be day-first, {month} only month-first."
                " Make the dates of the export one format and export again."
            )
        proof: Order | None = "day-first" if day else "month-first" if month else None
        if self.date_order and proof and proof != self.date_order:
            raise ExportUnmappable(
                f"{where}: --date-order {self.date_order} is disproved by {day or month}. Leave the option out, or say {proof}."
            )
        order = self.date_order or proof or self.bound.dialect.date_order
        if order is None:
            raise ExportUnmappable(
                f"{where}, {seen['either']} may be day-first or month-first, and no value in the file settles it."
                " Say --date-order day-first or --date-order month-first."
            )
        return order

    @cached_property
    def _style(self) -> Style:
        if self.bound.dialect.number_style != "proven":
            return cast("Style", self.bound.dialect.number_style)
        seen = self._first_sightings(_NUMBERS, style_shown_by)
        point, comma = seen.get("point"), seen.get("comma")
        if point and comma:
            raise ExportUnmappable(
                f"{self.reader.location} mixes two number formats: {point} has a decimal point, {comma} a decimal comma."
                " Make them one format and export again."
            )
        if not point and not comma and "either" in seen:
            raise ExportUnmappable(
                f"{self.reader.location}, {seen['either']} may mean thousands or thousandths, and no value in the file settles it."
                f' Say `[numbers] style = "point"` (the decimal sign) or "comma" in a dialect of your own'
                f' (`extends = "{self.bound.dialect.name}"`).'
            )
        return "comma" if comma else "point"

    def _first_sightings(self, columns: set[str], shows: Callable[[str], str | None]) -> dict[str, Sighting]:
        """For each answer that ``shows`` gives, the first cell that gives it."""
        seen: dict[str, Sighting] = {}
        asked: set[str] = set()
        for name, column, lines in self._columns(self.bound.names_for(columns)):
            fresh = [text for text in pc.unique(column).to_pylist() if text and text not in asked]
            for text in fresh:
                answer = shows(text)
                if answer and answer not in seen:
                    seen[answer] = Sighting(int(lines[pc.index(column, text).as_py()]), self.bound.header_of(name), text)
            asked = asked.union(fresh) if len(asked) < 1_000_000 else set(fresh)
        return seen

    def _columns(self, names: list[str]) -> Iterator[tuple[str, pa.Array, pa.Array]]:
        wanted = {name: position for name in names if (position := self.bound.position_of(name)) is not None}
        for rows in self.reader.read(sorted(set(wanted.values()))):
            for name, position in wanted.items():
                yield name, one_chunk(rows.table.column(str(position))), rows.lines

    @cached_property
    def pipelines(self) -> Counter[str]:
        """How many rows each pipeline has; rows without one are not counted."""
        counts: Counter[str] = Counter()
        for _, column, _ in self._columns([self.bound.dialect.pipeline or ""]):
            counts.update(named(column).drop_null().to_pylist())
        return counts

    @cached_property
    def currencies(self) -> Counter[str]:
        """How many amounts there are in each currency (and period, where the dialect knows one)."""
        counts: Counter[str] = Counter()
        names = [*self.bound.names_for({"value"}, converted=False), *self.bound.units]
        for rows in self.reader.read(sorted({position for name in names if (position := self.bound.position_of(name)) is not None})):
            counts.update(units_of(self.bound, rows.table).drop_null().to_pylist())
        return counts


def named(column: pa.Array) -> pa.Array:
    """Names, null where a cell has nothing but blanks."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)


def amounts_of(bound: Bound, table: pa.Table) -> pa.Array:
    """The amounts as they are written, before any conversion; null where there is none."""
    amounts = [one_chunk(table.column(str(bound.position_of(name)))) for name in bound.names_for({"value"}, converted=False)]
    return pc.coalesce(*amounts) if amounts else pa.nulls(table.num_rows, pa.string())


def units_of(bound: Bound, table: pa.Table) -> pa.Array:
    """What each amount is in, by the columns that say it, else by the sign beside the number; null where there is neither."""
    amount = amounts_of(bound, table)
    if not bound.units:
        return _signs(amount)
    units = [one_chunk(table.column(str(bound.position_of(name)))) for name in bound.units]
    joined = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*units, " ", null_handling="replace", null_replacement=""))
    return pc.if_else(pc.and_(pc.is_valid(amount), pc.not_equal(joined, "")), joined, None)


def _signs(amount: pa.Array) -> pa.Array:
    written = pc.fill_null(pc.match_substring_regex(amount, r"[^0-9.,'()+\- ]"), False)
    if not pc.any(written).as_py():
        return pa.nulls(len(amount), pa.string())
    return by_value(pc.if_else(written, amount, None), lambda text: currency_of(text) or None)

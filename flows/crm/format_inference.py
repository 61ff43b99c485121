"""Facts that only the whole column can tell: the order of day and month, the decimal sign, the currencies, the pipelines.

Each question costs one pass over the columns concerned, and is asked only when a value needs the answer.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import holds, memory, one_chunk
from expectations.schema import COLUMNS, Kind
from flows.crm.bound_dialect import Bound
from flows.crm.files.table_reader import TableReader
from flows.crm.values.cells import NUMERIC_CELL, by_value, masked, without
from flows.crm.values.date_order import Allowed, DateOrders, Way, allowed_by, orders_left
from flows.crm.values.dates import Order, readings_of
from flows.crm.values.derivations import number_in
from flows.crm.values.identifiers import plain_ids
from flows.crm.values.numbers import Style, currency_name, currency_of, style_shown_by, style_shown_by_whole
from flows.errors import ExportUnmappable

_PAST = {"creationDatetime", "addDatetime", "lastUpdateDatetime"}
_DATES = {column.name for column in COLUMNS if column.kind is Kind.DATETIME}
_DECIMALS = {column.name for column in COLUMNS if column.kind is Kind.DECIMAL}
_INTEGERS = {column.name for column in COLUMNS if column.kind is Kind.INTEGER}
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_BETWEEN_IDS = re.compile(r"[;,|\s\[\]{}\"']+")
_SOME = 3


class Sighting(NamedTuple):
    """A cell that proves something, or needs proof; shown by its form, for it is a deal's."""

    line: int
    header: str
    value: str

    def __str__(self) -> str:
        return f"line {self.line}, column {self.header!r} ({masked(self.value)})"


@dataclass
class _Dates:
    """Traces, in the dates of one column, of a spreadsheet that has converted some of them."""

    early: set[str] = field(default_factory=set)
    late: bool = False
    either: bool = False
    text: Sighting | None = None
    orders: Allowed = frozenset()

    def see_iso(self, date: str) -> None:
        """Take down a date whose order nobody doubts."""
        if date[-2:] > "12":
            self.late = True
        elif len(self.early) < _SOME:
            self.early.add(date)

    def see(self, allowed: Allowed, where: Sighting) -> None:
        """Take down a date in figures."""
        if {"day-first", "month-first"} <= allowed:
            self.either = True
        elif self.text is None:
            self.text, self.orders = where, allowed

    def converted_by_halves(self, *, workbook: bool) -> bool:
        """True if just those dates were converted that a wrong order of day and month leaves possible.

        A workbook's dates are its program's work; in text a few that are early in their months may be chance.
        """
        if self.late or self.text is None:
            return False
        return bool(self.early) if workbook else len(self.early) == _SOME and not self.either


@dataclass(frozen=True)
class FormatInference:
    """The whole export's answers. ``date_order`` and ``decimal`` are the user's own words, above the dialect's."""

    reader: TableReader
    bound: Bound
    date_order: Order | None = None
    decimal: Style | None = None
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _among: dict[str, bool] = field(default_factory=dict)

    def order(self, text: str) -> Order:
        """In which order a date in figures is written. Raises ExportUnmappable where nothing or too much says it."""
        ways = self._orders.ways_of(text)
        orders = {self._order_of(way) for way in ways}
        if len(orders) > 1:
            orders &= set(readings_of(text, self.now))
        if len(orders) != 1:
            raise ExportUnmappable(
                f"{self.reader.location} has dates such as {masked(text)} of two writers, who put day and month in different orders."
                " Make the dates of the export one format and export again."
            )
        return orders.pop()

    def _order_of(self, way: Way) -> Order:
        if way not in self._settled:
            self._settled[way] = self._settle(self._orders.shown(way))
        return self._settled[way]

    def _settle(self, shown: dict[Allowed, object]) -> Order:
        left, where = orders_left(shown), self.reader.location
        if not left:
            told = "; ".join(f"{place} can only be {' or '.join(sorted(allowed))}" for allowed, place in shown.items() if len(allowed) < 3)
            raise ExportUnmappable(
                f"{where} mixes orders of day, month and year: {told}. Make the dates of the export one format and export again."
            )
        if len(left) == 1:
            return next(iter(left))
        for said in (self.date_order, self.bound.dialect.date_order):
            if said in left:
                return said
        place = shown.get(left) or next(iter(shown.values()))
        options = " or ".join(f"--date-order {order}" for order in sorted(left))
        raise ExportUnmappable(
            f"{where}, {place} may be {' or '.join(sorted(left))}, and no value that is written like it settles it. Say {options}."
        )

    @cached_property
    def _settled(self) -> dict[Way, Order]:
        return {}

    @cached_property
    def _orders(self) -> DateOrders:
        """The evidence of every date in figures. Raises ExportUnmappable for columns that a spreadsheet has half converted."""
        orders = DateOrders()
        columns: dict[str, _Dates] = defaultdict(_Dates)
        past = set(self.bound.names_for(_PAST))
        for name, text, sighting in self._cells(self.bound.names_for(_DATES)):
            if found := _ISO_DAY.match(text):
                columns[name].see_iso(found[0])
            elif allowed := allowed_by(text, self.now, past=name in past):
                orders.see(text, allowed, sighting)
                columns[name].see(allowed, sighting)
        for dates in columns.values():
            if dates.converted_by_halves(workbook=self.reader.contents.rows is not None):
                raise ExportUnmappable(
                    f"{self.reader.location}, {dates.text} can only be {' or '.join(sorted(dates.orders))}, and of the dates of its"
                    " column that are years first not one is after the 12th: a spreadsheet program has taken days for months where it"
                    " could. Export again and do not open the file in a spreadsheet program, or import it there with the column as text."
                )
        self._refuse_disproved(orders)
        return orders

    def _refuse_disproved(self, orders: DateOrders) -> None:
        shown = [orders.shown(way) for way in orders.ways()]
        if self.date_order and shown and not any(self.date_order in orders_left(each) for each in shown):
            proofs = [(allowed, place) for each in shown for allowed, place in each.items() if self.date_order not in allowed]
            allowed, place = proofs[0]
            raise ExportUnmappable(
                f"{self.reader.location}: --date-order {self.date_order} is disproved by {place}, which can only be"
                f" {' or '.join(sorted(allowed))}. Leave the option out, or say --date-order {min(allowed)}."
            )

    @property
    def known_style(self) -> Style | None:
        """The decimal sign where the user or the dialect says it."""
        said = self.decimal or self.bound.dialect.number_style
        return None if said == "proven" else cast("Style", said)

    def style(self) -> Style:
        """The decimal sign that this export uses. Raises ExportUnmappable where nothing or too much says it."""
        return self.known_style or self._style

    @cached_property
    def _style(self) -> Style:
        seen = self._styles_seen()
        point, comma = seen.get("point"), seen.get("comma")
        if point and comma:
            raise ExportUnmappable(
                f"{self.reader.location} mixes two number formats: {point} has a decimal point, {comma} a decimal comma. Make them one"
                " format and export again; or say --decimal point or --decimal comma, and the gate names every cell that is otherwise."
            )
        if not point and not comma and "either" in seen and not self._decimal_comma_country:
            raise ExportUnmappable(
                f"{self.reader.location}, {seen['either']} may mean thousands or thousandths, and no value in the file settles it."
                " Say which sign stands before the decimals: --decimal point or --decimal comma"
                f' (or `[numbers] style = "comma"` in a dialect of your own that `extends = "{self.bound.dialect.name}"`).'
            )
        return "point" if point or not seen else "comma"

    @property
    def _decimal_comma_country(self) -> bool:
        """True if cells are parted by semicolons and dates are written days first: so do the countries with a decimal comma."""
        return self.reader.layout.separator == ";" and (self.date_order == "day-first" or self._orders.european)

    def _styles_seen(self) -> dict[str, Sighting]:
        """For each decimal sign that numbers show, and for "either", the first that does."""
        seen: dict[str, Sighting] = {}
        for columns, shows in ((_DECIMALS, style_shown_by), (_INTEGERS, style_shown_by_whole)):
            for _, text, sighting in self._cells(self.bound.names_for(columns)):
                if not text.startswith(NUMERIC_CELL) and (answer := shows(number_in(text))):
                    seen.setdefault(answer, sighting)
        return seen

    def _cells(self, names: list[str]) -> Iterator[tuple[str, str, Sighting]]:
        """Each text of some fields once, or a few times where there are very many, with the field and where it stands."""
        asked: dict[str, set[str]] = defaultdict(set)
        for name, column, lines in self._columns(names):
            header, known = self.bound.header_of(name), asked[name]
            fresh = [(place, text) for place, text in _distinct(column) if text not in known]
            for place, text in fresh:
                yield name, text, Sighting(int(lines[place]), header, text)
            if len(known) > 1_000_000:
                known.clear()
            known.update(text for _, text in fresh)

    def _columns(self, names: list[str]) -> Iterator[tuple[str, pa.Array, pa.Array]]:
        wanted = {name: position for name in names if (position := self.bound.position_of(name)) is not None}
        for rows in self.reader.read(sorted(set(wanted.values()))):
            for name, position in wanted.items():
                yield name, one_chunk(rows.table.column(str(position))), rows.lines

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
            lowered = (pc.utf8_lower(pc.utf8_trim_whitespace(column.drop_null())) for _, column, _ in self._columns([name]))
            self._among[name] = all(pc.all(pc.is_in(column, known), min_count=0).as_py() for column in lowered)
        return self._among[name]

    @cached_property
    def pipelines(self) -> Counter[str]:
        """Number of rows of each pipeline; rows without one are not counted."""
        counts: Counter[str] = Counter()
        for _, column, _ in self._columns([self.bound.dialect.pipeline or ""]):
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


def _distinct(column: pa.Array) -> list[tuple[int, str]]:
    """The first position of each text in the column."""
    encoded = column.drop_null().dictionary_encode()
    places = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    _, first = np.unique(encoded.indices.to_numpy(), return_index=True)
    return list(zip(places[first].tolist(), encoded.dictionary.to_pylist(), strict=True))


def named(column: pa.Array) -> pa.Array:
    """Names, null where a cell has nothing but blanks."""
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)


def amounts_of(bound: Bound, table: pa.Table) -> pa.Array:
    """The amounts as they are written, before any conversion; null where there is none."""
    amounts = [one_chunk(table.column(str(bound.position_of(name)))) for name in bound.names_for({"value"}, converted=False)]
    return pc.coalesce(*amounts) if amounts else pa.nulls(table.num_rows, pa.string())


def units_of(bound: Bound, table: pa.Table) -> pa.Array:
    """The unit of each amount, by the columns that say it, else by the sign beside the number; null where there is neither."""
    amount = amounts_of(bound, table)
    signs = signs_of(amount)
    return pc.if_else(pc.is_valid(amount), pc.coalesce(stated_units_of(bound, table), signs), None) if bound.units else signs


def stated_units_of(bound: Bound, table: pa.Table) -> pa.Array:
    """The unit that the columns state for each row, with or without an amount; null where they state none."""
    if not bound.units:
        return pa.nulls(table.num_rows, pa.string())
    columns = [one_chunk(table.column(str(bound.position_of(name)))) for name in bound.units]
    units = [by_value(without(column, bound.dialect.nulls), currency_name) for column in columns]
    joined = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*units, " ", null_handling="replace", null_replacement=""))
    return pc.if_else(pc.not_equal(joined, ""), joined, None)


def signs_of(amount: pa.Array) -> pa.Array:
    """The currency whose sign or code stands beside each number, null where none does."""
    letters = np.frombuffer(memory(amount), np.uint8)
    if not len(letters) or (int(letters.max()) <= ord("9") and not holds(pa.chunked_array([amount]), b"$")):
        return pa.nulls(len(amount), pa.string())
    written = pc.fill_null(pc.match_substring_regex(amount, r"[^0-9.,'()+\- ]"), False)
    if not pc.any(written).as_py():
        return pa.nulls(len(amount), pa.string())
    return by_value(pc.if_else(written, amount, None), lambda text: currency_name(currency_of(text)) or None)

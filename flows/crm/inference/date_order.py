"""Day-first, month-first or year-first: shown by the export's own dates, said by the user or the dialect, or asked about."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from expectations.deals_schema import COLUMNS, Kind
from flows.crm.inference.column_cells import Cells, Sighting
from flows.crm.inference.date_shapes import Allowed, DateShapes, Shape, allowed_by, orders_left
from flows.crm.values.cells import masked
from flows.crm.values.dates import Order, readings_of
from flows.errors import ExportUnmappable

_PAST = {"creationDatetime", "addDatetime", "lastUpdateDatetime"}
_DATES = {column.name for column in COLUMNS if column.kind is Kind.DATETIME}
_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SOME = 3


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
class DateOrder:
    """The order of each date in figures. ``said`` is the user's own word, above the dialect's."""

    cells: Cells
    said: Order | None
    now: datetime

    def of(self, text: str) -> Order:
        """The order in which a date in figures is written. Raises ExportUnmappable where nothing or too much says it."""
        shapes = self._orders.shapes_of(text)
        orders = {self._order_of(shape) for shape in shapes}
        if len(orders) > 1:
            orders &= set(readings_of(text, self.now))
        if len(orders) != 1:
            raise ExportUnmappable(
                f"{self.cells.reader.location} has dates such as {masked(text)} of two writers, who put day and month in different orders."
                " Make the dates of the export one format and export again."
            )
        return orders.pop()

    def _order_of(self, shape: Shape) -> Order:
        if shape not in self._settled:
            self._settled[shape] = self._settle(self._orders.shown(shape))
        return self._settled[shape]

    def _settle(self, shown: dict[Allowed, object]) -> Order:
        left, where = orders_left(shown), self.cells.reader.location
        if not left:
            told = "; ".join(f"{place} can only be {' or '.join(sorted(allowed))}" for allowed, place in shown.items() if len(allowed) < 3)
            raise ExportUnmappable(
                f"{where} mixes orders of day, month and year: {told}. Make the dates of the export one format and export again."
            )
        if len(left) == 1:
            return next(iter(left))
        for said in (self.said, self.cells.bound.dialect.date_order):
            if said in left:
                return said
        place = shown.get(left) or next(iter(shown.values()))
        options = " or ".join(f"--date-order {order}" for order in sorted(left))
        raise ExportUnmappable(
            f"{where}, {place} may be {' or '.join(sorted(left))}, and no value that is written like it settles it. Say {options}."
        )

    @property
    def european(self) -> bool:
        """True if the export's dates have points, or days that are proven to stand first, by its own dates or the user."""
        return self.said == "day-first" or self._orders.european

    @cached_property
    def _settled(self) -> dict[Shape, Order]:
        return {}

    @cached_property
    def _orders(self) -> DateShapes:
        """The evidence of every date in figures. Raises ExportUnmappable for columns that a spreadsheet has half converted."""
        orders = DateShapes()
        columns: dict[str, _Dates] = defaultdict(_Dates)
        past = set(self.cells.bound.names_for(_PAST))
        for name, text, sighting in self.cells.texts(self.cells.bound.names_for(_DATES)):
            if found := _ISO_DAY.match(text):
                columns[name].see_iso(found[0])
            elif allowed := allowed_by(text, self.now, past=name in past):
                orders.see(text, allowed, sighting)
                columns[name].see(allowed, sighting)
        for dates in columns.values():
            if dates.converted_by_halves(workbook=self.cells.reader.contents.rows is not None):
                raise ExportUnmappable(
                    f"{self.cells.reader.location}, {dates.text} can only be {' or '.join(sorted(dates.orders))}, and of the dates of its"
                    " column that are years first not one is after the 12th: a spreadsheet program has taken days for months where it"
                    " could. Export again and do not open the file in a spreadsheet program, or import it there with the column as text."
                )
        self._refuse_disproved(orders)
        return orders

    def _refuse_disproved(self, orders: DateShapes) -> None:
        shown = [orders.shown(shape) for shape in orders.shapes()]
        if self.said and shown and not any(self.said in orders_left(each) for each in shown):
            proofs = [(allowed, place) for each in shown for allowed, place in each.items() if self.said not in allowed]
            allowed, place = proofs[0]
            raise ExportUnmappable(
                f"{self.cells.reader.location}: --date-order {self.said} is disproved by {place}, which can only be"
                f" {' or '.join(sorted(allowed))}. Leave the option out, or say --date-order {min(allowed)}."
            )

"""The shapes of a date in figures that an export has, and the orders that each allows: every shape is proven for itself."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from flows.crm.values.dates import NO_DAYS, Order, as_compared, readings_of, same_both_ways

Allowed = frozenset[Order]
"""The orders in which a date, or all dates of one shape, can be read."""

Shape = tuple[str, int, str]
"""A shape: the sign between the figures, the length of the year, and where two shapes differ in it, the padding."""

_FIGURES = re.compile(r"(\d{1,2})([-/.])(\d{1,2})[-/.](\d{4}|\d{2})(?!\d)", re.ASCII)


def allowed_by(text: str, now: datetime, *, past: bool = False) -> Allowed | None:
    """The orders in which a date in figures can be read, None where they all say the same or it is no such date.

    With ``past`` the date cannot lie in the future, so that `31/10/25` is no day of 2031; years of four figures need no such help.
    """
    readings = readings_of(text, now)
    if len(readings) > 1 and past and "year-first" in readings:
        latest = f"{now + timedelta(days=1):%Y-%m-%d}"
        readings = {order: reading for order, reading in readings.items() if "-".join(reading) <= latest} or readings
    if any("-".join(reading) in NO_DAYS for reading in readings.values()):
        return None
    return None if same_both_ways(readings) or not readings else frozenset(readings)


@dataclass
class DateShapes:
    """Evidence of the order of an export's dates, for each shape: the sign, the year's length, the padding.

    With 01/02/2024 beside 1/2/2024 there are two writers, and what one shows says nothing of the other. ``where`` is anything
    that says where a date stands.
    """

    seen: dict[tuple[str, int], dict[str, dict[Allowed, object]]] = field(default_factory=lambda: defaultdict(dict))

    def see(self, text: str, allowed: Allowed, where: object) -> None:
        """Take down a date of the export."""
        sign, length, padding = _form(text)
        self.seen[sign, length].setdefault(padding, {}).setdefault(allowed, where)

    def shapes_of(self, text: str) -> list[Shape]:
        """The shapes that made ``text``, or may have."""
        sign, length, padding = _form(text)
        apart = self._apart(sign, length)
        return [
            shape
            for shape in self.shapes()
            if shape[:2] == (sign, length) and all(padding[place] in {"2", shape[2][number]} for number, place in enumerate(apart))
        ]

    def shapes(self) -> list[Shape]:
        """Every shape in the export."""
        return list(
            dict.fromkeys(
                (sign, length, key)
                for (sign, length), paddings in self.seen.items()
                for padding in paddings
                if "2" not in (key := self._key(sign, length, padding))
            )
        )

    def shown(self, shape: Shape) -> dict[Allowed, object]:
        """For each set of orders that dates of this shape allow, where the first of them stands."""
        sign, length, key = shape
        alike = [shown for padding, shown in self.seen[sign, length].items() if self._key(sign, length, padding) == key]
        return {allowed: where for shown in reversed(alike) for allowed, where in shown.items()}

    @property
    def european(self) -> bool:
        """True if dates have points, or days that are proven to stand first."""
        return any(sign == "." for sign, _ in self.seen) or any(orders_left(self.shown(shape)) == {"day-first"} for shape in self.shapes())

    def _apart(self, sign: str, length: int) -> list[int]:
        """Those of the first two figures that are padded in some dates, and in others not."""
        return [place for place in (0, 1) if {"0", "1"} <= {padding[place] for padding in self.seen[sign, length]}]

    def _key(self, sign: str, length: int, padding: str) -> str:
        return "".join(padding[place] for place in self._apart(sign, length))


def orders_left(shown: dict[Allowed, object]) -> Allowed:
    """The orders that all of some dates allow."""
    return frozenset.intersection(*shown) if shown else frozenset()


def _form(text: str) -> tuple[str, int, str]:
    """The sign, the length of the year, and the first two figures' padding: `0` padded, `1` not, `2` with two figures of their own."""
    found = _FIGURES.match(as_compared(text))
    if found is None:
        raise ValueError("not a date in figures")
    padding = "".join("0" if figures.startswith("0") else str(len(figures)) for figures in (found[1], found[3]))
    return found[2], len(found[4]), padding

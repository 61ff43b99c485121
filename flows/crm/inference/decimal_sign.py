"""The decimal sign of an export's numbers: said by the user or the dialect, shown by the numbers, or asked about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

from expectations.deals_schema import COLUMNS, Kind
from flows.crm.inference.column_cells import Cells, Sighting
from flows.crm.inference.date_order import DateOrder
from flows.crm.values.cell_transforms import number_in
from flows.crm.values.cells import NUMERIC_CELL
from flows.crm.values.numbers import Style, style_shown_by, style_shown_by_whole
from flows.errors import ExportUnmappable

_DECIMALS = {column.name for column in COLUMNS if column.kind is Kind.DECIMAL}
_INTEGERS = {column.name for column in COLUMNS if column.kind is Kind.INTEGER}


@dataclass(frozen=True)
class DecimalSign:
    """The decimal sign of the whole export. ``said`` is the user's own word, above the dialect's; ``dates`` show a country's habit."""

    cells: Cells
    said: Style | None
    dates: DateOrder

    @property
    def known(self) -> Style | None:
        """The decimal sign where the user or the dialect says it."""
        said = self.said or self.cells.bound.dialect.number_style
        return None if said == "proven" else cast("Style", said)

    def sign(self) -> Style:
        """The decimal sign that this export uses. Raises ExportUnmappable where nothing or too much says it."""
        return self.known or self._shown

    @cached_property
    def _shown(self) -> Style:
        seen = self._styles_seen()
        point, comma, where = seen.get("point"), seen.get("comma"), self.cells.reader.location
        if point and comma:
            raise ExportUnmappable(
                f"{where} mixes two number formats: {point} has a decimal point, {comma} a decimal comma. Make them one"
                " format and export again; or say --decimal point or --decimal comma, and the gate names every cell that is otherwise."
            )
        if not point and not comma and "either" in seen and not self._decimal_comma_country:
            raise ExportUnmappable(
                f"{where}, {seen['either']} may mean thousands or thousandths, and no value in the file settles it."
                " Say which sign stands before the decimals: --decimal point or --decimal comma"
                f' (or `[numbers] style = "comma"` in a dialect of your own that `extends = "{self.cells.bound.dialect.name}"`).'
            )
        return "point" if point or not seen else "comma"

    @property
    def _decimal_comma_country(self) -> bool:
        """True if cells are parted by semicolons and dates are written days first: so do the countries with a decimal comma."""
        return self.cells.reader.layout.separator == ";" and self.dates.european

    def _styles_seen(self) -> dict[str, Sighting]:
        """For each decimal sign that numbers show, and for "either", the first that does."""
        seen: dict[str, Sighting] = {}
        for columns, shows in ((_DECIMALS, style_shown_by), (_INTEGERS, style_shown_by_whole)):
            for _, text, sighting in self.cells.texts(self.cells.bound.names_for(columns)):
                if not text.startswith(NUMERIC_CELL) and (answer := shows(number_in(text))):
                    seen.setdefault(answer, sighting)
        return seen

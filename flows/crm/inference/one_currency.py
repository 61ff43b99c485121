"""Amounts of one currency: an export that has several, or one beside the sign of another, is refused unless one is chosen."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import name_or_shape
from flows.crm.files.table_reader import RawRows
from flows.crm.inference.currencies import amounts_of, signs_of, stated_units_of, units_of
from flows.crm.inference.format_inference import FormatInference
from flows.crm.inference.header_factors import currency_in
from flows.crm.values.numbers import currency_name, may_be_of, may_be_one
from flows.errors import ExportUnmappable, UsageError, quoted


@dataclass
class OneCurrency:
    """Currencies of the amounts met so far, one in each pipeline; ``chosen`` is the user's, if any.

    Raises:
        UsageError: a currency is chosen of an export that names none.
    """

    inference: FormatInference
    chosen: str | None
    _seen: dict[str | None, set[str]] = field(default_factory=dict)
    _unnamed: bool = False

    def __post_init__(self) -> None:
        dialect = self.inference.bound.dialect
        self.chosen = currency_name(self.chosen) if self.chosen else None
        if self.chosen and dialect.verbatim:
            raise UsageError(f"{self._where}, read as {dialect.name}, names no currencies. Leave the currency out.")

    def others(self, pipeline: str | None, rows: RawRows) -> pa.Array | None:
        """A mask of the rows in another currency than the chosen one; None where there is none to leave out.

        Raises:
            ExportUnmappable: the amounts of a pipeline are in several, and none is chosen; or an amount has the sign of another currency
                than its row names.
        """
        bound = self.inference.bound
        if bound.dialect.verbatim or (bound.converted and not self.chosen) or not len(rows.lines):
            return None
        self._refuse_other_signs(rows)
        units = units_of(bound, rows.table)
        seen = self._seen.setdefault(pipeline, set())
        seen.update(value for value in pc.unique(units).to_pylist() if value is not None)
        self._refuse_other_header(seen)
        if self.chosen:
            return self._not_chosen(rows, units)
        if len(seen) > 1:
            raise ExportUnmappable(
                f"{self._where} holds amounts in several currencies or periods, which do not add up:{listed(self.inference.currencies)}"
                "\nExport the converted amount as well, or choose one with --currency."
            )
        return None

    def name(self) -> str | None:
        """The currency of all amounts that were kept, as the export names it; None where it names none, several, or none that is one."""
        seen = {self.chosen} if self.chosen else set[str]().union(*self._seen.values())
        seen = seen or {currency for currency in self._by_header.values() if currency}
        only = seen.pop() if len(seen) == 1 else ""
        return only if re.fullmatch(r"[A-Z]{3}|\w{0,3}[^\w\s]", only) else None

    def finish(self) -> None:
        """Raise UsageError if the chosen currency was in no row."""
        seen = set[str]().union(*self._seen.values())
        if self.chosen and self._unnamed and not seen:
            raise UsageError(f"No amount in {self._where} says its currency, so none can be chosen. Leave the currency out.")
        if self.chosen and seen and self.chosen not in seen:
            raise UsageError(f"No amount in {self.chosen!r} in {self._where}. It has:{listed(self.inference.currencies)}")

    @property
    def _where(self) -> str:
        return self.inference.reader.location

    @cached_property
    def _by_header(self) -> dict[str, str | None]:
        """The currency that the header of each column of amounts names."""
        bound = self.inference.bound
        return {header: currency_in(header) for header in map(bound.header_of, bound.names_for({"value"}, converted=False))}

    def _refuse_other_header(self, seen: set[str]) -> None:
        """Raise ExportUnmappable for amounts whose header names another currency than their rows: they may be converted, or not."""
        for header, currency in self._by_header.items():
            other = next((unit for unit in sorted(seen) if currency and not may_be_one(currency, unit.partition(" ")[0])), None)
            if other is not None:
                raise ExportUnmappable(
                    f"{self._where}, column {header!r}: the header names {currency}, and its rows name {name_or_shape(other)!r}. If all"
                    f" of its amounts are in {currency}, say in a dialect of your own [currency] converted = {quoted(header)}; else rename"
                    " the header, or map the column that is right."
                )

    def _refuse_other_signs(self, rows: RawRows) -> None:
        """Raise ExportUnmappable for an amount with the sign of another currency than its row names."""
        signs = signs_of(amounts_of(self.inference.bound, rows.table))
        if not self.inference.bound.units or signs.null_count == len(signs):
            return
        stated = stated_units_of(self.inference.bound, rows.table)
        for unit, sign in {(unit, sign) for unit, sign in zip(stated.to_pylist(), signs.to_pylist(), strict=True) if unit and sign}:
            if not may_be_of(sign, unit):
                row = pc.index(pc.and_(pc.equal(stated, unit), pc.equal(signs, sign)), True).as_py()
                raise ExportUnmappable(
                    f"{self._where}, line {rows.lines[row]}: the amount has the sign {sign!r}, and its row names {name_or_shape(unit)!r}."
                    " Make the two one currency in the export, or map the column that is right in a dialect of your own ([currency] field)."
                )

    def _not_chosen(self, rows: RawRows, units: pa.Array) -> pa.Array:
        """An amount that names no currency may be in any, unless the export has but one; a deal without amount is in what it names."""
        amounts = amounts_of(self.inference.bound, rows.table)
        units = pc.if_else(pc.is_valid(amounts), units, stated_units_of(self.inference.bound, rows.table))
        unnamed = pc.and_(pc.is_valid(amounts), pc.is_null(units))
        if pc.any(unnamed).as_py():
            self._unnamed = True
            if len(self.inference.currencies) > 1:
                units = pc.if_else(unnamed, "", units)
        return pc.not_equal(units, self.chosen)


def listed(counts: Counter[str]) -> str:
    """Names with their numbers of rows, the commonest twenty, a line each."""
    return "".join(f"\n  {name_or_shape(name)}: {count:,} row{'' if count == 1 else 's'}" for name, count in counts.most_common(20))

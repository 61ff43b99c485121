"""The currency of each amount: by the columns that say it, else by the sign beside the number."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import holds, memory, one_chunk
from flows.crm.header_match import Bound
from flows.crm.values.cells import by_value, without
from flows.crm.values.numbers import currency_name, currency_of


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

"""Identifiers as they are compared: their text, without what spreadsheets and exports put around it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.formats import holds, memory
from flows.crm.values.cells import by_value, unquoted, visible

_ROUNDED = r"^[0-9]+(?:[.,][0-9]+)?[eE]\+[0-9]+$|^[0-9][.,][0-9]+[eE][0-9]+$"
"""As spreadsheets and Python write it, and as Java does, without a plus; `7E10` may be an id."""


def plain_ids(column: pa.Array) -> pa.Array:
    """The identifiers without surrounding blanks, zero-width characters, quotes, `="..."` and a leading `'`; null where nothing is left."""
    if not _may_be_odd(column):
        return column
    odd = pc.fill_null(pc.match_substring_regex(column, r"^[\s='\"]|[\s\"]$|[^\x21-\x7e]"), False)
    if not pc.any(odd).as_py():
        return column
    cleaned = by_value(column.filter(odd), _plain)
    return pc.replace_with_mask(column, odd, cleaned)


def _may_be_odd(column: pa.Array) -> bool:
    """True if any text has a character beyond visible ASCII, a quote or an `=`: a glance at the column's memory."""
    found = np.frombuffer(memory(column), np.uint8)
    return bool(len(found)) and (int(found.min()) < ord("!") or int(found.max()) > ord("~") or holds(pa.chunked_array([column]), b"='\""))


def _plain(text: str) -> str | None:
    text = unquoted(visible(text).strip())
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return text.removeprefix("'").strip() or None


def rounded(column: pa.Array) -> pa.Array:
    """True for identifiers that are numbers which a spreadsheet rounded (`1.43E+10`): their last digits are lost. False where null."""
    if not holds(pa.chunked_array([column]), b"+.,"):
        return pa.repeat(False, len(column))
    return pc.fill_null(pc.match_substring_regex(column, _ROUNDED), False)

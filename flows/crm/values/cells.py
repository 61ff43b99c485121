"""Work on columns of text that every conversion shares."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from functools import cache
from importlib import resources

import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import shape

NUMERIC_CELL = "\ue000"
"""Stands before a fraction that a workbook holds as a number: it has a decimal point whatever the texts beside it show."""

_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
"""Characters without width: soft hyphen, zero-width space and joiners, direction marks, word joiner, BOM."""

_NOTHING = dict.fromkeys(map(ord, _INVISIBLE))
_TYPED: dict[int, int | str | None] = (
    dict(_NOTHING)
    | {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)}
    | {zero + digit: str(digit) for zero in (0x0660, 0x06F0, 0x0966) for digit in range(10)}  # Arabic, Persian, Devanagari
    | {ord(sign): plain for sign, plain in zip("\u066b\u066c\uffe5\uffe1\uffe6\u2010\u2011", ".,¥£₩--", strict=True)}
)
_FORMULA = re.compile(r'=\s*"(?P<text>[^"]*)"')


def known_nulls() -> frozenset[str]:
    """The words that stand for an empty cell in any dialect."""
    return _null_words()["words"]


def undecided() -> frozenset[str]:
    """The words that say of a number, a date or a flag that nobody knows it yet; of a stage or a name they may be the text."""
    return _null_words()["undecided"]


@cache
def without_errors(words: frozenset[str]) -> frozenset[str]:
    """Those words for an empty cell that are no error of a spreadsheet: `#REF!` in a flag is a lost yes or no."""
    return frozenset(word for word in words if not word.startswith("#"))


@cache
def errors_among(words: frozenset[str]) -> pa.Array:
    """The errors of a spreadsheet among words for an empty cell."""
    return pa.array(sorted(word for word in words if word.startswith("#")), pa.string())


@cache
def report_rows() -> dict[str, str]:
    """Patterns of RE2 for the rows that reports add to their deals: ``totals`` and ``notes``."""
    said = tomllib.loads((resources.files("flows.crm.values") / "words" / "footers.toml").read_text("utf-8"))
    return {name: f"(?i){pattern.replace(chr(10), '')}" for name, pattern in said.items()}


@cache
def _null_words() -> dict[str, frozenset[str]]:
    said = tomllib.loads((resources.files("flows.crm.values") / "words" / "nulls.toml").read_text("utf-8"))
    return {name: frozenset(words) for name, words in said.items()}


def is_found(pattern: str, text: str) -> bool:
    """True if the pattern is found, by RE2: it takes time by the length of a text and not, as Python's, by its powers."""
    return bool(pc.match_substring_regex(pa.scalar(text, pa.string()), pattern).as_py())


def plain(column: pa.Array) -> pa.Array:
    """The cells without surrounding blanks (no-break ones included); a cell of nothing but blanks is null."""
    if not pc.any(pc.match_substring_regex(column, "^[\\s\u00a0\u202f]|[\\s\u00a0\u202f]$")).as_py():
        return column
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(trimmed, ""), None, trimmed)


def by_value(column: pa.Array, convert: Callable[[str], str | None]) -> pa.Array:
    """The column with each distinct text converted once; null where ``convert`` answers None."""
    encoded = column.dictionary_encode()
    converted = pa.array([convert(text) for text in encoded.dictionary.to_pylist()], pa.string())
    return converted.take(encoded.indices)


def without(column: pa.Array, values: frozenset[str]) -> pa.Array:
    """The column with every cell that is one of ``values`` made null."""
    if not values or column.null_count == len(column):
        return column
    found = pc.is_in(column, _set_of(values))
    return pc.if_else(found, None, column) if pc.any(found).as_py() else column


@cache
def _set_of(values: frozenset[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())


def counted(column: pa.Array) -> dict[str, int]:
    """Number of times that each value is in the column; nulls are not counted."""
    return {each["values"]: each["counts"] for each in pc.value_counts(column.drop_null()).to_pylist()}


def unmarked(column: pa.Array) -> pa.Array:
    """The column with the marks of numeric cells removed."""
    return pc.replace_substring_regex(column, f"^{NUMERIC_CELL}", "")


def visible(text: str) -> str:
    """The text without characters of no width."""
    return text if text.isascii() else text.translate(_NOTHING)


def unquoted(text: str) -> str:
    """The text without the `="..."` that keeps a spreadsheet program from converting it."""
    found = _FORMULA.fullmatch(text) if text.startswith("=") else None
    return found["text"].strip() if found else text


def typed(text: str) -> str:
    """A number or date as an ASCII keyboard types it: wide, Arabic and Indian digits and signs are ASCII's, and nothing is around it."""
    return unquoted(text if text.isascii() else text.translate(_TYPED).strip()).removeprefix("'")


def masked(text: str) -> str:
    """The form of a cell without what it says: `31/12/2024` is `99/99/9999`."""
    return shape(text.removeprefix(NUMERIC_CELL))

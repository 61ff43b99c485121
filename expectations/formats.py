"""Reading the platform's formats from Arrow text columns, exactly and vectorised.

Patterns spell ``[0-9]`` and both anchors: RE2 then refuses other scripts' digits and a trailing newline.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from expectations.deals_schema import NULL_WORDS, Kind

_LEAP = "(?:0[48]|[2468][048]|[13579][26])"
_DAY = (
    "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"  # months of 31 days
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8])"
)
_TIME = "T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
_YEAR = "(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_SINCE_1970 = "(?:19[7-9][0-9]|[2-9][0-9]{3})"
_LEAP_SINCE_1970 = f"(?:19(?:7[26]|8[048]|9[26])|[2-9][0-9]{_LEAP}|(?:[2468][048]|[3579][26])00)"

REAL_DATETIME = f"^(?:{_YEAR}-(?:{_DAY})|(?:[0-9]{{2}}{_LEAP}|{_LEAP}00)-02-29){_TIME}"
"""A day that the calendar has and a time that the clock has, of any year."""

PATTERNS = {
    Kind.DATETIME: f"^(?:{_SINCE_1970}-(?:{_DAY})|{_LEAP_SINCE_1970}-02-29){_TIME}",
    Kind.DECIMAL: r"^[0-9]+(?:\.[0-9]+)?$",
    Kind.INTEGER: "^[0-9]+$",
}
"""Pattern of a sound value of each kind."""

ALMOST = {Kind.DATETIME: REAL_DATETIME, Kind.DECIMAL: r"^-[0-9]+(?:\.[0-9]+)?$", Kind.INTEGER: "^-[0-9]+$"}
"""Pattern of a value of the kind that is wrong only in being before 1970, or negative."""

LIKELY = {
    Kind.DATETIME: "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.][0-9]+)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$",
    Kind.DECIMAL: r"^\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$",
    Kind.INTEGER: r"^\+?[0-9]+(?:\.0*)?$",
}
"""Pattern of a value that has the form of the kind, and is wrong only if the platform is as strict as assumed."""

_FLOAT_DIGITS = 300
"""More digits do not fit a float64."""


def text(values: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    """The column as strings, with empty texts as nulls (both are an empty cell in the CSV).

    Raises:
        TypeError: the column is neither text nor all null.
    """
    values = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_null(values.type)):
        raise TypeError(f"Expected text; found {values.type}.")
    values = values.cast(pa.string())
    if any(_has_empty(chunk) for chunk in values.chunks):
        values = pc.if_else(pc.equal(values, ""), None, values)
    return values


def one_chunk(values: pa.ChunkedArray) -> pa.Array:
    """The column as one array; a copy only where it is more."""
    return values.chunk(0) if values.num_chunks == 1 else values.combine_chunks()


def matches(values: pa.ChunkedArray, pattern: str) -> pa.ChunkedArray:
    """True if each text matches ``pattern``; null where the text is."""
    return pc.match_substring_regex(values, pattern)


_LONGEST_NULL_WORD = max(map(len, NULL_WORDS))
_ENDS_NULL_WORD = np.isin(np.arange(256), [ord(word[-1]) for word in NULL_WORDS])


@cache
def _null_words() -> pa.Array:
    """Made on first use: the first Arrow array imports pandas."""
    return pa.array(sorted(NULL_WORDS), pa.string())


def are_null_words(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """True if a text is a word that the platform may read as an empty cell (A); false where it is null."""
    return pc.is_in(values, value_set=_null_words())


def may_hold_null_words(values: pa.ChunkedArray) -> bool:
    """False if no text is as short and ends as a null word does: a glance, several times faster than asking each text."""
    return any(_ends_as_null_word(chunk) for chunk in values.chunks)


def _ends_as_null_word(chunk: pa.StringArray) -> bool:
    at = offsets(chunk)
    lengths = np.diff(at)
    last = at[1:][(lengths > 0) & (lengths <= _LONGEST_NULL_WORD)] - 1
    return len(last) > 0 and bool(_ENDS_NULL_WORD[np.frombuffer(chunk.buffers()[2], np.uint8)[last]].any())


def holds(values: pa.ChunkedArray, signs: bytes) -> bool:
    """True if the column's memory has any of some ASCII characters at all: a glance, some 20 times faster than asking each text."""
    memories = (memory(chunk).tobytes() for chunk in values.chunks)
    return any(sign in held for held in memories for sign in signs)


def _has_empty(chunk: pa.StringArray) -> bool:
    """True if a text that is not null has no characters; Arrow's own lengths are slow beside nulls."""
    empty = np.diff(offsets(chunk)) == 0
    return bool(empty.any()) and bool((empty & chunk.is_valid().to_numpy(zero_copy_only=False)).any())


def memory(chunk: pa.StringArray) -> memoryview:
    """Bytes that the chunk's texts take of a buffer that it may share; each is where :func:`offsets` says, less the first of them."""
    at = offsets(chunk)
    return memoryview(chunk.buffers()[2] or b"")[at[0] : at[-1]]


def offsets(chunk: pa.StringArray) -> npt.NDArray[np.int32]:
    """Start of each text in the buffer, and the end of the last."""
    buffer = chunk.buffers()[1]
    if buffer is None:
        return np.zeros(1, dtype=np.int32)
    return np.frombuffer(buffer, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]


def sound(values: pa.ChunkedArray, kind: Kind) -> pa.ChunkedArray:
    """True if each text is a sound value of a kind in :data:`PATTERNS`; null where the text is."""
    if kind is Kind.INTEGER:  # the same as its pattern, and several times faster
        return pc.ascii_is_decimal(values)
    return matches(values, PATTERNS[kind])


def amounts(values: pa.ChunkedArray, decimal: pa.ChunkedArray | None = None) -> pa.ChunkedArray:
    """The texts that are decimals as float64, null where a text is not one; ``decimal`` says which are, where that is known."""
    decimal = sound(values, Kind.DECIMAL) if decimal is None else decimal
    readable = pc.and_(decimal, pc.less_equal(pc.binary_length(values), _FLOAT_DIGITS))
    return pc.if_else(readable, values, None).cast(pa.float64())

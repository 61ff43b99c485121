"""Numbers of any spelling as plain decimals and integers, and booleans as `true` and `false`; what does not fit keeps its text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from flows.crm.values.cells import by_value, plain

Style = Literal["point", "comma"]

_PLAIN_DECIMAL = r"^[0-9]+(?:\.[0-9]+)?$"
_PLAIN_INTEGER = r"^[0-9]+$"
_CURRENCY = r"(?:[A-Z]{0,3}[$€£¥₹₽₩₪₺₫₱₴₦]|[A-Z]{3}|kr|zł|Kč|Ft|lei)"
_WRITTEN = re.compile(
    rf"(?P<open>\()?(?P<minus>[-\u2212])?(?P<before>{_CURRENCY})? ?(?P<inner>[-\u2212])?"
    rf"(?P<digits>\d[\d.,'\u2019 ]*|[.,]\d+)(?P<late>-)? ?(?P<after>{_CURRENCY})?(?P<close>\))?",
    re.ASCII,
)
_POINT = re.compile(r"(?:\d{1,3}(?:[,'\u2019 ]\d{2,3})*[,'\u2019 ]\d{3}|\d*)(?:\.\d*)?", re.ASCII)
_COMMA = re.compile(r"(?:\d{1,3}(?:[.'\u2019 ]\d{3})+|\d*)(?:,\d*)?", re.ASCII)
TRUE = frozenset({"true", "1", "1.0", "yes", "y", "t", "wahr", "ja", "sí", "oui", "sim", "verdadero", "vrai", "vero"})
FALSE = frozenset({"false", "0", "0.0", "no", "n", "f", "falsch", "nein", "non", "não", "falso", "faux"})


def to_numbers(column: pa.Array, style: Callable[[], Style] | None, *, integer: bool, apostrophe: bool = False) -> tuple[pa.Array, int]:
    """The column as plain decimals or integers (`3.0` is 3), and how many cells could not be read and keep their text.

    ``style`` is asked only where a value needs it, None means a decimal point; with ``apostrophe`` a leading one is a guard
    against formulas.
    """
    if column.null_count == len(column):
        return column, 0
    odd = _odd(column, style, integer=integer)
    if not pc.any(odd).as_py():
        return column, 0
    column = plain(column)
    odd = _odd(column, style, integer=integer)
    texts = column.filter(odd)
    read = by_value(texts, lambda text: parse_number(text.lstrip("'") if apostrophe else text, style or _point, integer=integer))
    return pc.replace_with_mask(column, odd, pc.coalesce(read, texts)), read.null_count


def _point() -> Style:
    return "point"


def _odd(column: pa.Array, style: Callable[[], Style] | None, *, integer: bool) -> pa.Array:
    odd = pc.invert(pc.fill_null(pc.match_substring_regex(column, _PLAIN_INTEGER if integer else _PLAIN_DECIMAL), True))
    if integer or style is None:
        return odd
    grouped = pc.fill_null(pc.match_substring_regex(column, r"^[0-9]{1,3}\.[0-9]{3}$"), False)
    if pc.any(grouped).as_py() and style() == "comma":
        return pc.or_(odd, pc.fill_null(pc.match_substring(column, "."), False))
    return odd


def parse_number(text: str, style: Callable[[], Style], *, integer: bool = False) -> str | None:
    """One number as plain text (`(120)` is -120), or None if it cannot be read surely."""
    found = _match(text)
    if found is None:
        return None
    number = _unpunctuated(found["digits"].strip(), style)
    if number is None:
        return None
    whole, _, fraction = number.partition(".")
    if integer and fraction.strip("0"):
        return None
    number = whole if integer else number
    negative = found["open"] or found["minus"] or found["inner"] or found["late"]
    return f"-{number}" if negative and number.strip("0.") else number


def currency_of(text: str) -> str:
    """The currency sign or code written beside a number, "" if there is none."""
    found = _match(text)
    return (found["before"] or found["after"] or "") if found else ""


def _match(text: str) -> re.Match[str] | None:
    found = _WRITTEN.fullmatch(" ".join(text.split()).removeprefix("+"))
    if found is None or bool(found["open"]) != bool(found["close"]) or (found["before"] and found["after"]):
        return None
    return found


def style_shown_by(text: str) -> Style | Literal["either"] | None:
    """Which decimal sign a number proves; "either" for one such as `1,234`, None for one that reads the same both ways."""
    found = _match(text)
    digits = found["digits"].strip(" '\u2019") if found else ""
    points, commas = digits.count("."), digits.count(",")
    if not points and not commas:
        return None
    if points and commas:
        return "point" if digits.rfind(".") > digits.rfind(",") else "comma"
    if points + commas > 1:
        return "comma" if points else "point"
    sign = "." if points else ","
    whole, _, rest = digits.partition(sign)
    if len(rest) == 3 and 1 <= len(whole) <= 3 and whole != "0":
        return "either"
    return "point" if points else "comma"


def _unpunctuated(digits: str, style: Callable[[], Style]) -> str | None:
    if digits.isdecimal():
        return digits
    pattern, grouping, point = (_POINT, ",'\u2019 ", ".") if style() == "point" else (_COMMA, ".'\u2019 ", ",")
    if not pattern.fullmatch(digits):
        return None
    for sign in grouping:
        digits = digits.replace(sign, "")
    whole, _, fraction = digits.partition(point)
    return f"{whole or '0'}.{fraction}" if fraction else whole or None


def to_booleans(column: pa.Array, *, blank: str | None = None) -> tuple[pa.Array, int]:
    """The column as `true` and `false`, ``blank`` where it is empty, and how many cells could not be read."""
    read = by_value(column, _boolean)
    unread = read.null_count - column.null_count
    result = pc.coalesce(read, column)
    return (pc.fill_null(result, blank) if blank else result), unread


def _boolean(text: str) -> str | None:
    word = text.strip().casefold()
    return "true" if word in TRUE else "false" if word in FALSE else None

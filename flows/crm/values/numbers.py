"""Numbers of any spelling as plain decimals and integers; what does not fit keeps its text."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from decimal import Context, Decimal
from importlib import resources
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from flows.crm.values.cells import NUMERIC_CELL, by_value, plain, typed

Style = Literal["point", "comma"]

_PLAIN_DECIMAL = r"^[0-9]+(?:\.[0-9]+)?$"
_PLAIN_INTEGER = r"^[0-9]+$"
_PLAIN = re.compile(r"-?[0-9]+(?:\.[0-9]+)?", re.ASCII)
_EITHER = r"^[1-9][0-9]{0,2}\.[0-9]{3}$"
_KNOWN = tomllib.loads((resources.files("flows.crm.values") / "words" / "currencies.toml").read_text("utf-8"))
ISO_CODES, _COUNTRY = ("|".join(_KNOWN[name].split()) for name in ("codes", "countries"))
"""The codes of currencies, as a pattern."""

_CURRENCY = (
    rf"(?:(?:{_COUNTRY}|{ISO_CODES})?[$€£¥₹₽₩₪₺₫₱₴₦]|{ISO_CODES}|[Kk]r\.?|zł|Kč|Ft|lei|Fr\.|Rs\.?|RM|S/\.?|TL|R(?=[ \d])|[Ee]uros?"
    r"|\u0440\u0443\u0431\.?|\u0433\u0440\u043d\.?|\u043b\u0432\.?|円|元)"  # Cyrillic: roubles, hryvnias, leva
)
_LONGEST = 200
"""Characters of a number: a longer text is none, and patterns take long over it."""

_WRITTEN = re.compile(
    rf"(?P<open>\()?(?P<minus>[-\u2212])?(?P<before>{_CURRENCY})? ?(?P<inner>[-\u2212])?"
    rf"(?P<digits>\d[\d.,'\u2019 ]*|[.,]\d+)(?P<dash>[-\u2212\u2013\u2014]{{1,2}})?(?:/[-=])? ?(?P<after>{_CURRENCY})?(?P<close>\))?",
    re.ASCII,
)
_SIGN_OUTSIDE = re.compile(rf"({_CURRENCY}) ?\((.*)\)")
"""A negative amount as accountants write it: `$(1,200.00)`."""

_POINT = re.compile(r"(?:\d{1,3}(?:[,'\u2019 ]\d{2,3})*[,'\u2019 ]\d{3}|\d*)(?:\.\d*)?", re.ASCII)
_COMMA = re.compile(r"(?:\d{1,3}(?:[.'\u2019 ]\d{3})+|\d*)(?:,\d*)?", re.ASCII)
_CODES = {
    "€": "EUR",
    "₽": "RUB",
    "₹": "INR",
    "₩": "KRW",
    "₪": "ILS",
    "₺": "TRY",
    "₫": "VND",
    "₱": "PHP",
    "₴": "UAH",
    "₦": "NGN",
    "TL": "TRY",
    "R": "ZAR",
    "zł": "PLN",
    "Kč": "CZK",
    "Ft": "HUF",
    "US$": "USD",
    "R$": "BRL",
    "A$": "AUD",
    "AU$": "AUD",
    "C$": "CAD",
    "CA$": "CAD",
    "NZ$": "NZD",
    "S$": "SGD",
    "HK$": "HKD",
    "NT$": "TWD",
    "MX$": "MXN",
    "円": "JPY",
    "元": "CNY",
    "S/": "PEN",
    "RM": "MYR",
    "Euro": "EUR",
    "euro": "EUR",
    "Euros": "EUR",
    "US Dollar": "USD",
    "U.S. Dollar": "USD",
    "Pound Sterling": "GBP",
    "British Pound": "GBP",
}
"""Names of one currency alone; `$`, `£`, `¥`, `kr` are several' signs."""

_SEVERAL = {
    "$": "USD CAD AUD NZD SGD HKD TWD MXN ARS CLP COP BRL UYU DOP",
    "£": "GBP EGP LBP SYP GIP FKP",
    "¥": "JPY CNY",
    "kr": "SEK NOK DKK ISK",
    "rs": "INR PKR LKR NPR MUR",
    "fr": "CHF XOF XAF",
}

_POWER = re.compile(r"-?\d(?:\.\d{1,14})?e[+-]\d{2}", re.ASCII)
"""As R and Python print large numbers, which are whole; a spreadsheet writes a capital E, and has rounded."""

_WHOLE = re.compile(r"(\d+)[.,]0{1,2}", re.ASCII)


def to_numbers(
    column: pa.Array, style: Callable[[], Style], *, integer: bool, known: Style | None = None, apostrophe: bool = False
) -> tuple[pa.Array, int]:
    """The column as plain decimals or integers (`3.0` is 3), and how many cells could not be read and keep their text.

    ``style`` is asked only where a value can be read two ways, unless it is ``known``; with ``apostrophe`` a leading one is a
    guard against formulas. A cell that begins with `NUMERIC_CELL` is a number whatever the style.
    """
    if column.null_count == len(column):
        return column, 0
    odd = _odd(column, known, integer=integer)
    if not pc.any(odd).as_py():
        return column, 0
    column = plain(column)
    odd = _odd(column, known, integer=integer)
    texts = column.filter(odd)
    read = by_value(
        texts,
        lambda text: parse_number(text.lstrip("'") if apostrophe else text, (lambda: known) if known else style, integer=integer),
    )
    return pc.replace_with_mask(column, odd, pc.coalesce(read, texts)), read.null_count


def scaled(column: pa.Array, factor: str) -> pa.Array:
    """Plain numbers times ``factor``; any other text stays."""
    exact, times = Context(prec=2 * _LONGEST), Decimal(factor)

    def product(text: str) -> str:
        return f"{exact.multiply(Decimal(text), times).normalize(exact):f}" if _PLAIN.fullmatch(text) else text

    return by_value(column, product)


def _odd(column: pa.Array, known: Style | None, *, integer: bool) -> pa.Array:
    """True where a cell is not plain, or its point may be another's comma: by the cell alone, whatever else is in the column."""
    odd = pc.invert(pc.fill_null(pc.match_substring_regex(column, _PLAIN_INTEGER if integer else _PLAIN_DECIMAL), True))
    if integer or known == "point":
        return odd
    doubtful = pc.match_substring(column, ".") if known == "comma" else pc.match_substring_regex(column, _EITHER)
    return pc.or_(odd, pc.fill_null(doubtful, False))


def parse_number(text: str, style: Callable[[], Style], *, integer: bool = False) -> str | None:
    """One number as plain text (`(120)` is -120), or None if it cannot be read surely."""
    if text.startswith(NUMERIC_CELL):
        style, text = _point, text.removeprefix(NUMERIC_CELL)
    if _POWER.fullmatch(text):
        text, style = f"{Decimal(text):f}", _point
    found = _match(text)
    if found is None:
        return None
    number = _unpunctuated(found["digits"].strip(), style, integer=integer)
    if number is None:
        return None
    whole, _, fraction = number.partition(".")
    if integer and fraction.strip("0"):
        return None
    number = whole if integer else number
    negative = found["open"] or found["minus"] or found["inner"] or (found["dash"] and not _no_cents(found))
    return f"-{number}" if negative and number.strip("0.") else number


def _point() -> Style:
    return "point"


def currency_of(text: str) -> str:
    """The currency sign or code written beside a number, "" if there is none."""
    found = _match(text)
    return (found["before"] or found["after"] or "") if found else ""


def currency_name(text: str) -> str:
    """The one name of a currency, by any name or sign: `EUR` for `eur`, `€` and `Euro`. Any other, and `GBp` for pence, stays."""
    text = " ".join(text.split())
    return _CODES.get(text) or (text.upper() if re.fullmatch("[A-Z]{3}|[A-Za-z][a-z]{2}", text) else text)


def may_be_of(sign: str, unit: str) -> bool:
    """True if ``sign`` can stand beside an amount in ``unit``, a currency and perhaps a period; also where the unit is no currency."""
    words = unit.split()
    codes = [word for word in words if re.fullmatch("[A-Z]{3}", word)]
    several = _SEVERAL.get(sign.rstrip(".").casefold())
    return sign in words or not codes or (several is not None and any(code in several for code in codes))


def may_be_one(sign: str, other: str) -> bool:
    """True if two signs or codes can stand for one currency, as `$` and `CAD`."""
    return sign == other or any(len(code) == 3 and may_be_of(each, code) for each, code in ((sign, other), (other, sign)))


def _match(text: str) -> re.Match[str] | None:
    if len(text) > _LONGEST:
        return None
    text = _SIGN_OUTSIDE.sub(r"(\1\2)", " ".join(typed(text).split()).removeprefix("+"))
    found = _WRITTEN.fullmatch(text)
    if found is None or bool(found["open"]) != bool(found["close"]) or (found["before"] and found["after"]):
        return None
    return None if found["dash"] not in {None, "-", "\u2212"} and not _no_cents(found) else found


def _no_cents(found: re.Match[str]) -> bool:
    """True if a dash stands for the cents, as in `1.200,-`."""
    return bool(found["dash"]) and found["digits"].endswith((".", ","))


def style_shown_by(text: str) -> Style | Literal["either"] | None:
    """The decimal sign that a number proves; "either" for one such as `1,234`, None for one that reads the same both ways."""
    found = _match(text)
    digits = found["digits"].strip(" '\u2019") if found else ""
    if found and _no_cents(found):
        return "point" if digits.endswith(".") else "comma"
    points, commas = digits.count("."), digits.count(",")
    if not points and not commas:
        return None
    if points and commas:
        return "point" if digits.rfind(".") > digits.rfind(",") else "comma"
    if points + commas > 1:
        return "comma" if points else "point"
    sign = "." if points else ","
    whole, _, rest = digits.partition(sign)
    if len(rest) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0"):
        return "either"
    return "point" if points else "comma"


def style_shown_by_whole(text: str) -> Style | Literal["either"] | None:
    """As `style_shown_by`, for a number that is whole: three digits behind a sign are thousands, unless all are 0; `3.0` proves nothing."""
    shown = style_shown_by(text)
    found = _match(text)
    digits = found["digits"].strip(" '\u2019") if found else ""
    if shown == "either" and not digits.endswith("000"):
        return "comma" if "." in digits else "point"
    return None if _WHOLE.fullmatch(digits) else shown


def _unpunctuated(digits: str, style: Callable[[], Style], *, integer: bool) -> str | None:
    if digits.isdecimal():
        return digits
    if integer and (found := _WHOLE.fullmatch(digits)):
        return found[1]
    signs = "." in digits or "," in digits
    pattern, grouping, point = (_POINT, ",'\u2019 ", ".") if not signs or style() == "point" else (_COMMA, ".'\u2019 ", ",")
    if not pattern.fullmatch(digits):
        return None
    for sign in grouping:
        digits = digits.replace(sign, "")
    whole, _, fraction = digits.partition(point)
    return f"{whole or '0'}.{fraction}" if fraction else whole or None

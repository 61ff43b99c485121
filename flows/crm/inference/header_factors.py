"""The facts that a header states of its numbers: their factor (`TEUR` is thousands, `amount_cents` hundredths) and their currency."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from flows.crm.values.cells import visible
from flows.crm.values.numbers import ISO_CODES, currency_name

_SIGNS = "$€£¥₹₽₩₪₺₫₱₴₦"
_NAMES = f"{ISO_CODES.lower()}|kr|zł|kč|ft|tl|rs|rmb|euros?|dollars?"
_WORD = re.compile(r"[^\W\d_]+")
_EAST_MONEY = "[円圆元원₩¥]"
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
_IN_BRACKETS = re.compile(rf"(?:[(\[\uff08]|\b[Ii]n ) ?(?P<name>{ISO_CODES})(?![A-Za-z])")
_SIGN = re.compile(rf"(?P<name>(?:US|A|C|CA|AU|NZ|R|HK|S|MX)?[{_SIGNS}])(?![\w])")
_NOUGHTS = re.compile(r"(?<![\d.,/-])(?:[x*\u00d7] ?)?(?:1[., '\u2019]?)?['\u2019]?000['\u2019]?s?(?![\d.,/-])")
"""`000s`, `£'000`, `in 1.000 EUR`, `x1000`."""


def factor_in(header: str) -> str | None:
    """The factor as a number, such as `1000` for `Umsatz in Tsd.` or `k€`; None where the header says none."""
    text = f" {_CAMEL.sub(' ', visible(header)).replace('_', ' ').casefold()} "
    words = f" {' '.join(_WORD.findall(text))} "
    if " per cent " in words:
        return None
    for factor, names in _known()["words"].items():
        if any(f" {name} " in words for name in names):
            return factor
    if "cr" in words.split() and re.search(r"₹|\b(?:inr|rs)\b", text):
        return "10000000"
    return "1000" if _NOUGHTS.search(text) else _beside_money(text)


def currency_in(header: str) -> str | None:
    """The currency that a header names: in brackets, behind `in`, or by a sign: `Amount (EUR)`, `Betrag in CHF`, `Wert \u20ac`."""
    text = visible(header)
    found = _IN_BRACKETS.search(text) or _SIGN.search(text)
    return currency_name(found["name"]) if found else None


def _beside_money(text: str) -> str | None:
    for factor, letters in _known()["letters"].items():
        letter = f"(?:{'|'.join(letters)})"
        alone = rf"[(\[] ?{letter} ?[)\]]|\bin {letter}\b" + (r"|\bk $" if factor == "1000" else "")
        before = rf"(?<!\w){letter}[ .]?(?:(?:{_NAMES})(?![^\W\d_])|[{_SIGNS}])"
        behind = rf"(?:(?<!\w)(?:{_NAMES})|[{_SIGNS}]) ?{letter}(?![\w/])"
        if re.search(f"{before}|{behind}|{alone}", text):
            return factor
    for factor, signs in _known()["signs"].items():
        sign = f"(?<![百千万萬백천만])(?:{'|'.join(signs)})"
        if re.search(rf"{sign}{_EAST_MONEY}|[(\[\uff08] ?{sign} ?[)\]\uff09]", text):
            return factor
    return None


@cache
def _known() -> Mapping[str, Mapping[str, list[str]]]:
    """For each way to say a factor, its words by factor."""
    return tomllib.loads((resources.files("flows.crm.values") / "words" / "factors.toml").read_text("utf-8"))

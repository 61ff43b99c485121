"""The disclosable part of a cell outside of files that only their owner reads: its form, or a name of the CRM's own."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from expectations.deals_schema import COLUMN_NAMES, STATUSES

SHOWN = 40
"""Characters of a form, and of a name: a longer text is prose."""

_PERSONAL = re.compile(r"[@\x00-\x1f\x7f]|://|\d{4}|\d[\d ()./-]{5,}\d")
"""An address, a number that could be a phone's or an id's, what no name has."""


def shape(text: str) -> str:
    """The form of a text without what it says: `31/12/2024` is `99/99/9999`, `Won` is `Aaa`."""
    return "".join(_masked(sign) for sign in text[:SHOWN]) + ("..." if len(text) > SHOWN else "")


def name_or_shape(text: str) -> str:
    """A stage, pipeline, currency or header as it is; its length where it could be about a person."""
    return text if len(text) <= SHOWN and not _PERSONAL.search(text) else f"(a text of {len(text)} characters)"


_DATED = re.compile(r"(?:19|20)\d\d(?:[-_. ]?\d\d?){0,2}(?!\d)")


def title_or_shape(text: str) -> str:
    """The name of a sheet or a file as it is, which may have a date; its length where it could be about a person."""
    return f"(a name of {len(text)} characters)" if _PERSONAL.search(_DATED.sub("", text)) else text


_QUOTED = re.compile(
    "|".join(rf"(?<!\w){pair[0]}([^{pair[1]}]*){pair[1]}" for pair in ("''", '""', "``", "\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb"))
)
_PIECE = re.compile(r"\S+")
_WORD = re.compile(r"[^\W\d_]+")


def without_cells(text: str) -> str:
    """Foreign words, such as an answer's, with the form of each that may be a cell's.

    That is what stands in quotes, addresses, numbers of four digits and more, and words with a capital, unless they are a column's,
    a status's, or one of those that `words.toml` has.
    """
    text = _QUOTED.sub(lambda found: f"{found[0][0]}{known_or_shape(found[0][1:-1])}{found[0][-1]}", text)
    text = _PIECE.sub(lambda found: shape(found[0]) if _PERSONAL.search(found[0]) and not _is_known(found[0]) else found[0], text)
    return _WORD.sub(lambda found: found[0] if found[0].islower() or _is_known(found[0]) else shape(found[0]), text)


def _is_known(text: str) -> bool:
    return text in COLUMN_NAMES or text in STATUSES or text.casefold() in _words()


@cache
def _words() -> frozenset[str]:
    """The words of answers that are shown as they are, whatever their case."""
    return frozenset(tomllib.loads((resources.files("expectations") / "words.toml").read_text("ascii"))["of_answers"].split())


def known_or_shape(text: str) -> str:
    """A word that is no cell's as it is, the form of any other text."""
    return text if _is_known(text) else shape(text)


def _masked(sign: str) -> str:
    if sign.isnumeric():
        return "9"
    if sign.isalpha():
        return "A" if sign.isupper() else "a"
    return sign if sign.isprintable() and sign.isascii() else "?"

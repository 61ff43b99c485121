"""The disclosable part of a cell outside of files that only their owner reads: its form, or a name of the CRM's own."""

from __future__ import annotations

import re

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


def _masked(sign: str) -> str:
    if sign.isnumeric():
        return "9"
    if sign.isalpha():
        return "A" if sign.isupper() else "a"
    return sign if sign.isprintable() and sign.isascii() else "?"

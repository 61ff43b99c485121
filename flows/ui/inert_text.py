"""Foreign text in Markdown: names, paths and messages that come from an export or the platform format nothing and fetch nothing."""

from __future__ import annotations

import re

from flows.errors import printable

_SIGNS = re.compile(r"<|\||(?<=\])[(\[:]|```|~~~")
"""Signs that begin HTML or a table's cell, end a link's text, or open a block of code."""

_HEADING = re.compile(r"^([\s>*+-]*)(#)", re.MULTILINE)


def inert(text: str) -> str:
    """``text`` as a piece of Markdown: no HTML, link, image, heading, table or block of code is made by it."""
    escaped = _SIGNS.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), printable(text))
    return _HEADING.sub(r"\1\\\2", escaped)


def code(text: str) -> str:
    """``text`` as code in a line of Markdown, which nothing in it ends."""
    return f"`{' '.join(printable(text).split()).replace('`', chr(39))}`"

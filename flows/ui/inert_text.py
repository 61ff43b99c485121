"""Foreign text in Markdown: names, paths and messages that come from an export or the platform format nothing and fetch nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flows.errors import printable

_SIGNS = re.compile(r"<|\||(?<=\])[(\[:]|```|~~~")
"""Signs that begin HTML or a table's cell, end a link's text, or open a block of code."""

_HEADING = re.compile(r"^([\s>*+-]*)(#)", re.MULTILINE)


def inert(text: str) -> str:
    """``text`` as a piece of Markdown: no HTML, link, image, heading, table or block of code is made by it."""
    escaped = _SIGNS.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), printable(text))
    return _HEADING.sub(r"\1\\\2", escaped)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows of texts, their header first, as a table whose cells format nothing."""
    head, *body = (f"| {' | '.join(inert(' '.join(cell.split())) for cell in row)} |" for row in rows)
    return "\n".join([head, f"|{'---|' * len(rows[0])}", *body])


_SUMMONS = re.compile(r"@(?=\w)|(?<=\])(?=[(\[])")
"""Places where a name is called, or a link's text ends."""

_ADDRESS = re.compile(r"(?<=\w)://[^\s/]*")
"""The sign that begins a link's address, with its host."""

_APART = "\u200b"
"""A space without width: what it parts is read as before, and is no link and no call."""


def in_a_chat(text: str, own: str = "") -> str:
    """``text`` for a notice: it calls nobody (Slack's `<!channel>`, `@here`), and links nowhere but to addresses that ``own`` has."""
    parted = _SUMMONS.sub(lambda found: f"{found[0]}{_APART}", printable(text))
    parted = _ADDRESS.sub(lambda found: found[0] if found[0] in own else f":{_APART}{found[0][1:]}", parted)
    return parted.translate({ord("<"): "\u2039", ord(">"): "\u203a"})


def code(text: str) -> str:
    """``text`` as code in a line of Markdown, which nothing in it ends."""
    return f"`{' '.join(printable(text).split()).replace('`', chr(39))}`"

"""The options that a message names, in both languages: as the command line takes them, and as the form of a deployment does."""

from __future__ import annotations

import re

from flows.options import SyncOptions
from flows.ui.inert_text import code

_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)(?: ('[^']*'|[^\s`|]+))?")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z|%=-]+")
_ENDS = ".,;:)`'\""


def remedies(message: str) -> str:
    """Make a Markdown table of the options in ``message`` that a form has too; empty where there is none.

    A switch is `true` in the form; a name in capitals stands for what the user chooses.
    """
    rows = dict(filter(None, map(_row, _OPTION.finditer(message))))
    if not rows:
        return ""
    lines = [f"| {_cell(said)} | {form} |" for said, form in rows.items()]
    return "\n".join(["| on the command line | in the form, or with `prefect deployment run -p` |", "|---|---|", *lines])


def _row(found: re.Match[str]) -> tuple[str, str] | None:
    name, said = found[1].replace("-", "_"), (found[2] or "").rstrip(_ENDS.replace("'", ""))
    value = said.strip(_ENDS)
    field = SyncOptions.model_fields.get(name)
    if field is None or name == "collection":  # of another command, such as `resume`
        return None
    if field.annotation is bool:
        return f"--{found[1]}", f"set `{name}` to `true`"
    if not value or _PLACEHOLDER.fullmatch(value):
        return f"--{found[1]} {value or 'VALUE'}", f"fill in `{name}`"
    many = getattr(field.annotation, "__origin__", None) is tuple
    return f"--{found[1]} {said}", f"add {_cell(value)} to `{name}`" if many else f"set `{name}` to {_cell(value)}"


def _cell(text: str) -> str:
    """``text`` as code in a cell, which ends at any bar."""
    return code(text).replace("|", r"\|")

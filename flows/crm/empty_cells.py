"""A user's words in place of what an export lacks: a default for a column, and when a deal closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

from expectations.deals_schema import COLUMN_NAMES
from flows.crm.dialect import Dialect, Recipe, Source
from flows.crm.dialect_keys import Misread, check_references
from flows.crm.header_match import CLOSED_DATES, Bound
from flows.errors import UsageError

ClosedDate = Literal["stage", "modified", "created"]

_NEVER = {
    "id": "an id must tell deals apart; `dealcast crms EXPORT` names the columns that do",
    "status": "what a stage says of the outcome is written as [[status]] in a dialect of your own",
    "lastSyncedAt": "the sync fills it",
}


def with_defaults(dialect: Dialect, defaults: Sequence[str] = (), closed_date: ClosedDate | None = None) -> Dialect:
    """The dialect with what ``defaults`` (each ``COLUMN=VALUE`` or ``COLUMN=@OTHER``) and ``closed_date`` add at the end of a chain.

    They fill only what is empty otherwise, and are counted as such. Raises UsageError for what names no column or makes no sense.
    """
    if not defaults and closed_date is None:
        return dialect
    if dialect.verbatim:
        raise UsageError(f"The dialect {dialect.name!r} is read as it stands: fill its empty cells in the file, not by --default.")
    columns = dict(dialect.columns)
    for said in defaults:
        column, source = _default(said)
        columns[column] = (*columns.get(column, ()), source)
    if closed_date is not None:
        columns["closedDatetime"] = (*columns.get("closedDatetime", ()), *_closing(dialect, closed_date))
    try:
        check_references({name: references(recipe) for name, recipe in columns.items()})
    except Misread as error:
        raise UsageError(f"--default: {error}") from error
    return replace(dialect, columns=columns)


def _default(said: str) -> tuple[str, Source]:
    column, given, value = said.partition("=")
    column, value = column.strip(), value.strip()
    if not given or not value:
        raise UsageError(f"--default {said!r} is not COLUMN=VALUE, such as value=0 or lastUpdateDatetime=@creationDatetime.")
    if why := _NEVER.get(column):
        raise UsageError(f"--default cannot fill {column}: {why}.")
    for name in (column, *([value[1:]] if value.startswith("@") else [])):
        if name not in COLUMN_NAMES:
            raise UsageError(f"--default names {name!r}, which is none of the platform's 35 columns.")
    return column, Source("column" if value.startswith("@") else "default", (value,))


def _closing(dialect: Dialect, closed_date: ClosedDate) -> Recipe:
    """The cells themselves, and not what the dialect takes for want of them: that may be the closing in turn."""
    column = CLOSED_DATES[closed_date]
    recipe = tuple(source for source in dialect.columns.get(column, ()) if source.how not in {"column", "default"})
    if not recipe:
        others = " or ".join(f"--closed-date {word}" for word in get_args(ClosedDate) if word != closed_date)
        raise UsageError(
            f"The dialect {dialect.name!r} knows no header for {column}, so --closed-date {closed_date} says nothing. Say {others}."
        )
    return tuple(replace(source, during="closed") for source in recipe)


def require_closing(bound: Bound, closed_date: ClosedDate | None, location: str) -> None:
    """Raise UsageError where ``closed_date`` names what the export has no column for."""
    if closed_date is None:
        return
    sources = _closing(bound.dialect, closed_date)
    if not any(bound.has(source) for source in sources):
        headers = list(
            dict.fromkeys(header for source in sources for name in source.names for header in bound.dialect.headers_of(name)[:2])
        )
        raise UsageError(
            f"{location} has no column for --closed-date {closed_date}: looked for {' or '.join(map(repr, headers))}."
            " Add it to the export, or say another."
        )


def references(recipe: Recipe) -> list[str]:
    """The other target columns that a chain takes from."""
    return [source.names[0][1:] for source in recipe if source.how == "column"]

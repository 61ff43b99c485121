"""The options of a sync that say what its guard lets pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec

import click

P = ParamSpec("P")

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--accept-shrink", {"is_flag": True, "help": "Go on although the export is much smaller, or older, than the last one."}),
    ("--accept-change", {"is_flag": True, "help": "Go on although over a fifth of the known deals, and 50 or more, are new or changed."}),
    (
        "--accept-reading-change",
        {"is_flag": True, "help": "Go on although the export is read differently (zones, dialect, ...) than by the last sync."},
    ),
    ("--max-age", {"metavar": "DURATION", "help": "Stop with 7 where the export's file, or its newest change, is older: 36h, 7d."}),
    (
        "--missing",
        {
            "type": click.Choice(["keep", "delete"]),
            "default": "keep",
            "show_default": True,
            "help": "Deals that the export no longer has: keep them on the platform, or delete them there by id.",
        },
    ),
    (
        "--missing-limit",
        {"metavar": "N|P%", "help": "The most such deals to delete at once. Default: 1% of the known ones, or 20 where that is more."},
    ),
)


def guard_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """Add the options."""
    for name, how in reversed(_OPTIONS):
        command = click.option(name, **how)(command)
    return command


def an_age(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A command line's age, checked.

    Raises:
        BadParameter: it is none.
    """
    from flows.options import age_of  # noqa: PLC0415 - pydantic takes a while to import

    if value is not None:
        try:
            age_of(value)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", context, option) from error
    return value


def hours(context: click.Context, option: click.Parameter, value: str) -> float:
    """A command line's age in hours; a bare number is one already. Raises BadParameter where it is none."""
    from flows.options import age_of  # noqa: PLC0415 - as above

    try:
        return float(value) if value.replace(".", "", 1).isdecimal() else age_of(value).total_seconds() / 3600
    except ValueError as error:
        raise click.BadParameter(f"{error}.", context, option) from error

"""``dealcast crms``: the dialects, and which of them fits an export."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.crm import Fit, fit, known_dialects
from flows.errors import ExportError

_LACKS = 4
"""Missing columns shown for a dialect that does not fit."""

_STAGES = 20
_LONGEST = 40
"""Characters of an example."""


def show_dialects() -> None:
    """A line per shipped dialect: its name, what it reads, and how surely its headers are known."""
    table = Table("--crm", "reads", "how surely")
    for dialect in known_dialects():
        table.add_row(dialect.name, dialect.title, dialect.source)
    Console().print(table)
    click.echo('A TOML of your own may say `extends = "hubspot"` and override any of it; pass its path as --crm.')


def show_fit(location: str, crm: str | None = None, encoding: str | None = None) -> int:
    """The dialects from best to worst, and what each target column would get from the best, or from ``crm``.

    Returns:
        The exit code: 0 where a dialect fits, 3 where the export cannot be read or mapped as it is.
    """
    found = fit(location, crm, encoding)
    console = Console()
    separator = f", separator {found.separator!r}" if found.separator else ""
    console.print(f"{found.path}: {found.encoding}{separator}", highlight=False, markup=False, soft_wrap=True)
    ranking = Table("--crm", "fits", "headers known", "lacks")
    for dialect in found.ranking:
        known = f"{dialect.recognised} of {dialect.headers}"
        ranking.add_row(dialect.name, "yes" if dialect.fits else "no", known, ", ".join(dialect.missing[:_LACKS]))
    console.print(ranking)
    best = crm or found.ranking[0].name
    console.print(_columns(found, best))
    if found.undecided:
        click.echo("Stages that say no outcome, in the rows looked at:")
        for stage, rows in list(found.undecided.items())[:_STAGES]:
            click.echo(f"  {stage[:_LONGEST]}: {rows:,} deals")
    if found.trouble is not None:
        click.echo(f"As it is, it cannot be read: {found.trouble}", err=True)
        return ExportError.exit_code
    click.echo(f"Next: dealcast check {location} --crm {best}")
    return 0


def _columns(found: Fit, crm: str) -> Table:
    table = Table("column", "from", "for example", title=f"What each column would get with --crm {crm}", title_justify="left")
    table.add_column("rows", justify="right")
    for column in found.columns:
        if column.why_empty is None:
            example = "" if column.example is None else escape(repr(column.example[:_LONGEST]))
            table.add_row(column.column, escape(", else ".join(column.sources)), example, f"{column.rows:,} of {column.sample:,}")
        else:
            table.add_row(column.column, f"[dim]{escape(column.why_empty)}[/]", "", "0")
    return table

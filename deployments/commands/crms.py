"""``dealcast crms``: the dialects, and which of them fits an export."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from deployments.command_line.console import InertConsole
from expectations.deals_schema import STATUSES
from expectations.disclosure import name_or_shape, shape
from flows.crm import ID_COST, NOTHING_SAID, DialectFit, Fit, Said, fit, id_line, known_dialects, skeleton
from flows.errors import ExportError, UsageError, printable
from flows.options import counted
from flows.runtime.atomic_files import write_whole

_LACKS = 4
"""Missing columns shown for a dialect that does not fit."""

_CLOSEST = 3
"""Dialects shown where none matches, or one was chosen."""

_STAGES = 20
_PLAIN = re.compile(rf"\d{{4}}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)?)?|true|false|{'|'.join(STATUSES)}")


def show_dialects(*, as_json: bool = False) -> None:
    """A line per shipped dialect: its name, what it reads, and how surely its headers are known; one object with ``as_json``."""
    if as_json:
        found = [{"name": each.name, "reads": each.title, "how_surely": each.source} for each in known_dialects()]
        click.echo(json.dumps({"dialects": found}))
        return
    table = Table("--crm", "reads", "how surely")
    for dialect in known_dialects():
        table.add_row(dialect.name, dialect.title, dialect.source)
    InertConsole().print(table)
    click.echo('A TOML of your own may say `extends = "hubspot"` and override any of it; pass its path as --crm.')


def show_fit(location: str, crm: str | None = None, said: Said = NOTHING_SAID, write: Path | None = None, *, as_json: bool = False) -> int:
    """The dialects from best to worst, and what each target column would get from the best, or from ``crm``; a skeleton into ``write``.

    With ``as_json`` one object is printed in place of tables; examples are left out of it.

    Returns:
        The exit code: 0 where a dialect fits, 3 where the export cannot be read or mapped as it is.

    Raises:
        UsageError: ``write`` is there already.
    """
    if write is not None and (write.exists() or write.is_symlink()):
        raise UsageError(f"{write} is there already. Name another file, or remove it.")
    found = fit(location, crm, said)
    matches = crm is not None or found.chosen.matches
    code = 0 if matches and found.trouble is None else ExportError.exit_code
    if write is not None:
        write_whole(write, [skeleton(found).encode()])
    if as_json:
        click.echo(json.dumps(_as_object(found, code)))
        return code
    console = InertConsole()
    console.print(f"{found.path}: {found.form}", highlight=False, markup=False, soft_wrap=True)
    console.print(_ranking(found.ranking if matches and crm is None else found.ranking[: _CLOSEST + (crm is not None)]))
    if matches:
        console.print(_columns(found, crm or found.chosen.name), _left_empty(found), sep="")
        console.print(f"{found.zones}", highlight=False, markup=False, soft_wrap=True)
    for warning in found.warnings:
        console.print(f"{warning}.", highlight=False, markup=False, soft_wrap=True)
    _say_more(found)
    if write is not None:
        again = f"dealcast crms {_for_a_shell(location)} --crm {_for_a_shell(str(write))}"
        click.echo(printable(f"{write} is a dialect to start from. Next: fill it in, then {again}"))
    if not matches and write is None:
        console.print(_no_match(found), highlight=False, markup=False, soft_wrap=True)
    if matches and found.trouble is not None:
        click.echo(printable(f"As it is, it cannot be read: {found.trouble}"), err=True)
    if not code:
        click.echo(f"Next: dealcast check {_for_a_shell(location)} --crm {quote(crm or found.chosen.name)}")
    return code


def _as_object(found: Fit, code: int) -> dict[str, Any]:
    dialects = [{**asdict(each), "fits": each.fits, "matches": each.matches} for each in found.ranking]
    columns = [{name: getattr(each, name) for name in ("column", "sources", "rows", "sample", "why_empty")} for each in found.columns]
    return {
        "path": found.path,
        "form": found.form,
        "exit_code": code,
        "chosen": found.chosen.name if found.chosen.matches else None,
        "dialects": dialects,
        "columns": columns if found.chosen.matches else [],
        "times": str(found.zones),
        "undecided_stages": {name_or_shape(stage): deals for stage, deals in found.undecided.items()},
        "remarks": list(found.warnings),
        "ids": [list(map(name_or_shape, headers)) for headers in found.ids],
        "trouble": found.trouble,
    }


def _ranking(dialects: Sequence[DialectFit]) -> Table:
    table = Table("--crm", "fits", "headers known", "lacks")
    for dialect in dialects:
        fits = "yes" if dialect.fits else "in part" if dialect.matches else "no match"
        table.add_row(escape(dialect.name), fits, f"{dialect.recognised} of {dialect.headers}", escape(", ".join(dialect.missing[:_LACKS])))
    return table


def _no_match(found: Fit) -> str:
    best = found.chosen
    return (
        f"No shipped dialect matches: the best, {best.name}, knows {best.recognised} of {best.headers} headers and cannot fill"
        f" {len(best.missing)} columns that a deal needs. Write one of your own: dealcast crms {_for_a_shell(found.path)} --write own.toml"
    )


def _say_more(found: Fit) -> None:
    if found.undecided:
        click.echo("Stages that say no outcome, in the rows looked at:")
        for stage, rows in list(found.undecided.items())[:_STAGES]:
            click.echo(f"  {printable(name_or_shape(stage))}: {counted(rows, 'deal')}")
        click.echo("If one of them means won or lost, say so under [[status]] in a dialect of your own, such as --write makes.")
    if found.ids:
        click.echo(f"No id was found. What tells all rows apart ({ID_COST}):")
        for headers in found.ids:
            click.echo(f"  [columns] id = {id_line([name_or_shape(header) for header in headers])}")


def _for_a_shell(path: str) -> str:
    """A path as one word of a command line that can be pasted; control characters in the shell's own spelling."""
    return quote(path) if path.isprintable() else "$'" + "".join(map(_spelled, path)) + "'"


def _spelled(sign: str) -> str:
    if sign in "'\\":
        return f"\\{sign}"
    return sign if sign.isprintable() else "".join(f"\\x{byte:02x}" for byte in sign.encode(errors="surrogateescape"))


def _columns(found: Fit, crm: str) -> Table:
    table = Table(title=escape(f"What each column would get with --crm {crm}"), title_justify="left")
    table.add_column("column", no_wrap=True)
    table.add_column("from", overflow="fold")
    table.add_column("for example", overflow="fold")
    table.add_column("rows", justify="right")
    for column in found.columns:
        if column.why_empty is None:
            example = _example(column.column, column.example or "")
            table.add_row(column.column, escape(", else ".join(column.sources)), escape(example), f"{column.rows:,} of {column.sample:,}")
    return table


def _left_empty(found: Fit) -> Table:
    """The columns that get nothing, together where they have one reason."""
    reasons: dict[str, list[str]] = {}
    for column in found.columns:
        if column.why_empty is not None:
            reasons.setdefault(column.why_empty, []).append(column.column)
    table = Table(title="What is left empty", title_justify="left")
    table.add_column("column")
    table.add_column("why", overflow="fold")
    for why, columns in reasons.items():
        table.add_row(", ".join(columns), escape(why))
    return table


def _example(column: str, value: str) -> str:
    """A date, a yes or no, a stage or a word of the platform's as it is; of any other text only its form."""
    if column == "stage":
        return name_or_shape(value)
    return value if _PLAIN.fullmatch(value) else shape(value)

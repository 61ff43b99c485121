"""The options that several commands share: how an export is read, what the guard lets pass, how a run speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from flows.options import SyncOptions

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])


def complete_file(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Let the shell complete a file's name."""
    return [CompletionItem(incomplete, type="file")]


def file_option(name: str, *, help: str) -> Callable[[F], F]:  # noqa: A002 - as click names it
    """An option that takes a file, a glob or a URL."""
    return click.option(name, metavar="FILE", shell_complete=complete_file, help=help)


def complete_dialect(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a dialect's name, else a file's."""
    from flows.crm.dialect import shipped_names  # noqa: PLC0415 - pydantic and pyarrow take a moment to import

    return _begin_with(incomplete, shipped_names()) or complete_file(context, parameter, incomplete)


def complete_collection(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a collection that the ledger or a `dealcast.toml` knows; the platform is not asked."""
    from deployments.project.config_file import find_project  # noqa: PLC0415 - as above
    from flows.errors import DealcastError  # noqa: PLC0415 - as above
    from flows.ledger.store import Ledger  # noqa: PLC0415 - as above
    from flows.settings import load_settings  # noqa: PLC0415 - as above

    names: set[str] = set()
    with suppress(DealcastError, OSError):
        project = find_project(None)
        names.update(project.collections if project else ())
        url = load_settings().ledger_url
        ledger = Ledger(url) if "://" not in url else None  # a bucket would keep the shell waiting
        names.update(ledger.name_of(each) or each for each in ledger.collections()) if ledger else None
    return _begin_with(incomplete, sorted(names))


def complete_pipeline(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a pipeline that a `dealcast.toml` names."""
    from deployments.project.config_file import find_project  # noqa: PLC0415 - as above
    from flows.errors import DealcastError  # noqa: PLC0415 - as above

    with suppress(DealcastError):
        project = find_project(None)
        return _begin_with(
            incomplete, sorted({str(each["pipeline"]) for each in project.collections.values() if each.get("pipeline")} if project else ())
        )
    return []


def _begin_with(incomplete: str, names: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def format_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """The options that say how to read what an export writes in more ways than one."""
    command = click.option(
        "--decimal",
        type=click.Choice(["point", "comma"]),
        help="The sign before the decimals, where 1.200 or 1,200 may be thousands and no other number settles it.",
    )(command)
    command = click.option(
        "--date-order",
        type=click.Choice(["day-first", "month-first", "year-first"]),
        help="How to read dates such as 03/04/24 that no other date written like them settles.",
    )(command)
    command = click.option(
        "--timezone", metavar="ZONE", help="IANA zone of the collection. Default: what the platform says; for check and crms, UTC."
    )(command)
    return click.option(
        "--crm-timezone",
        metavar="ZONE",
        help="IANA zone of the export's times that name none. Default: the dialect's; where a CRM writes its user's time, --timezone.",
    )(command)


def export_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """The argument and options that say how an export is read."""
    return _export_options(command, required=True)


def own_export_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """The same where an export of the user's own may stand for a shipped one, and from when to predict."""
    command = click.option("--first-month", metavar="YYYY-MM", help="First month to predict. Default: the one after the last in the data.")(
        command
    )
    return _export_options(command, required=False)


def _export_options(command: Callable[P, Any], *, required: bool) -> Callable[P, Any]:
    options = [
        click.argument("export", metavar="EXPORT" if required else "[EXPORT]", required=required, shell_complete=complete_file),
        click.option(
            "--crm",
            required=required,
            metavar="NAME",
            shell_complete=complete_dialect,
            help="Dialect of the export: see `dealcast crms`; `canonical`, or a TOML file.",
        ),
        click.option(
            "--pipeline",
            metavar="NAME",
            shell_complete=complete_pipeline,
            help="The one pipeline to take, where the export holds several.",
        ),
        click.option("--encoding", metavar="NAME", help="The export's encoding, such as cp1252, where the file does not prove it."),
        click.option("--assume-open", is_flag=True, help="Take deals as open where no flag, status or stage says how they ended."),
        click.option("--currency", metavar="CODE", help="The one currency to take, where the export holds several."),
    ]
    command = format_options(_gap_options(command))
    for option in reversed(options):
        command = option(command)
    return command


def _gap_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """The options that say what stands for what an export lacks."""
    command = click.option(
        "--closed-date",
        type=click.Choice(["stage", "modified", "created"]),
        help="What stands for a missing closing date: when the stage began, the last change, or the creation.",
    )(command)
    command = click.option(
        "--assume-accepted",
        multiple=True,
        metavar="RULE",
        help="Send, with a warning, what breaks a rule that is only assumed of the platform, not documented by it: `unique`, or"
        " `value:required` for one column. May be given several times.",
    )(command)
    return click.option(
        "--default",
        multiple=True,
        metavar="COLUMN=VALUE",
        help="Fill a column of the platform's where the export has nothing: value=0, or lastUpdateDatetime=@creationDatetime"
        " for another column's value. May be given several times.",
    )(command)


def voice_options(command: Callable[P, Any]) -> Callable[P, Any]:
    """The options that say how a run speaks."""
    command = click.option("--quiet", is_flag=True, help="Show no steps; the outcome, or the error, is all.")(command)
    return click.option("--json", "as_json", is_flag=True, help="Print the outcome, or the error, as one JSON object on stdout.")(command)


def checked_options(command: str, values: Mapping[str, Any]) -> SyncOptions:
    """The options that ``values`` of the command line say.

    Raises:
        UsageError: one of them is wrong; the text names it, and the help of ``command``.
    """
    from pydantic import ValidationError  # noqa: PLC0415 - it takes a while to import

    from flows.errors import UsageError  # noqa: PLC0415 - as above
    from flows.options import SyncOptions  # noqa: PLC0415 - as above

    try:
        return SyncOptions.model_validate(dict(values))
    except ValidationError as error:
        wrong = "; ".join(
            f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors(include_input=False)
        )
        raise UsageError(f"{wrong}. See `dealcast {command} --help`.") from error


_GUARD_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--accept-shrink", {"is_flag": True, "help": "Go on although the export is much smaller, or older, than the last one."}),
    ("--accept-change", {"is_flag": True, "help": "Go on although over a fifth of the known deals, and 50 or more, are new or changed."}),
    (
        "--accept-reading-change",
        {"is_flag": True, "help": "Go on although the export is read differently (zones, dialect, ...) than by the last sync."},
    ),
    (
        "--forget-reading",
        {
            "is_flag": True,
            "help": "Take no zone, date order, decimal sign, filter or default from the last sync: what is said now counts.",
        },
    ),
    (
        "--max-age",
        {"metavar": "DURATION", "help": "Exit with 7 where the export's file, or its newest change, is older: 36h, 7d."},
    ),
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
    """Add the options of the guard."""
    for name, how in reversed(_GUARD_OPTIONS):
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

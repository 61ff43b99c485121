"""``dealcast init``: the folder that a user owns, so that nobody edits a file inside dealcast's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import click

from deployments.project.config_file import CONFIG, DEPLOYMENTS, NAME, read_project
from deployments.project.prefect_yaml import shipped, written
from flows.crm import NOTHING_SAID, Fit, Said, fit, skeleton
from flows.errors import ExportError, UsageError, quoted
from flows.options import located
from flows.settings import load_settings

_DIALECT = "dialect.toml"
_USUAL = ("incremental", "resume")
"""The deployments of a folder for which none is asked."""


@dataclass(frozen=True)
class Wanted:
    """The command line, as it says what folder is to be written."""

    folder: Path
    export: str | None = None
    crm: str | None = None
    collection: str | None = None
    crm_timezone: str | None = None
    timezone: str | None = None
    date_order: str | None = None
    decimal: str | None = None
    deployments: tuple[str, ...] = ()
    pool_type: str = "process"
    image: str | None = None
    token_file: str | None = None

    @property
    def name(self) -> str:
        """The collection's name."""
        return self.collection or self.folder.absolute().name


def write_folder(wanted: Wanted) -> int:
    """Write the folder's files, and print them with the next command.

    Returns:
        The exit code: 0, or 3 where the export cannot be read by any dialect as it is.

    Raises:
        UsageError: a file is there already, or an option is wrong; nothing is written then.
        ExportError: the export is not there, or is no table.
    """
    folder = wanted.folder.expanduser().absolute()
    found = fit(wanted.export, wanted.crm, _said(wanted)) if wanted.export else None
    reads = found is not None and (wanted.crm is not None or found.chosen.fits) and found.trouble is None
    crm = wanted.crm or (found.chosen.name if found and reads else None if found is None else _DIALECT)
    files = {NAME: _config(wanted, folder, crm), ".env.example": _environment(wanted, folder), "README.md": _readme(folder, wanted)}
    if found is not None and wanted.crm is None:
        files[_DIALECT] = skeleton(found)
    if (folder / "README.md").exists():  # a project's own
        del files["README.md"]
    there = [name for name in (*files, "prefect.yaml") if (folder / name).exists()]
    if there:
        raise UsageError(f"{folder} has {', '.join(there)} already. Name another folder, or remove what is there.")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "prefect.yaml").write_text(written(read_project(folder / NAME, named=True)), encoding="utf-8")
    for name in (*files, "prefect.yaml"):
        click.echo(folder / name)
    return _say_next(wanted, folder, found, reads=reads)


def _said(wanted: Wanted) -> Said:
    said = Said(wanted.crm_timezone, wanted.timezone, wanted.date_order, wanted.decimal)  # type: ignore[arg-type] # click checked them
    return NOTHING_SAID if said == NOTHING_SAID else said


def _say_next(wanted: Wanted, folder: Path, found: Fit | None, *, reads: bool) -> int:
    if found is None or reads:
        click.echo(f"Next: fill in .env as {folder / '.env.example'} says, then: dealcast check, dealcast sync, dealcast deploy")
        return 0
    why = f": {found.trouble}" if found.trouble else ""
    click.echo(f"No dialect reads the export as it is{why}. Fill in {folder / _DIALECT}; then: ", nl=False, err=True)
    click.echo(f"dealcast crms {quote(str(wanted.export))} --crm {quote(str(folder / _DIALECT))}", err=True)
    return ExportError.exit_code


def _config(wanted: Wanted, folder: Path, crm: str | None) -> str:
    return "\n".join([*_settings(wanted), "", *_collection(wanted, folder, crm), "", *_deploy(wanted), ""])


def _settings(wanted: Wanted) -> Iterator[str]:
    yield "# What dealcast does for you: its settings, and your collections. Relative paths start from this folder."
    yield "# The command line and the environment win over this file: `dealcast config show` prints what holds, and from where."
    yield ""
    yield "[settings] # any DEALCAST_... variable, in small letters, but for the token, which is never in this file"
    yield f"platform_url = {quoted(load_settings().platform_url)}"
    if wanted.token_file:
        yield f"token_file = {quoted(str(Path(wanted.token_file).expanduser().absolute()))} # holds the token, and nothing else"
    else:
        yield '# token_file = "token" # a file that holds the token; else the variable DEALCAST_TOKEN, or a Secret block: token_block'
    yield '# ledger = "s3://bucket/ledger" # where syncs are remembered, if several machines share it'


def _collection(wanted: Wanted, folder: Path, crm: str | None) -> Iterator[str]:
    yield f"[collections.{quoted(wanted.name)}] # by name or id; any option of `dealcast sync`, with _ for -"
    if wanted.export:
        yield f"export = {quoted(_from_folder(wanted.export, folder))}"
    else:
        yield 'export = "exports/*.csv" # the newest match is synced'
    if crm is None:
        yield 'crm = "hubspot" # see `dealcast crms exports/THE_EXPORT.csv`'
    else:
        own = crm if crm == _DIALECT else _from_folder(crm, folder) if crm.endswith(".toml") else crm
        yield f"crm = {quoted(own)}" + ("" if wanted.crm or crm == _DIALECT else f' # or "{_DIALECT}", which extends it')
    for key, said in {
        "crm_timezone": (wanted.crm_timezone, "zone of the export's times that name none"),
        "timezone": (wanted.timezone, "zone of the collection; default: as the platform says"),
        "date_order": (wanted.date_order, "where dates such as 03/04/24 prove no order"),
        "decimal": (wanted.decimal, "where 1.200 may be thousands"),
    }.items():
        value, meaning = said
        yield f"{key} = {quoted(value)}" if value else f'# {key} = "" # {meaning}'
    yield 'max_age = "4d" # stops where no newer export arrives'
    yield 'quarantine_limit = "0" # failing rows to quarantine before a sync stops: a number, or a share such as "2%"'
    yield ""
    yield f"[collections.{quoted(wanted.name)}.deployments] # NAME = when it runs, as cron; an empty one is started by hand"
    asked = _asked(wanted.deployments)
    yield from (f"{quoted(name)} = {quoted(cron)}" for name, cron in asked.items())
    yield from (f"# {quoted(name)} = {quoted(_usual_cron(name))}" for name in DEPLOYMENTS if name not in asked)


def _asked(said: tuple[str, ...]) -> dict[str, str]:
    """Deployment -> cron, its shipped one where the command line says none."""
    asked = {name: cron if sign else _usual_cron(name) for name, sign, cron in (each.partition("=") for each in said or _USUAL)}
    if wrong := [name for name in asked if name not in DEPLOYMENTS]:
        raise UsageError(f"--deploy {wrong[0]} is not known. Known: {', '.join(DEPLOYMENTS)}.")
    return asked


def _usual_cron(name: str) -> str:
    schedules = shipped().get(name, {}).get("schedules") or [{"cron": ""}]
    return str(schedules[0]["cron"])


def _deploy(wanted: Wanted) -> Iterator[str]:
    yield "[deploy] # what `dealcast deploy` makes on your Prefect server"
    yield 'pool = "dealcast"'
    yield f'type = "{wanted.pool_type}" # or docker, or kubernetes: their workers need the package prefect-docker or prefect-kubernetes'
    yield f"image = {quoted(wanted.image)}" if wanted.image else '# image = "registry.example/dealcast:0.1.0" # for docker and kubernetes'
    yield f"timezone = {quoted(wanted.timezone or 'UTC')} # of the schedules"


def _environment(wanted: Wanted, folder: Path) -> str:
    token = "# DEALCAST_TOKEN=" if wanted.token_file else "DEALCAST_TOKEN="
    return (
        "# Copy it to .env, keep that to yourself (chmod 600 .env), fill it in, and load it into the shell of commands and workers:\n"
        f"#   set -a; . {quote(str(folder / '.env'))}; set +a\n"
        f"{CONFIG}={quote(str(folder / NAME))}\n"
        f"{token}\n"
    )


def _readme(folder: Path, wanted: Wanted) -> str:
    return (
        f"# {wanted.name}, kept by dealcast\n\n"
        f"`{NAME}` says what is synced, and how. Copy `.env.example` to `.env`, fill in the token, and load it:\n\n"
        f"```console\n$ set -a; . {quote(str(folder / '.env'))}; set +a\n```\n\nThe next three commands:\n\n"
        "```console\n"
        "$ dealcast check      # what the platform would refuse, by line; nothing is sent\n"
        "$ dealcast sync       # send it, and download the forecast\n"
        "$ dealcast deploy     # the same on a schedule, on your Prefect server\n"
        "```\n\n"
        "`dealcast doctor` examines all that they need. `dealcast config show` prints what holds, and from where.\n"
    )


def _from_folder(location: str, folder: Path) -> str:
    """A location of the working directory as the file in ``folder`` has it: relative where it lies there."""
    absolute = located(location, Path.cwd())
    return os.path.relpath(absolute, folder) if os.path.isabs(absolute) and Path(absolute).is_relative_to(folder) else absolute  # noqa: PTH117

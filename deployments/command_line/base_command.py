"""The base of each command: the `dealcast.toml` that it reads, and every error of dealcast's as one message and its exit code."""

from __future__ import annotations

import codecs
import json
import os
import signal
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import click

from deployments.command_line.exit_codes import of_signal
from flows.errors import DealcastError, Defect, FileTrouble, UsageError

_WITHOUT_CONFIG = ("demo", "up", "sandbox", "init")
"""Commands that are about no project of the user's."""

_OF_ONE_COLLECTION = ("sync", "check", "verify", "resume", "doctor", "forecasts")
"""Commands whose options a `[collections.NAME]` may hold."""

_IMPORT_PREFECT = ("check", "verify", "crms", "doctor", "forget")
"""Commands that import Prefect, and do not load it themselves in another order."""


class Command(click.Command):
    """A command whose usage errors and dealcast errors end in one message and the documented exit code."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        if self.name not in _WITHOUT_CONFIG:
            self.params.append(click.Option(["--config"], metavar="FILE", hidden=True, expose_value=False))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take from a `dealcast.toml` what the command line does not say."""
        as_json = "--json" in args
        try:
            return self._parsed(ctx, args)
        except click.UsageError as error:
            _print_usage_error(error, as_json=as_json)
            raise

    def _parsed(self, ctx: click.Context, args: list[str]) -> list[str]:
        if self.name not in _WITHOUT_CONFIG and not ctx.resilient_parsing:
            said = self.make_parser(ctx).parse_args(list(args))[0]
            try:
                self._read_config(ctx, said)
            except DealcastError as error:
                fail(error, as_json="as_json" in said)
        try:
            return super().parse_args(ctx, args)
        except click.MissingParameter as error:
            project, named = ctx.obj, ctx.params.get("collection")
            if self.name in _OF_ONE_COLLECTION and project and project.collections and named not in project.collections:
                has = f"no collection {named}. Name one of" if named else "several collections. Name one"
                raise click.UsageError(f"{project.path} has {has}: {', '.join(project.collections)}.", ctx) from error
            raise

    def _read_config(self, ctx: click.Context, said: Mapping[str, Any]) -> None:
        named = said.get("config") or ctx.find_root().params.get("config")
        if not (named or os.environ.get("DEALCAST_CONFIG") or os.path.isfile("dealcast.toml")):  # noqa: PTH113 - pathlib takes a moment to import
            return
        from deployments.project.config_file import find_project  # noqa: PLC0415 - pydantic takes a moment to import

        project = find_project(named)
        if project is None:
            return
        if not project.named:
            click.echo(f"dealcast: {project.path} is read.", err=True)
        ctx.with_resource(project.environment())
        ctx.obj = project
        if self.name in _OF_ONE_COLLECTION and "pipelines" not in said:
            collection = said.get("collection")
            ctx.default_map = dict(project.checked_options(collection if isinstance(collection, str) else None))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what dealcast raises on purpose never ends in a traceback, and with ``--json`` in an object on stdout too."""
        as_json = bool(ctx.params.get("as_json"))
        _name_unknown_variables()
        try:
            _sweep()
            if self.name in _IMPORT_PREFECT:
                from flows.runtime.prefect_settings import load_prefect  # noqa: PLC0415 - `--help` needs none of it

                load_prefect()
            return super().invoke(ctx)
        except click.UsageError as error:
            _print_usage_error(error, as_json=as_json)
            raise
        except DealcastError as error:
            fail(error, as_json=as_json)
        except OSError as error:
            fail(FileTrouble.of(error), as_json=as_json)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:  # noqa: BLE001 - its traceback would show cells
            fail(Defect.of(error), as_json=as_json)
        except KeyboardInterrupt:
            click.echo("dealcast: ended by Ctrl-C.", err=True)
            sys.exit(of_signal(signal.SIGINT))


def _sweep() -> None:
    """Remove what a killed command has left of an export, whichever command comes next."""
    from flows.runtime.staging_area import sweep  # noqa: PLC0415 - it needs the file locks that are asked for first

    home = Path(os.environ.get("DEALCAST_HOME") or "~/.dealcast")
    with suppress(RuntimeError):  # no home is known
        sweep(home.expanduser())


def _name_unknown_variables() -> None:
    """Say which variables of the environment look like settings and are none: a misspelt one would be left out without a word."""
    if not any(name.startswith("DEALCAST_") for name in os.environ):
        return
    from flows.settings import unknown_variables  # noqa: PLC0415 - pydantic takes a moment to import

    for name, meant in unknown_variables().items():
        click.echo(f"dealcast: {name} is no setting, and is not read.{f' Is {meant} meant?' if meant else ''}", err=True)


def _print_object(name: str, message: str, code: int) -> None:
    click.echo(json.dumps({"outcome": "failed", "error": name, "message": message, "exit_code": code}))


def _print_usage_error(error: click.UsageError, *, as_json: bool) -> None:
    """Give a script the object that it reads; click prints the error for people, once it is raised on."""
    if as_json:
        _print_object(UsageError.__name__, error.format_message(), error.exit_code)


def fail(error: DealcastError, *, as_json: bool = False) -> NoReturn:
    """Say what happened, on stdout too if a script reads that, and leave with the error's exit code."""
    if as_json:
        _print_object(type(error).__name__, str(error), error.exit_code)
    click.echo(f"dealcast: {error}", err=True)
    sys.exit(error.exit_code)


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = Command


def require_file_locks() -> None:
    """Leave with one sentence where the operating system lacks what the collection lock is made of."""
    if find_spec("fcntl") is None:
        fail(UsageError("dealcast runs on Linux and macOS; on Windows, run it in WSL or in a container."))


_PLAIN = {"\u2588": "#", "\u00b7": "-", "\u2192": "->", "\u2014": "-", "\u2013": "-"}
"""Signs of ours, and what stands for each where a terminal has no such sign."""


def write_what_a_terminal_has() -> None:
    """Let stdout and stderr write the nearest sign for one that their encoding lacks, where Python would raise: e for é."""

    def nearest(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        signs = error.object[error.start : error.end]
        plain = (_PLAIN.get(sign) or unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() for sign in signs)
        return "".join(sign or "?" for sign in plain), error.end

    codecs.register_error("dealcast-nearest", nearest)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="dealcast-nearest")


def quiet_libraries() -> None:
    """Keep other packages' telemetry, banners and progress bars out of a command's run."""
    for name, value in {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }.items():
        os.environ.setdefault(name, value)

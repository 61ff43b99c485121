"""The end of a command: every error of dealcast's as one message and its exit code, never as a traceback."""

from __future__ import annotations

import json
import os
import signal
import sys
from importlib.util import find_spec
from typing import Any, NoReturn

import click

from flows.errors import DealcastError, FileTrouble, UsageError


class _Command(click.Command):
    """A command whose usage errors and dealcast errors end in one message and the documented exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what dealcast raises on purpose never ends in a traceback, and with ``--json`` in an object on stdout too."""
        as_json = bool(ctx.params.get("as_json"))
        _name_unknown_variables()
        try:
            return super().invoke(ctx)
        except DealcastError as error:
            fail(error, as_json=as_json)
        except OSError as error:
            fail(FileTrouble.of(error), as_json=as_json)
        except KeyboardInterrupt:
            click.echo("dealcast: ended by Ctrl-C.", err=True)
            sys.exit(130)


def _name_unknown_variables() -> None:
    """Say which variables of the environment look like settings and are none: a misspelt one would be left out without a word."""
    if not any(name.startswith("DEALCAST_") for name in os.environ):
        return
    from flows.settings import unknown_variables  # noqa: PLC0415 - pydantic takes a moment to import

    for name, meant in unknown_variables().items():
        click.echo(f"dealcast: {name} is no setting, and is not read.{f' Is {meant} meant?' if meant else ''}", err=True)


def fail(error: DealcastError, *, as_json: bool = False) -> NoReturn:
    """Say what happened, on stdout too if a script reads that, and leave with the error's exit code."""
    if as_json:
        failed = {"outcome": "failed", "error": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        click.echo(json.dumps(failed))
    click.echo(f"dealcast: {error}", err=True)
    sys.exit(error.exit_code)


class CommandGroup(click.Group):
    """A group of such commands."""

    command_class = _Command


def require_file_locks() -> None:
    """Leave with one sentence where the operating system lacks what the collection lock is made of."""
    if find_spec("fcntl") is None:
        fail(UsageError("dealcast runs on Linux and macOS; on Windows, run it in WSL or in a container."))


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind a command as Ctrl-C does, so that it removes what it has of an export."""

    def end(number: int, _: object) -> NoReturn:
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # else it is ignored, as under nohup, or a caller's own
            signal.signal(number, end)

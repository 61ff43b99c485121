"""The command line. Nothing heavy is imported before a command needs it, so that `--help` answers at once."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import click

from deployments.command_line.base_command import CommandGroup, quiet_libraries, require_file_locks, write_what_a_terminal_has
from deployments.command_line.command_options import (
    an_age,
    complete_collection,
    complete_dialect,
    complete_file,
    export_options,
    file_option,
    format_options,
    guard_options,
    hours,
    own_export_options,
    voice_options,
)
from deployments.command_line.exit_codes import EXIT_CODES
from deployments.command_line.signals import end_on_signals
from deployments.command_line.temporary_server import temporary_server
from deployments.commands.forget import forget
from deployments.project.project_commands import PROJECT_COMMANDS
from flows.errors import UsageError

EPILOG = f"Exit codes: {', '.join(f'{code} {meaning}' for code, meaning in EXIT_CODES.items())}."


@click.group(cls=CommandGroup, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="dealcast")
@file_option("--config", help="The dealcast.toml to read. Default: DEALCAST_CONFIG, or the one in the working directory.")
def main(config: str | None) -> None:  # noqa: ARG001 - each command reads it
    """Keep a sales-forecasting platform fed with a company's CRM deals.

    An export is read, checked with Great Expectations before anything is sent, appended to a collection of the platform,
    and only once the platform has completed that is a forecast invoked and downloaded.

    \b
    Begin here:
      dealcast demo                                         see it all on a shipped export, no account needed
      dealcast crms EXPORT                                  which dialect fits your export, and what it fills
      dealcast check EXPORT --crm hubspot                   what the platform would refuse; nothing is sent
      dealcast sync EXPORT --crm hubspot --collection acme  send it, and download the forecast

    \b
    Environment:
      DEALCAST_PLATFORM_URL  the platform (default https://nostradamus.u-hopper.com)
      DEALCAST_TOKEN         its API token
      DEALCAST_CONFIG        a dealcast.toml with settings and collections, such as `dealcast init` writes
      DEALCAST_HOME          where the ledger, staging and forecasts lie (default ~/.dealcast)
      DEALCAST_LEDGER        the ledger, if it is to lie elsewhere: any fsspec URL
    """
    require_file_locks()
    write_what_a_terminal_has()
    quiet_libraries()
    end_on_signals(bounded=click.get_current_context().invoked_subcommand not in ("up", "sandbox"))
    gc.set_threshold(100_000)  # imports make half a million objects that stay: looking them over again and again takes a fifth of a start
    atexit.register(gc.freeze)  # ... and looking them over for the last time half a second of the end


@main.command(short_help="Send new and changed deals, and download a forecast.")
@click.option(
    "--collection",
    metavar="NAME",
    shell_complete=complete_collection,
    help="The platform's collection, by name or id. Required, unless --pipelines names one for each pipeline.",
)
@file_option("--pipelines", help="Sync each pipeline to a collection of its own: a CSV with the columns pipeline,collection.")
@export_options
@click.option("--horizon", type=click.IntRange(1, 12), default=6, show_default=True, help="Months to forecast.")
@click.option("--first-month", metavar="YYYY-MM", help="First month to predict. Default: the one after the last in the data.")
@click.option(
    "--mode", type=click.Choice(["append", "override"]), default="append", show_default=True, help="Merge by id, or replace all data."
)
@click.option("--full", is_flag=True, help="Send every deal, not only what is new or changed since the last completed sync.")
@click.option(
    "--quarantine-limit", metavar="0|N|P%", default="0", show_default=True, help="Failing rows to quarantine before the sync stops."
)
@guard_options
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Take only the first N deals (of each pipeline), for a trial.")
@click.option("--dry-run", is_flag=True, help="Read, check and guard as the sync would, with its exit codes; send nothing.")
@click.option(
    "--forecast", type=click.Choice(["if-new", "always", "never"]), default="if-new", show_default=True, help="When to invoke one."
)
@click.option("--no-forecast", is_flag=True, help="The same as --forecast never.")
@click.option(
    "--out",
    metavar="DIR|URL",
    help="Where forecast, certificate, report and quarantine go; default: in DEALCAST_HOME. A URL gets the history of forecasts"
    " instead, as DEALCAST_FORECASTS does: an fsspec URL of a folder, .parquet or .csv, or SQLALCHEMY-URL#TABLE.",
)
@voice_options
def sync(no_forecast: bool, forecast: str, pipelines: str | None, quiet: bool, as_json: bool, **options: Any) -> None:
    """Send an export's new and changed deals to a collection and download a forecast.

    EXPORT is a path, a glob (the newest match wins) or any fsspec URL: .csv, .csv.gz, .zip, .xlsx.

    \b
    Examples:
      dealcast sync deals.csv --crm hubspot --collection acme
      dealcast sync 'exports/*.csv' --crm salesforce --collection acme --quarantine-limit 2% --horizon 12
    """
    if (options["collection"] is None) == (pipelines is None):
        raise click.UsageError("Say where to: --collection NAME, or --pipelines FILE for an export with several pipelines.")
    _start_data_process()
    temporary_server()
    from deployments.commands.sync import Voice, run_sync, run_sync_pipelines  # noqa: PLC0415 - prefect takes seconds to import

    values = {**options, "forecast": "never" if no_forecast else forecast}
    if pipelines is None:
        run_sync(values, Voice(quiet, as_json))
    else:
        run_sync_pipelines(values, pipelines, Voice(quiet, as_json))


@main.command(short_help="Show what the ledger knows of the last syncs.")
@click.argument("collection", required=False, metavar="[COLLECTION]", shell_complete=complete_collection)
@click.option(
    "--max-age", metavar="DURATION", callback=an_age, help="End with 7 where the last export, or its newest change, is older: 36h, 7d."
)
@click.option("--ask", is_flag=True, help="Ask the platform too whether it knows them: 6 where it cannot be reached, 5 where one is gone.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")
def status(**options: Any) -> None:
    """Show what the ledger knows of a collection, or of all: last export, sync, forecast, and what is under way.

    Reads the ledger alone, in under a second: for cron, Nagios or a container's health check.

    \b
    Examples:
      dealcast status
      dealcast status acme --max-age 36h --ask
    """
    from deployments.commands.status import status as show_status  # noqa: PLC0415 - httpx takes a while to import

    sys.exit(show_status(options.pop("collection"), **options))


@main.command(short_help="Go on with a sync that was accepted and did not end.")
@click.option(
    "--collection", required=True, metavar="NAME", shell_complete=complete_collection, help="The platform's collection, by name or id."
)
@click.argument("request_id", required=False, metavar="[REQUEST_ID]")
@click.option("--forget", is_flag=True, help="Wait no longer for what the platform never ends: the next sync sends or invokes it anew.")
@voice_options
def resume(collection: str, request_id: str | None, forget: bool, quiet: bool, as_json: bool) -> None:
    """Go on with a sync that was accepted and did not end: wait for it, and download its forecast.

    \b
    Examples:
      dealcast resume --collection acme
      dealcast resume --collection acme my-upload-request-id --json
      dealcast resume --collection acme --forget
    """
    temporary_server()
    from deployments.commands.sync import Voice, run_resume  # noqa: PLC0415 - prefect takes seconds to import

    run_resume(collection, request_id, Voice(quiet, as_json), forget=forget)


@main.command()
@export_options
@click.option(
    "--collection",
    metavar="NAME",
    shell_complete=complete_collection,
    help="The collection of dealcast.toml whose export and options to take.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found, or the error, as one JSON object on stdout.")
@click.option("--docs", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Write Great Expectations' Data Docs there.")
def check(**options: Any) -> None:
    """Read and check an export as a sync would; nothing is sent.

    Ends with 0 if every deal could be sent, with 4 if the platform would refuse some. `sync --dry-run` asks the guard too.
    """
    from deployments.commands.check import check_export  # noqa: PLC0415 - great_expectations takes seconds to import

    sys.exit(check_export(**options))


@main.group(cls=CommandGroup, short_help="List, create, verify or sync the platform's collections.")
def collections() -> None:
    """List, create, verify or sync the platform's collections: one for each pipeline."""


@collections.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print them, or the error, as one JSON object on stdout.")
def list_collections(as_json: bool) -> None:
    """List the collections that the token can see."""
    from deployments.commands.collections import show  # noqa: PLC0415 - only this command needs it

    show(as_json=as_json)


@collections.command("create")
@click.argument("name")
@click.option("--timezone", required=True, metavar="ZONE", help="IANA zone in which the platform reads the deals' times.")
@click.option("--same-name", is_flag=True, help="Create it although there is one of this name, which can then be told apart by id only.")
def create_collection(name: str, timezone: str, same_name: bool) -> None:
    """Create an empty collection and print its id. Where there is one of this name, it asks first."""
    from deployments.commands.collections import create  # noqa: PLC0415 - only this command needs it

    create(name, timezone, same_name=same_name)


@collections.command("verify")
@click.argument("collection", metavar="COLLECTION", shell_complete=complete_collection)
@export_options
@click.option(
    "--mode",
    type=click.Choice(["append", "override"]),
    default="append",
    show_default=True,
    help="How it was sent. After an append it may hold more deals than the export; after an override that is a difference.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout: up to 1000 differences, or the error.")
def verify_collection(**options: Any) -> None:
    """Compare what a collection holds with an export, by id and content; nothing is sent.

    The collection's dump is compared with what a full sync of EXPORT would send, in every column but lastSyncedAt. Numbers are equal
    as decimals. Deals that the gate refuses are not expected there. Shown are forms; differences.csv in DEALCAST_HOME has ids and cells.

    Ends with 0 if the collection holds every deal as the export has it, with 9 if deals are missing or differ.
    """
    from deployments.commands.verify import verify  # noqa: PLC0415 - great_expectations takes seconds to import

    sys.exit(verify(**options))


@collections.command("sync")
@click.argument("table", metavar="TABLE", shell_complete=complete_file)
@click.option(
    "--deployment", metavar="FLOW/NAME", help="Let the workers of this deployment's work pool do it, such as sync-deals/one-of-many."
)
@voice_options
def sync_collections(table: str, deployment: str | None, quiet: bool, as_json: bool) -> None:
    """Sync many collections, each with an export of its own: side by side in this process, or shared out among workers.

    TABLE is a CSV with a column `collection` and any other options of `dealcast sync` as columns, such as export, crm, pipeline,
    quarantine_limit; an empty cell is that option's default. One that fails does not stop the others.

    \b
    Examples:
      dealcast collections sync customers.csv
      dealcast collections sync customers.csv --deployment sync-deals/one-of-many
    """
    temporary_server()
    from deployments.commands.sync import Voice, run_sync_collections  # noqa: PLC0415 - prefect takes seconds to import

    run_sync_collections(table, deployment, Voice(quiet, as_json))


@main.command(short_help="List the dialects, or say which one fits an export.")
@click.argument("export", required=False, metavar="[EXPORT]", shell_complete=complete_file)
@click.option(
    "--crm", metavar="NAME", shell_complete=complete_dialect, help="Show the columns by this dialect instead of the one that fits best."
)
@click.option("--encoding", metavar="NAME", help="The export's encoding, such as cp1252, where the file does not prove it.")
@format_options
@click.option(
    "--write",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a dialect of your own to start from: the export's headers, what is guessed of them, and what is left to say.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found, or the error, as one JSON object on stdout.")
def crms(export: str | None, crm: str | None, write: Path | None, as_json: bool, **said: Any) -> None:
    """List the known dialects; with a file, say which one fits and what each of the 35 columns would get.

    \b
    Examples:
      dealcast crms deals.csv
      dealcast crms deals.csv --write own.toml
      dealcast crms deals.csv --crm own.toml
    """
    from deployments.commands.crms import show_dialects, show_fit  # noqa: PLC0415 - pandas takes a second to import
    from flows.crm import Said  # noqa: PLC0415 - as above

    if export is None:
        show_dialects(as_json=as_json)
    else:
        sys.exit(show_fit(export, crm, Said(**said), write, as_json=as_json))


@main.command(short_help="Show what each month was forecast to be, and what was won.")
@click.argument("collection", metavar="COLLECTION", shell_complete=complete_collection)
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="Leave out forecasts of data from before that day.")
@click.option(
    "--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True, help="For people or programs."
)
@click.option("--chart", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Draw the newest there too: .svg or .png.")
def forecasts(collection: str, since: datetime | None, form: Literal["table", "csv", "json"], chart: Path | None) -> None:
    """Show what each month was forecast to be over time, and how far that was from what was won.

    The history is the ledger's: every sync that downloads a forecast adds it. Errors are of months that are over and in which
    something was won, by how many months ahead they were forecast: MAPE is the mean error as a share of what was won, bias
    whether forecasts were too high (+) or too low (-).
    """
    from deployments.commands.forecasts import show_forecasts  # noqa: PLC0415 - pyarrow takes a moment to import

    show_forecasts(collection, since.date() if since else None, form, chart)


@main.command(short_help="Examine what a sync needs, and say what is missing.")
@click.argument("export", required=False, metavar="[EXPORT]", shell_complete=complete_file)
@click.option(
    "--collection",
    metavar="NAME",
    shell_complete=complete_collection,
    help="A collection, by name or id, that the token must see; its last sync is shown too.",
)
@click.option("--max-age", metavar="DURATION", default="24h", callback=hours, show_default=True, help="How old EXPORT may be: 36h, 7d.")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object on stdout.")
def doctor(*, as_json: bool, **options: Any) -> None:
    """Examine what a sync needs, and say what is missing: one line for each part, with the remedy.

    Without EXPORT and --collection, those of dealcast.toml. Nothing is sent. Ends with 0, or with a sync's exit code.
    Example: dealcast doctor 'exports/*.csv' --collection acme --max-age 2h
    """
    from deployments.commands.doctor import examine_and_print, syncs_of  # noqa: PLC0415 - only this command needs it

    sys.exit(examine_and_print(syncs_of(click.get_current_context().obj, **options), as_json=as_json))


@main.command(short_help="Run the platform in small on this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="Port on loopback; 0 takes a free one.")
@click.option("--data", metavar="DIR", type=click.Path(file_okay=False, path_type=Path), help="Where it keeps its data. Default: nowhere.")
@click.option(
    "--token",
    metavar="T",
    envvar="DEALCAST_SANDBOX_TOKEN",
    show_envvar=True,
    help="The token that it asks for; in the variable, no list of processes shows it. Default: a random one, which it prints.",
)
def sandbox(port: int, data: Path | None, token: str | None) -> None:
    """Run the platform in small on this machine, to rehearse against. Ctrl-C ends it."""
    os.umask(0o077)  # what it is sent is its owner's alone
    from deployments.sandbox import serve  # noqa: PLC0415 - fastapi and pandera take seconds to import

    try:
        serve(port=port, data=data, token=token, on_ready=lambda ready: click.echo(ready.usage))
    except OSError as error:
        if error.filename:
            raise
        why = f" on port {port}: {error.strerror}. Take another with --port." if error.errno else f": {error}"
        raise UsageError(f"The sandbox cannot start{why}") from error


@main.command(short_help="Show the whole chain on a shipped export, without an account.")
@click.option("--out", metavar="DIR", help="Where the forecast goes. Default: a new folder in the temporary one.")
def demo(out: str | None) -> None:
    """Show the whole chain on a shipped export, against a sandbox that it starts. Needs no account and no network."""
    _start_data_process()
    from deployments.commands.demo import run_demo  # noqa: PLC0415 - prefect takes seconds to import

    run_demo(out)


@main.command(short_help="Run all of it on this machine, with Prefect's UI.")
@click.option("--port", type=click.IntRange(1, 65535), default=4200, show_default=True, help="Port of the Prefect UI on loopback.")
@click.option("--every", type=click.IntRange(min=1), metavar="MINUTES", default=2, show_default=True, help="Time between scheduled syncs.")
@own_export_options
def up(port: int, every: int, **options: Any) -> None:
    """Run all of it on this machine: Prefect server and UI, sandbox, worker, and a scheduled sync. Ctrl-C ends it all.

    Syncs EXPORT, else a shipped one. All listens on loopback and keeps its state in DEALCAST_HOME. Open the printed URLs.
    """
    from deployments.commands.up import up as run_up  # noqa: PLC0415 - fastapi and pandera take seconds to import

    run_up(port, every, options)


for _command in (*PROJECT_COMMANDS, forget):
    main.add_command(_command)


def _start_data_process() -> None:
    """Start the process that reads and checks, to import what that takes while this one imports Prefect."""
    from flows.runtime.data_process import start_data_process  # noqa: PLC0415 - `--help` needs none of it
    from flows.runtime.prefect_settings import load_prefect  # noqa: PLC0415 - as above

    start_data_process()
    load_prefect()


if __name__ == "__main__":
    main(prog_name="dealcast")

"""The commands about a user's own folder: init, config, deploy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from deployments.command_line.base_command import Command, CommandGroup
from deployments.command_line.command_options import complete_collection, complete_dialect, file_option, format_options


@click.command(cls=Command, short_help="Write a folder of your own, with a dealcast.toml.")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@file_option("--export", help="The export to sync: a path, a glob or a URL. Writes a dialect to start from too.")
@click.option(
    "--crm",
    metavar="NAME",
    shell_complete=complete_dialect,
    help="The export's dialect. Default: the one that fits, else the one that is written.",
)
@click.option(
    "--collection", metavar="NAME", shell_complete=complete_collection, help="The platform's collection. Default: the folder's name."
)
@format_options
@click.option(
    "--deploy",
    "deployments",
    multiple=True,
    metavar="NAME[=CRON]",
    help="A deployment to write: incremental, weekly-resync, on-demand or resume. May be given several times.",
)
@click.option(
    "--pool-type", type=click.Choice(["process", "docker", "kubernetes"]), default="process", show_default=True, help="Where runs run."
)
@click.option("--image", metavar="IMAGE", help="The image of a docker or kubernetes pool, built from deployments/Dockerfile.")
@file_option("--token-file", help="A file that holds the platform's token, where no variable should.")
def init(**options: Any) -> None:
    """Write a folder of your own: dealcast.toml, prefect.yaml, .env.example, a README, and with --export a dialect to start from.

    Nothing that exists is overwritten, and nothing is sent. The platform's URL is the one of DEALCAST_PLATFORM_URL.

    \b
    Examples:
      dealcast init acme --export 'exports/*.csv' --timezone Europe/Rome
      dealcast init acme --deploy incremental='*/15 * * * *' --deploy weekly-resync
    """
    from deployments.project.init import Wanted, write_folder  # noqa: PLC0415 - pandas takes a second to import

    sys.exit(write_folder(Wanted(**options)))


@click.group("config", cls=CommandGroup, short_help="Show which settings hold, and where they come from.")
def config_group() -> None:
    """Show what a dealcast.toml, the environment and the defaults say together."""


@config_group.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print it as one JSON object on stdout.")
def show_config(as_json: bool) -> None:
    """Print each setting and each collection's options, and where they come from. Of the token only whether there is one."""
    from deployments.project.config_report import show  # noqa: PLC0415 - pydantic takes a moment to import

    show(click.get_current_context().obj, as_json=as_json)


@click.command(cls=Command, short_help="Put the deployments of dealcast.toml on your Prefect server.")
@click.option("--block", metavar="TYPE/NAME", help="A notification block that Prefect knows, such as slack-webhook/alerts.")
@click.option("--webhook", metavar="URL", help='Post {"text": ...} there instead; makes the block custom-webhook/dealcast-alerts.')
def deploy(block: str | None, webhook: str | None) -> None:
    """Make the work pool, the deployments of dealcast.toml, and the automations, on the Prefect server of your settings.

    Writes prefect.yaml beside dealcast.toml anew. Run it again after any change.
    """
    from flows.runtime.prefect_settings import keep_loopback_direct, load_prefect  # noqa: PLC0415 - only commands that need prefect

    keep_loopback_direct()
    load_prefect()
    from deployments.project.deploy import deploy_project  # noqa: PLC0415 - prefect takes seconds to import

    deploy_project(click.get_current_context().obj, block, webhook)


@click.command(cls=Command, short_help="Have Prefect tell you of failures and recoveries.")
@click.option("--block", metavar="TYPE/NAME", help="A notification block that Prefect knows, such as slack-webhook/alerts.")
@click.option("--webhook", metavar="URL", help='Post {"text": ...} there instead; makes the block custom-webhook/dealcast-alerts.')
def automations(block: str | None, webhook: str | None) -> None:
    """Install the automations on the Prefect server: notices of a failure, a blocked guard and a recovery, once each.

    Also the zombie sweep, which marks runs whose process died; with neither option, that alone. Run it again after any change.

    \b
    Examples:
      dealcast automations --block slack-webhook/alerts
      dealcast automations --webhook https://alerts.example/hook
    """
    from flows.runtime.prefect_settings import load_prefect  # noqa: PLC0415 - only commands that need prefect

    load_prefect()
    from deployments.commands.automations import install  # noqa: PLC0415 - prefect takes seconds to import

    for name in install(block, webhook):
        click.echo(name)


PROJECT_COMMANDS = (init, config_group, deploy, automations)

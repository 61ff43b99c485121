"""``dealcast demo``: the whole chain on a shipped export, against a sandbox platform of its own."""

from __future__ import annotations

import os
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

import click
from rich.console import Console

from deployments.temporary_server import temporary_server
from flows.nostradamus import Nostradamus
from flows.runtime.atomic_files import private_folder

EXPORT = "hubspot-crm-exports-all-deals-2026-11-02.csv"
"""Made by us in the shape of HubSpot's "all deals" export: fictional companies, two years, the usual blemishes."""

TIMEZONE = "Europe/Rome"
CRM_TIMEZONE = "Europe/Rome"
HORIZON = 6
FIRST_MONTH = "2026-11"
"""The month after the last in the shipped export, which grows older than a forecast may be without being told from when to predict."""


def run_demo(out: str | None) -> None:
    """Start a sandbox on a free port, create a collection, sync the shipped export, and show the forecast."""
    home = private_folder(Path(out or tempfile.mkdtemp(prefix="dealcast-demo-")).absolute())
    os.environ["DEALCAST_HOME"] = str(home)
    for name in ("DEALCAST_LEDGER", "DEALCAST_TOKEN_FILE", "DEALCAST_TOKEN_BLOCK", "DEALCAST_FOLDER"):
        os.environ.pop(name, None)
    if "PREFECT_API_URL" not in os.environ:
        os.environ["PREFECT_HOME"] = str(home / "prefect")
        private_folder(home / "prefect")
    console = Console(stderr=True)
    console.print("[bold]dealcast demo[/]: a HubSpot export, a sandbox platform on this machine, a forecast. Starting ...", soft_wrap=True)
    temporary_server()
    from deployments.commands.sync import run_sync  # noqa: PLC0415 - prefect reads its home when it is imported
    from deployments.sandbox import running  # noqa: PLC0415 - fastapi and pandera take seconds to import

    with running(home / "sandbox") as sandbox, as_file(files("deployments.commands.demo") / EXPORT) as export:
        os.environ["DEALCAST_PLATFORM_URL"], os.environ["DEALCAST_TOKEN"] = sandbox.url, sandbox.token
        with Nostradamus(sandbox.url, sandbox.token) as platform:
            collection = platform.create_collection("acme", TIMEZONE)
        console.print(f"[bold cyan]  sandbox[/]  at {sandbox.url}, collection {collection.name}", highlight=False, soft_wrap=True)
        console.print("[bold cyan]  prefect[/]  starting its engine (ten seconds or so the first time)", highlight=False)
        run_sync(
            {
                "export": str(export),
                "crm": "hubspot",
                "collection": collection.id,
                "crm_timezone": CRM_TIMEZONE,
                "horizon": HORIZON,
                "first_month": FIRST_MONTH,
                "out": str(home / "forecast"),
            }
        )
    click.echo("\nThe same for your own export:\n  dealcast sync EXPORT.csv --crm hubspot --collection YOUR_COLLECTION")
    click.echo("with DEALCAST_TOKEN set; `dealcast crms EXPORT.csv` says which dialect fits, `dealcast check` what would be refused.")

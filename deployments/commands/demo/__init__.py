"""``dealcast demo``: the whole chain on a shipped export, against a sandbox platform of its own."""

from __future__ import annotations

import os
import re
import tempfile
from calendar import monthrange
from datetime import date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console

from deployments.command_line.temporary_server import temporary_server
from flows.nostradamus import Nostradamus
from flows.runtime.atomic_files import private_folder, write_whole

EXPORT = "hubspot-crm-exports-all-deals-2026-11-02.csv"
"""Made by us in the shape of HubSpot's "all deals" export: fictional companies, two years, the usual blemishes."""

TIMEZONE = "Europe/Rome"
CRM_TIMEZONE = "Europe/Rome"
HORIZON = 6

_EXPORTED = date(2026, 11, 2)
_DAY = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?= \d\d:\d\d)")
"""A day of the export; each stands before a time."""


def todays_export(folder: Path) -> tuple[Path, str]:
    """Put the shipped export into ``folder`` as if it were made these days, so that it never gets old; one that is there stays.

    Whole months are added to each day, which leaves every month its deals.

    Returns:
        The file, and the first month to predict: that of the export, whose deals end before it.
    """
    kept = sorted(folder.glob(EXPORT.replace(f"{_EXPORTED}", "*")))
    today = datetime.now(ZoneInfo(TIMEZONE)).date() - timedelta(days=_EXPORTED.day)
    months = (today.year - _EXPORTED.year) * 12 + today.month - _EXPORTED.month

    def moved(found: re.Match[str]) -> str:
        year, month = divmod(int(found[1]) * 12 + int(found[2]) - 1 + months, 12)
        return f"{year}-{month + 1:02d}-{min(int(found[3]), monthrange(year, month + 1)[1]):02d}"

    name = _DAY.sub(moved, f"{EXPORT.removesuffix('.csv')} 00:00").removesuffix(" 00:00")
    file = kept[0] if kept else folder / f"{name}.csv"
    if not kept:
        shipped = (files("deployments.commands.demo") / EXPORT).read_bytes().decode("utf-8")
        write_whole(file, [_DAY.sub(moved, shipped).encode()])
    return file, file.stem[-10:-3]


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

    export, first_month = todays_export(home)
    with running(home / "sandbox") as sandbox:
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
                "first_month": first_month,
                "out": str(home / "forecast"),
            }
        )
    click.echo("\nThe same for your own export:\n  dealcast sync EXPORT.csv --crm hubspot --collection YOUR_COLLECTION")
    click.echo("with DEALCAST_TOKEN set; `dealcast crms EXPORT.csv` says which dialect fits, `dealcast check` what would be refused.")

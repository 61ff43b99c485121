"""``dealcast forget``: remove from this machine, and from the ledger, what syncs have kept of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployments.command_frame import CommandGroup
from deployments.command_options import complete_collection
from flows.errors import UsageError

if TYPE_CHECKING:
    from flows.ledger.store import Ledger


@click.command(cls=CommandGroup.command_class, short_help="Remove what is kept of a collection on this machine.")
@click.argument("collection", metavar="COLLECTION", shell_complete=complete_collection)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--in-flight", is_flag=True, help="Forget an upload or a forecast too that the platform has not ended yet.")
def forget(collection: str, *, yes: bool, in_flight: bool) -> None:
    """Remove rejections, quarantines, reports, forecasts and the ledger of a collection; the platform keeps its deals.

    The next sync of it sends every deal anew, and compares with no earlier export. Prefect's own records of the runs, which hold
    no deal, stay.

    Example: dealcast forget acme --yes
    """
    from flows.ledger.collection_lock import lock_on_this_machine  # noqa: PLC0415 - prefect takes seconds to import
    from flows.ledger.store import Ledger  # noqa: PLC0415 - as above
    from flows.settings import load_settings  # noqa: PLC0415 - as above

    settings = load_settings()
    ledger = Ledger(settings.ledger_url)
    named = ledger.find(collection)
    with lock_on_this_machine(named, ledger, settings.home_folder):
        _refuse_in_flight(named, ledger, told=in_flight)
        own = settings.home_folder / "forecasts" / named
        files = [*_files_in(own), *(path for folder in _outs(named, ledger) for path in _files_of_ours(folder))]
        if not yes:
            click.echo("\n".join(map(str, files)))
            said = f"Remove these {len(files)} files and the ledger of {collection}? The next sync of it sends every deal anew."
            click.confirm(said, abort=True, err=True)
        for path in files:
            path.unlink(missing_ok=True)
        _remove_empty(own)
        ledger.forget(named)
    click.echo(f"{collection} is forgotten: {len(files)} files and its ledger are removed. The platform keeps its deals.")


def _refuse_in_flight(collection: str, ledger: Ledger, *, told: bool) -> None:
    """Raise UsageError for a send that is not ended, unless the user was ``told`` of such."""
    waiting = [entry for entry in ledger.entries(collection) if not entry.finished]
    if waiting and not told:
        raise UsageError(
            f"{len(waiting)} uploads or forecasts of {collection} are not ended, and nothing was removed. `dealcast resume --collection "
            f"{collection}` ends them; --in-flight forgets them, and what becomes of them on the platform is then not known."
        )


def _outs(collection: str, ledger: Ledger) -> list[Path]:
    """The folders of the user's own that remembered syncs wrote to."""
    from flows.options import is_target  # noqa: PLC0415 - only this command needs it

    outs = {entry.options.get("out") for entry in ledger.entries(collection)}
    return [Path(str(out)).expanduser() for out in sorted(filter(None, outs)) if not is_target(str(out))]


def _files_of_ours(folder: Path) -> list[Path]:
    patterns = (
        "quarantine*.csv",
        "quarantine*.xlsx",
        "rejection.json",
        "gone.csv",
        "differences.csv",
        "report.md",
        "certificate.json",
        "forecast.*",
    )
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _remove_empty(folder: Path) -> None:
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir()
    if folder.exists():
        folder.rmdir()

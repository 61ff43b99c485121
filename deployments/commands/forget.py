"""``dealcast forget``: remove from this machine, and from the ledger, what syncs have kept of a collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from deployments.command_line.base_command import CommandGroup
from deployments.command_line.command_options import complete_collection
from flows.errors import LedgerDamaged, UsageError
from flows.runtime.atomic_files import HALF

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flows.ledger.store import Entry, Ledger


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
    named, folders = _find(collection, ledger, settings.home_folder / "forecasts")
    with lock_on_this_machine(named, ledger, settings.home_folder):
        entries = _entries(named, ledger, in_flight=in_flight)
        files = [path for folder in folders for path in _files_in(folder)]
        files += [path for folder in _outs(entries) for path in _files_of_ours(folder)]
        if not yes:
            click.echo("\n".join(map(str, files)))
            said = f"Remove these {len(files)} files and the ledger of {collection}? The next sync of it sends every deal anew."
            click.confirm(said, abort=True, err=True)
        for path in files:
            path.unlink(missing_ok=True)
        for folder in folders:
            _remove_empty(folder)
        ledger.forget(named)
    click.echo(f"{collection} is forgotten: {len(files)} files and its ledger are removed. The platform keeps its deals.")


def _find(collection: str, ledger: Ledger, place: Path) -> tuple[str, list[Path]]:
    """The collection's id, and its folders below ``place``: that of the id, and that of the name, by which a dry run may have gone.

    One that was verified, or read by a dry run, and never synced has a folder and no ledger.
    """
    there = {path.name for path in place.iterdir() if path.is_dir()} if place.is_dir() else set()
    try:
        named = ledger.find(collection)
    except UsageError:
        if collection not in there:
            raise
        named = collection
    others = set(ledger.collections()) - {named}
    return named, [place / name for name in sorted((there - others) & {named, collection, ledger.name_of(named) or named})]


def _entries(collection: str, ledger: Ledger, *, in_flight: bool) -> list[Entry]:
    """The syncs that the ledger has of it. Raises UsageError for a send that is not ended, unless ``in_flight``."""
    try:
        entries = ledger.entries(collection)
    except LedgerDamaged as error:
        if in_flight:
            return []
        raise UsageError(f"{error} --in-flight forgets it all the same; files in a folder of your own (--out) are then left.") from error
    waiting = [entry for entry in entries if not entry.finished]
    if waiting and not in_flight:
        raise UsageError(
            f"{len(waiting)} uploads or forecasts of {collection} are not ended, and nothing was removed. `dealcast resume --collection "
            f"{collection}` ends them; --in-flight forgets them, and what becomes of them on the platform is then not known."
        )
    return entries


def _outs(entries: Iterable[Entry]) -> list[Path]:
    """The folders of the user's own that remembered syncs wrote to."""
    from flows.options import is_target  # noqa: PLC0415 - only this command needs it

    outs = {str(entry.options.get("out") or "") for entry in entries}
    return [Path(out).expanduser() for out in sorted(filter(None, outs)) if not is_target(out)]


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
    halves = [f"_{pattern}.*{HALF}" for pattern in patterns]
    return sorted({path for pattern in (*patterns, *halves) for path in folder.glob(pattern)})


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _remove_empty(folder: Path) -> None:
    for each in sorted(folder.rglob("*"), reverse=True):
        each.rmdir()
    if folder.exists():
        folder.rmdir()

"""``dealcast collections verify``: what a collection holds beside what a sync of an export would send; nothing is sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import click
from rich.table import Table

from deployments.command_line.command_options import checked_options
from deployments.command_line.console import InertConsole
from deployments.command_line.exit_codes import DIFFERS
from expectations.check_report import shown_cell
from expectations.disclosure import shape
from flows.crm.guide.remembered import with_remembered
from flows.deals.check_staged import check_staged
from flows.deals.index.content_index import ContentIndex
from flows.deals.records import CheckedDeals
from flows.deals.staged_file import stage
from flows.deals.verification import Comparison, Difference, compare
from flows.errors import printable
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import Ledger
from flows.options import SyncOptions, counted, is_id
from flows.runtime.atomic_files import private_folder, write_whole
from flows.runtime.staging_area import staging_folder
from flows.runtime.zone_names import zone_of
from flows.settings import load_settings

FILE = "differences.csv"
"""The file of a collection's folder that has the ids and cells of what differs, for its owner alone."""

_SHOWN = 20


def verify(collection: str, *, as_json: bool, mode: Literal["append", "override"], timezone: str | None, **values: Any) -> int:
    """Compare what the collection holds with what a full sync of the export would send; nothing is sent.

    Where nothing is said, the export is read as by the collection's last completed sync.

    Deals that the gate refuses are not expected on the platform. Deals held beyond the export's are what earlier
    appends left: they are counted, and a difference only with ``mode`` ``override``.

    Returns:
        The exit code: 0 where the collection holds the export's deals, :data:`DIFFERS` where not.

    Raises:
        ExportError: the export cannot be read or mapped.
        NotFound: the token sees no such collection.
        UsageError: an option is wrong, or the platform names no timezone and ``timezone`` neither.
    """
    settings = load_settings()
    options = checked_options("collections verify", {**values, "collection": collection, "mode": mode, "full": True})
    with settings.platform() as platform, staging_folder(settings.home_folder) as folder:
        found = None if timezone else platform.collection(collection)
        options = _as_before(options, Ledger(settings.ledger_url), found.id if found else collection)
        zone = timezone or options.timezone or zone_of(collection, found.timezone if found else None)
        staged = stage(options, folder, zone)
        checked = check_staged(staged, options, ContentIndex, folder, settings.extra_suite)
        asked = collection if is_id(collection) else (found or platform.collection(collection)).id
        platform.dump(asked, folder / "dump.csv")
        compared = compare(folder / "dump.csv", checked.csv, zone)
    file = _keep(compared, settings.out_folder(options.model_copy(update={"collection": asked})))
    equal = compared.equal(extra_allowed=mode == "append")
    if as_json:
        click.echo(json.dumps(as_object(compared, checked, file, equal=equal), indent=1))
    else:
        _print(compared, checked, mode, equal=equal)
        if file:
            click.echo(printable(f"ids and cells: {file}"))
    return 0 if equal else DIFFERS


def _as_before(options: SyncOptions, ledger: Ledger, collection: str) -> SyncOptions:
    """The options, and where they say nothing how the last export of the collection, by its id or name, was read."""
    known = [each for each in ledger.collections() if collection in (each, ledger.name_of(each))]
    return with_remembered(options, load_baseline(ledger, known[0])) if len(known) == 1 else options


def _keep(found: Comparison, folder: Path) -> Path | None:
    """Write the ids and cells of what differs, as they are, into a file for its owner alone; without any, remove an earlier one."""
    path = folder / FILE
    rows = [["missing", each, "", "", ""] for each in found.missing_ids] + [["extra", each, "", "", ""] for each in found.extra_ids]
    rows += [["differs", each.id, each.column, each.held or "", each.export or ""] for each in found.differences]
    if not rows:
        path.unlink(missing_ok=True)
        return None
    text = io.StringIO(newline="")
    csv.writer(text).writerows([["what", "id", "column", "held", "export"], *rows])
    write_whole(private_folder(folder) / FILE, [text.getvalue().encode()])
    return path


def as_object(found: Comparison, checked: CheckedDeals, file: Path | None, *, equal: bool) -> dict[str, Any]:
    """The stable shape of ``verify --json``: the first 1000 differences by their forms, whole counts, and the ``file`` of the texts."""
    export = checked.staged.export
    return {
        "equal": equal,
        **{name: value for name, value in asdict(found).items() if name not in ("missing_ids", "extra_ids", "differences")},
        "differences": [_forms(each) for each in found.differences],
        "file": str(file) if file else None,
        "not_expected": {"refused by the gate": checked.quarantined, **checked.staged.non_rows},
        "export": {"path": export.path, "sha256": export.sha256, "dialect": export.dialect, "times": export.zones.as_object()},
    }


def _print(found: Comparison, checked: CheckedDeals, mode: str, *, equal: bool) -> None:
    console = InertConsole()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    same = found.in_common - found.differing
    head = "equal" if equal else "differs"
    if equal and found.extra:
        head = f"equal but for {counted(found.extra, 'deal')} held that the export does not have"
    there = counted(found.held, "deal")
    say(f"{head}: the collection holds {there}, a sync of the export would send {found.expected:,}; {same:,} are the same")
    say(f"{checked.staged.export.zones}")
    if checked.quarantined:
        say(f"not expected there: {counted(checked.quarantined, 'deal')} that the gate refuses; `dealcast check` names them")
    if found.rewritten:
        say(f"equal in value though written otherwise: {counted(found.rewritten, 'cell')}")
    if found.repeated:
        say(f"held more than once: {counted(found.repeated, 'row')} with the id of another")
    if found.sent_again:
        say(f"sent more than once: {counted(found.sent_again, 'row')} with the id of another; the platform keeps one of each")
    if found.missing:
        say(f"missing: {counted(found.missing, 'deal')} of the export not held")
    if found.extra:
        why = "what earlier appends left, no difference" if mode == "append" else "an override would have removed them"
        say(f"extra: {counted(found.extra, 'deal')} held and not in the export ({why})")
    if found.differing:
        console.print(_differences(found))
        _explain(found, say)


def _differences(found: Comparison) -> Table:
    cells = sum(found.columns.values())
    table = Table(
        "id",
        "column",
        "held",
        "export",
        title=f"{counted(cells, 'cell')} of {counted(found.differing, 'deal')} differ",
        title_justify="left",
    )
    for difference in found.differences[:_SHOWN]:
        table.add_row(*_forms(difference).values())
    return table


def _explain(found: Comparison, say: Callable[[str], None]) -> None:
    cells = sum(found.columns.values())
    if cells > _SHOWN:
        say(f"... and {cells - _SHOWN:,} more; the file has the first {len(found.differences):,}")
        say("by column: " + ", ".join(f"{column} {count:,}" for column, count in found.columns.items()))
    everywhere = [column for column, count in found.columns.items() if count == found.in_common > 1]
    if everywhere:
        say(f"Every deal differs in {', '.join(everywhere)}: a reading of the export (time zone, dialect), or the platform's own writing.")


def _forms(difference: Difference) -> dict[str, str]:
    """The forms of a difference, which may be shown anywhere: the file has the id and both cells as they are."""
    column = difference.column
    cells = {"held": shown_cell(column, difference.held), "export": shown_cell(column, difference.export)}
    return {"id": shape(difference.id), "column": column, **cells}

"""Print what becomes of a folder of cases: ``python -m tests.flows.crm.cases FOLDER``; without FOLDER, of the kinds of ``kinds.py``.

A line for each export in FOLDER, and in its folders ``reports`` and ``exports``: the case, the exit code that `dealcast check` would end
with, what would be sent (id, status, closing, value of the first deals), and what is said. A dialect (.toml) is loaded. A case that comes
after another, such as 14b after 14, is compared with the ids of the first. Exports that are not listed below are read by the dialect that
fits best.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from rich.console import Console
from rich.table import Table

from flows.crm import fit, load_dialect
from flows.deals.check_staged import check_staged
from flows.deals.id_spellings import refuse_held_spellings
from flows.deals.index.content_index import ContentIndex
from flows.deals.staged_file import stage
from flows.errors import DealcastError, StoppedByGate
from flows.options import SyncOptions
from tests.flows.crm.kinds import write

SHOWN = ("id", "status", "closedDatetime", "value")
_FIRST = 6


@dataclass(frozen=True)
class Case:
    """How an export is read; ``after`` names the one that was synced before it."""

    crm: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    after: str | None = None


@dataclass(frozen=True)
class Outcome:
    """The exit code, the deals that would be sent, and what is said of them."""

    code: int
    sent: list[dict[str, str | None]]
    said: str


CASES = {
    "02-closed-not-won.csv": Case("salesforce"),
    "04-zoho-omitted-open.csv": Case("zoho"),
    "04b-zoho-deal-category.csv": Case("zoho"),
    "05-stages-won-lost.csv": Case("salesforce"),
    "06c-shift-salesforce.csv": Case("salesforce"),
    "08b-thousands-pipedrive.csv": Case("pipedrive"),
    "12-merged-day2.csv": Case("hubspot", after="12-merged-day1.csv"),
    "13e-pipedrive-deleted.csv": Case("pipedrive"),
    "14-ids-15.csv": Case("salesforce"),
    "14b-ids-18.csv": Case("salesforce", after="14-ids-15.csv"),
    "14d-ids-trailing-blank.csv": Case("salesforce", after="14-ids-15.csv"),
    "16-words-for-null.csv": Case("salesforce"),
    "17-local-times.csv": Case("hubspot", timezone="Europe/Rome"),
    "17b-local-times-pipedrive.csv": Case("pipedrive", timezone="Europe/Rome"),
    "25-opportunity-lines.csv": Case("salesforce"),
    "closed-same-day.csv": Case("salesforce"),
    "comma_num.xlsx": Case("zcomma.toml"),
    "crms-two-missing.csv": Case("dynamics365"),
    "currency-without-amount.csv": Case("salesforce", {"currency": "EUR"}),
    "d365-modified-utc.csv": Case("dynamics365", timezone="Europe/Rome"),
    "header-line-from-data.csv": Case("pipedrive"),
    "mixed-date-shapes.csv": Case("salesforce"),
    "mixnum.xlsx": Case("zoho"),
    "mixnum2.xlsx": Case("zoho"),
    "naive-times-local.csv": Case("hubspot", timezone="Europe/Rome"),
    "one-bad-byte.csv": Case("zoho"),
    "own-value-ignored.csv": Case("own-value-ignored.toml"),
}
"""The exports whose dialect is not hubspot, or needs more than its name."""


def outcome(path: Path, case: Case | None = None) -> Outcome:
    """What `dealcast check` would make of the export or dialect at ``path``."""
    case = case or CASES.get(path.name) or Case("hubspot" if path.parent.name in {"reports", "exports"} else None)
    try:
        if path.suffix == ".toml":
            dialect = load_dialect(str(path))
            return Outcome(0, [], f"a dialect, {len(dialect.fields)} fields, {len(dialect.columns)} columns")
        return _checked(path, case)
    except DealcastError as error:
        return Outcome(error.exit_code, [], str(error))


def _checked(path: Path, case: Case) -> Outcome:
    crm = case.crm or fit(str(path)).ranking[0].name
    crm = str(path.parent / crm) if crm.endswith(".toml") else crm
    options = SyncOptions(export=str(path), crm=crm, collection="case", full=True, **case.options)
    with TemporaryDirectory(prefix="dealcast-case-") as folder:
        checked = check_staged(stage(options, Path(folder), case.timezone), options, ContentIndex, Path(folder))
        deals = pacsv.read_csv(
            checked.csv, convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(_columns(checked.csv), pa.string()))
        )
    if case.after:
        _write_before(path.with_name(case.after), deals["id"].combine_chunks())
    aside = [f"{count:,} {why}" for why, count in checked.staged.non_rows.items()]
    failed = [f"{rule.severity}: {rule.column} {rule.text} ({rule.failed:,})" for rule in checked.report.failed_rules]
    code = 0 if checked.report.ok else StoppedByGate.exit_code
    return Outcome(
        code,
        deals.select([*SHOWN, "creationDatetime", "lastUpdateDatetime"]).to_pylist(),
        "; ".join([*checked.staged.remarks, *aside, *failed]),
    )


def _columns(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as source:
        return source.readline().strip().split(",")


def _write_before(earlier: Path, ids: pa.Array) -> None:
    """Compare ids with those that an earlier export left held. Raises StoppedByGuard where some differ in spelling alone."""
    held = pa.array([str(deal["id"]) for deal in outcome(earlier).sent], pa.string())
    gone = held.filter(pc.invert(pc.is_in(held, value_set=ids)))
    refuse_held_spellings([ids], [gone])


def exports(folder: Path) -> Iterator[Path]:
    """Every export and dialect of the folder, and of what lies one or two folders below."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".csv", ".xlsx", ".zip", ".toml", ".gz", ".tsv"}:
            yield path


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--width", default=160, show_default=True, help="Columns of the terminal.")
def main(folder: Path | None, width: int) -> None:
    """Print the table of all cases in FOLDER, or of every kind that the tests know."""
    if folder is not None:
        _print(folder, width)
        return
    with TemporaryDirectory(prefix="dealcast-kinds-") as kinds:
        write(Path(kinds))
        _print(Path(kinds), width)


def _print(folder: Path, width: int) -> None:
    table = Table("case", "exit", "sent", "said", show_lines=True)
    for path in exports(folder):
        became = outcome(path)
        deals = [" ".join(str(deal[name] or "-") for name in SHOWN) for deal in became.sent[:_FIRST]]
        more = [f"... {len(became.sent):,} deals"] if len(became.sent) > _FIRST else []
        table.add_row(str(path.relative_to(folder)), str(became.code), "\n".join(deals + more), became.said)
    Console(width=width, markup=False).print(table)


if __name__ == "__main__":
    sys.exit(main())

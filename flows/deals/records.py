"""Records that the tasks hand each other: small, frozen, that point to staged files, never the data itself.

They reach Prefect's logs and survive the process, so they hold counts, ids and paths, and no row's content.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations import CheckReport
from flows.crm import ExportFacts
from flows.crm.guide.remembered import Reading
from flows.crm.row_counts import ASSUMED
from flows.deals.export_guard import ExportStats
from flows.ledger.store import Entry, Sending
from flows.options import SyncOptions, counted

_LOST = "lost:"
_STAGES = 20


@dataclass(frozen=True, slots=True)
class StagedDeals:
    """Deals extracted from an export, staged as an Arrow file: rows in file = ``deals`` + the sum of ``non_rows``."""

    path: Path
    export: ExportFacts
    rows: int
    deals: int
    non_rows: dict[str, int]
    filled: dict[str, dict[str, int]]
    synced_at: datetime
    """Naive, in the collection's timezone."""
    undecided: dict[str, int] = field(default_factory=dict)
    """The stages that say no outcome, with their deals."""
    contradictions: dict[str, int] = field(default_factory=dict)
    short_rows: int = 0
    gone: int = 0
    gone_ids: Path | None = None
    """An Arrow file with one column, ``id``: the deals that the export marks as deleted or merged into another, and does not have."""
    reading: Reading = field(default_factory=dict)
    """The way it was read, see `flows.crm.guide.remembered`."""
    said: dict[str, str] = field(default_factory=dict)
    """The part of that which the user said."""
    currency: str | None = None
    """The one currency of the amounts, where the export says it."""
    warnings: tuple[str, ...] = ()
    """Warnings of what nobody sees in the rows: hidden ones, a last line that may be cut short."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on the reading of the export: what was assumed or guessed, and what contradicts itself."""
        told = {ASSUMED: "assumed, since", _LOST: "empty:", "default:": "the default"}
        said = [
            f"{column} of {rows:,} of {self.deals:,} deals is {why} {how.removeprefix(kind)}"
            for column, hows in self.filled.items()
            for how, rows in hows.items()
            for kind, why in told.items()
            if how.startswith(kind)
        ]
        if self.undecided:
            names = [f"{stage!r} ({rows:,})" for stage, rows in list(self.undecided.items())[:_STAGES]]
            more = f" and {len(self.undecided) - _STAGES:,} more" if len(self.undecided) > _STAGES else ""
            said.append(f"stages that say no outcome: {', '.join(names)}{more}")
        said += [f"{what}: {counted(rows, 'deal')}" for what, rows in self.contradictions.items()]
        if self.short_rows:
            said.append(f"{self.short_rows:,} rows, every one, are shorter than the header: the last columns are empty")
        if self.gone:
            said.append(
                f"{counted(self.gone, 'deal')} {'is' if self.gone == 1 else 'are'} gone from the CRM: deleted, or merged into another"
            )
        return (*said, *self.warnings)


@dataclass(frozen=True, slots=True)
class GoneDeals:
    """Known deals that an export no longer has: their ids in a file of the form of :attr:`CheckedDeals.content`."""

    path: Path
    count: int
    fingerprint: str
    """Of a delete of just these."""


@dataclass(frozen=True, slots=True)
class CheckedDeals:
    """Deals after the gate: rows to send + ``unchanged`` + quarantined = deals extracted."""

    staged: StagedDeals
    report: CheckReport
    csv: Path
    sha256: str
    rows: int
    unchanged: int
    quarantine: Path | None
    fingerprint: str
    content: Path
    """Parquet file of each id to send and the hash of its row."""
    totals: dict[str, str]
    """Sum of ``value`` of the passing deals by status, as exact decimal text."""
    stats: ExportStats
    gone: GoneDeals | None = None
    """Known deals that the export no longer has; None where there are none that have a name."""

    same_export: bool = False
    """Byte for byte the last trusted export."""

    @property
    def remembered(self) -> dict[str, Any]:
        """The export as the ledger remembers it: for the next sync's guard, and for people who ask for the collection's state."""
        export = self.staged.export
        return {
            "path": export.path,
            "sha256": export.sha256,
            "times": export.zones.as_object(),
            "modified": export.modified and export.modified.isoformat(),
            "read_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "quarantined": self.quarantined,
            "currency": self.staged.currency,
            "reading": self.staged.reading,
            "said": self.staged.said,
            "newest_deal": self.stats.newest_deal,
            "won_by_month": self.stats.won_by_month,
            **self.stats.as_baseline(),
        }

    @property
    def quarantined(self) -> int:
        """Rows quarantined, because the platform would refuse the file for them."""
        return self.report.failing

    def deletes(self, options: SyncOptions) -> bool:
        """True where gone deals are to be deleted; those without a name, of which the hash alone is known, cannot be."""
        return options.missing == "delete" and options.mode == "append" and self.gone is not None

    def is_part(self, options: SyncOptions) -> bool:
        """True for a trial's deals (``--limit``) or those of a fixed quarantine: no measure for other exports."""
        return options.limit is not None or self.staged.export.quarantine


def entry_of(checked: CheckedDeals, options: SyncOptions) -> Entry:
    """A new entry of the ledger for what this sync sends."""
    return Entry(
        fingerprint=checked.fingerprint,
        collection=options.collection,
        mode=options.mode,
        created_at=datetime.now(UTC),
        export={"limited": checked.is_part(options), **checked.remembered},
        csv_sha256=checked.sha256,
        rows=checked.rows,
        quarantined=checked.quarantined,
        unchanged=checked.unchanged,
        totals=checked.totals,
        upload=Sending(state="unsent", intended_at=datetime.now(UTC)),
        wanted=options.forecast_args,
        options=options.model_dump() | ({"out": str(Path(str(options.out)).expanduser().absolute())} if options.has_own_folder else {}),
    )


def deletion_of(entry: Entry, checked: CheckedDeals, gone: GoneDeals) -> Entry:
    """The same for what it deletes; gone deals without a name stay."""
    changes = {"fingerprint": gone.fingerprint, "mode": "delete", "rows": gone.count, "csv_sha256": "", "totals": {}}
    return entry.model_copy(update={**changes, "export": entry.export | {"vanished": checked.stats.gone - gone.count}})

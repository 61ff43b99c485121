"""Staged deals through the gate: what passes and is new becomes the CSV to be sent, what fails the quarantine."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations import CheckReport, FileProfile, Gate, GateError, Verdict
from expectations.deals_schema import COLUMN_NAMES, SOURCE_LINE, STATUSES, Kind
from expectations.formats import amounts, sound
from expectations.gate import load_checks
from expectations.row_checks import deals_frame
from expectations.rules import accepting
from flows.crm.dialect import load_dialect
from flows.deals.deals_csv import CsvRows, DealsCsv
from flows.deals.export_guard import ExportStats
from flows.deals.gone_deals import gone_ids, name_gone
from flows.deals.id_spellings import Spellings, merge_equal_rows, refuse_held_spellings
from flows.deals.index.content_hash import Deals, Fingerprint, Hashes, Mask, deals_of, hash_ids
from flows.deals.index.content_index import ContentIndex, Places
from flows.deals.index.index_file import DealsFile, ids_in, rows_of
from flows.deals.index.known_deals import load_index, name_deals
from flows.deals.quarantine import open_quarantine, quarantined
from flows.deals.records import CheckedDeals, StagedDeals
from flows.deals.staged_file import batches
from flows.errors import UsageError
from flows.ledger.export_baseline import load_baseline
from flows.ledger.store import Ledger
from flows.options import SyncOptions

_IN_CACHE = 2000
"""Rows that are rendered, hashed and written together: their text stays in the processor's cache from one to the next."""

_GIVEN_BACK_AFTER = 5
"""Batches from one time that freed memory is given back to the next: what each leaves behind adds up over millions of rows."""


def import_libraries() -> None:
    """Import what a check takes beside this module, ahead of the first one."""
    load_checks()


def check_staged(
    staged: StagedDeals, options: SyncOptions, known: Callable[[], ContentIndex], folder: Path, extra_suite: Path | None = None
) -> CheckedDeals:
    """Run every staged deal through the gate; write what passes and is not ``known`` as the CSV to be sent.

    What is known is asked for when the profile is done, so that what both take is never in memory at once.

    With ``full``, or where ``override`` would change anything, all that passes is written. The quarantine file is written
    whenever a row fails, so that it can be looked at even where the sync then stops.

    Raises:
        ExportUnmappable: one id is written in two ways.
        UsageError: the settings name an extra suite that cannot be read, or has an expectation that cannot be evaluated.
    """
    _give_back()  # what came before; else the profile's comes on top of it, and the gate's on both
    staged, profile = _one_row_a_deal(staged)
    rules = accepting((*options.assume_accepted, *load_dialect(options.crm).assume_accepted))
    try:
        gate = Gate(profile, now=staged.synced_at, extra_suite=extra_suite, rules=rules)
    except ValueError as error:
        raise UsageError(f"DEALCAST_EXTRA_SUITE names {extra_suite}, which is no suite of expectations: {error}") from error
    _give_back()
    try:
        with _Selection(options, known(), folder, staged) as selection:
            for number, table in enumerate(batches(staged)):
                if number % _GIVEN_BACK_AFTER == 0:
                    _give_back()
                selection.put(table, gate.check(deals_frame(table)))
        staged.path.unlink()  # no longer needed: what a disk need not write is not in an upload's way
        return selection.checked(staged, gate.report())
    except GateError as error:
        if extra_suite is None:
            raise
        raise UsageError(f"An expectation of {extra_suite}, which DEALCAST_EXTRA_SUITE names, breaks the check: {error}") from error


def _one_row_a_deal(staged: StagedDeals) -> tuple[StagedDeals, FileProfile]:
    """The deals without repeated rows, and their profile. Raises ExportUnmappable where an id is written in two ways."""
    spellings = Spellings()
    profile = FileProfile.of(spellings.watch(batches(staged, ("id", "stage", "value"))))
    spellings.refuse_several(staged)
    once = merge_equal_rows(staged, profile)
    return once, profile if once is staged else FileProfile.of(batches(once, ("id", "stage", "value")))


def check_against_ledger(
    staged: StagedDeals, options: SyncOptions, ledger_url: str, folder: Path, extra_suite: Path | None = None
) -> CheckedDeals:
    """As :func:`check_staged`, known being what the collection holds by the ledger; the report has no validation result.

    Deals that an index of an earlier version knows by their hashes alone are named as the export names them.

    Raises:
        StoppedByGuard: a deal is held under another spelling of its id.
        ExportUnmappable, UsageError: as there.
    """
    ledger = Ledger(ledger_url)
    index = ContentIndex()

    def known() -> ContentIndex:
        nonlocal index
        index = load_index(ledger, options.collection)
        return index

    checked = check_staged(staged, options, known, folder, extra_suite)
    if options.mode == "append" and index.gone() and checked.rows:
        refuse_held_spellings(ids_in(checked.content), gone_ids(ledger, options.collection, index))
    if index.names and not options.dry_run:
        name_deals(ledger, options.collection, index.names)
    before = load_baseline(ledger, options.collection)
    checked = replace(checked, same_export=before is not None and before.get("sha256") == staged.export.sha256)
    if checked.stats.gone:
        checked = name_gone(checked, gone_ids(ledger, options.collection, index), folder / "gone.parquet", options)
    return replace(checked, report=replace(checked.report, validation_result=None))


def _give_back() -> None:
    """Return freed memory to the system: Arrow's, and what glibc, where that is the C library, holds for bytes and arrays."""
    pa.default_memory_pool().release_unused()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


class _Selection:
    """Values collected while the rows go by: the passing ones to send, their fingerprint and contents, the totals.

    One batch is written while the next is checked and summed up, and no more wait in memory.
    """

    def __init__(self, options: SyncOptions, known: ContentIndex, folder: Path, staged: StagedDeals) -> None:
        self._csv, self._quarantine, self._content = folder / "deals.csv", folder / "quarantine.csv", folder / "content.parquet"
        self._fingerprint = Fingerprint(options.collection, options.mode)
        self._totals = dict.fromkeys(STATUSES, Decimal(0))
        self._won_by_month: Counter[str] = Counter()
        self._newest_update: str | None = None
        self._newest_deal: tuple[str, int, str] | None = None
        self._tomorrow = (staged.synced_at + timedelta(days=1)).isoformat(timespec="seconds")
        self._known, self._full, self._override = known, options.full, options.mode == "override"
        self._part = staged.export.quarantine or options.limit is not None
        self._in_all = max(staged.deals, len(known))
        self._chosen = self._changed = self._added = self._compared = 0
        self._columns: Counter[str] = Counter()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self._to_send = opened.enter_context(DealsCsv(self._csv))
            self._aside = opened.enter_context(open_quarantine(self._quarantine))
            self._contents = opened.enter_context(DealsFile(self._content))
            self._beside = opened.enter_context(ThreadPoolExecutor(1))
            self._opened = opened.pop_all()
        self._writing: Future[None] | None = None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._opened:
            self._wait()

    def put(self, table: pa.Table, verdict: Verdict) -> None:
        """Take in a batch; an error in writing the one before is raised here."""
        passing, texts = table, table["id"].combine_chunks()
        ids = hash_ids(texts)
        places = self._known.find(ids)
        in_export = places, texts
        if not verdict.all_pass:
            self._aside.write_table(quarantined(table, verdict))
            passes = verdict.passing.to_numpy(zero_copy_only=False)
            passing, ids, places = table.filter(verdict.passing), ids[passes], places[passes]
        self._known.see(
            *((places, passing["id"].combine_chunks()) if self._override else in_export)
        )  # an override removes what is quarantined
        self._sum_up(passing)
        self._wait()
        self._writing = self._beside.submit(self._write, passing, ids, places)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _write(self, passing: pa.Table, ids: Hashes, places: Places) -> None:
        """Write those of a batch's passing rows that are to be sent."""
        passing = passing.select(list(COLUMN_NAMES))
        pieces = [slice(start, start + _IN_CACHE) for start in range(0, passing.num_rows, _IN_CACHE)]
        if not pieces:
            return
        deals, found, other = map(
            np.concatenate, zip(*(self._choose(passing[piece], ids[piece], places[piece]) for piece in pieces), strict=True)
        )
        self._added += int((~found).sum())
        self._changed += int(other.sum())
        compared, columns = self._known.columns_changed(ids, passing, other)
        self._compared += compared
        self._columns += columns
        to_send = self._to_be_sent(found, other)
        deals = deals[to_send]
        self._fingerprint.add(deals)
        self._contents.write(rows_of(deals, passing, to_send, self._in_all))
        self._chosen += len(deals)

    def _choose(self, table: pa.Table, ids: Hashes, places: Places) -> tuple[Deals, Mask, Mask]:
        """Write those rows of a piece that are to be sent; all its deals, the known ones, and those known in another content."""
        rows = CsvRows.of(table)
        deals = deals_of(ids, table, rows)
        found, other = self._known.compare(places, deals["content"])
        to_send = self._to_be_sent(found, other)
        if to_send.all():
            self._to_send.write(rows)
        elif to_send.any():
            self._to_send.write(CsvRows.of(table.filter(pa.array(to_send))))
        return deals, found, other

    def _to_be_sent(self, found: Mask, other: Mask) -> Mask:
        return np.ones_like(found) if self._full or self._override else ~found | other

    def _sum_up(self, passing: pa.Table) -> None:
        updates = passing["lastUpdateDatetime"]
        newest = _newest(updates.filter(pc.less(updates, self._tomorrow)))
        self._newest_update = max(filter(None, (self._newest_update, newest)), default=None)
        self._newest_deal = _newest_of(self._newest_deal, passing)
        _add_totals(self._totals, passing)
        _add_won(self._won_by_month, passing)

    def checked(self, staged: StagedDeals, report: CheckReport) -> CheckedDeals:
        """The result of all batches; an override that would replace the deals by the same sends none, unless told to send all."""
        gone = self._known.gone()
        same = self._override and not (self._full or self._changed or self._added or gone)
        rows = 0 if same else self._chosen
        value = float(sum(self._totals.values()))
        return CheckedDeals(
            staged=staged,
            report=report,
            csv=self._csv,
            sha256=self._to_send.sha256,
            rows=rows,
            unchanged=report.rows - report.failing - rows,
            quarantine=self._quarantine if report.failing else None,
            fingerprint=self._fingerprint.hex(),
            content=self._content,
            totals={status: str(total) for status, total in self._totals.items()},
            stats=ExportStats(
                staged.deals,
                value,
                self._newest_update,
                0 if self._part and not self._override else gone,
                len(self._known),
                dict(self._won_by_month),
                added=self._added,
                changed=self._changed,
                compared=self._compared,
                newest_deal=self._newest_deal,
                columns=dict(self._columns),
            ),
        )


def _newest(moments: pa.ChunkedArray) -> str | None:
    """The latest of texts that are moments: those which are only assumed to be accepted may be none."""
    latest: str | None = pc.max(moments).as_py()
    if latest is None or sound(pa.chunked_array([[latest]], pa.string()), Kind.DATETIME)[0].as_py():
        return latest
    text: str | None = pc.max(moments.filter(sound(moments, Kind.DATETIME))).as_py()
    return text


def _newest_of(newest: tuple[str, int, str] | None, passing: pa.Table) -> tuple[str, int, str] | None:
    """The newest creation or closing, with its line and column, of ``newest`` and those of a batch."""
    for column in ("creationDatetime", "closedDatetime"):
        moment = _newest(passing[column])
        if moment and (newest is None or moment > newest[0]):
            line = passing[SOURCE_LINE][pc.index(passing[column], moment).as_py()].as_py()
            newest = (moment, line, column)
    return newest


def _add_totals(totals: dict[str, Decimal], passing: pa.Table) -> None:
    """Add up ``value`` by status, exactly: the gate has passed it as a plain decimal."""
    for status in totals:
        values = passing["value"].filter(pc.equal(passing["status"], status))
        values = values.filter(sound(values, Kind.DECIMAL))  # what is assumed to be accepted may be none
        if len(values):
            totals[status] += _exact_sum(values)


def _add_won(won_by_month: Counter[str], passing: pa.Table) -> None:
    """Add up the value of won deals by month of closing."""
    won = passing.select(["closedDatetime", "value"]).filter(pc.equal(passing["status"], "closed_won"))
    months = pc.utf8_slice_codeunits(won["closedDatetime"], 0, 7)
    sums = pa.table({"month": months, "value": amounts(won["value"])}).group_by("month").aggregate([("value", "sum")])
    for month, value in zip(sums["month"].to_pylist(), sums["value_sum"].to_pylist(), strict=True):
        won_by_month[month] += value or 0


def _exact_sum(values: pa.ChunkedArray) -> Decimal:
    try:
        return Decimal(pc.sum(values.cast(pa.decimal128(38, 6))).as_py())
    except pa.ArrowInvalid:  # more digits than that: rare, and slower
        return sum((Decimal(value) for value in values.to_pylist()), Decimal(0))

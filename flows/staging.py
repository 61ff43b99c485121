"""Deals between the tasks: staged in a private folder, first as an Arrow file of all of them, then as the CSV to be sent."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from uuid import uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expectations import Gate, Survey
from expectations.schema import COLUMN_NAMES, SOURCE_LINE, STATUSES
from flows.crm import ALL_PIPELINES, Extraction, open_export
from flows.deals_csv import open_deals_csv
from flows.errors import UsageError
from flows.guard import ExportStats
from flows.known import Fingerprint, Known, canonical_text, deals_of, hashes
from flows.ledger import private_folder
from flows.options import SyncOptions
from flows.quarantine import open_quarantine, quarantined
from flows.records import CheckedDeals, StagedDeals

STAGED_SCHEMA = pa.schema([*((name, pa.string()) for name in COLUMN_NAMES), (SOURCE_LINE, pa.int64())])

AT_ONCE = 100_000
"""Rows that are read and checked together."""


@contextmanager
def staging_folder(home: Path) -> Iterator[Path]:
    """A folder for the length of the block that only its owner can read; those of killed runs are removed first."""
    place = private_folder(home / "staging")
    with ExitStack() as at_work:
        with _locked(place, fcntl.LOCK_EX):
            for left in place.iterdir():
                with (
                    suppress(BlockingIOError, FileNotFoundError),
                    _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB),
                ):  # not locked: its run is dead
                    shutil.rmtree(left)
            folder = private_folder(place / uuid4().hex)
            at_work.enter_context(_locked(folder, fcntl.LOCK_EX))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold a lock that ends with the process, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


def stage(options: SyncOptions, folder: Path, timezone: str) -> StagedDeals:
    """Extract the export into ``folder``, batch by batch.

    ``lastSyncedAt`` is filled with this moment in the collection's ``timezone`` where the export leaves it empty.

    Raises:
        ExportError: the export cannot be read or mapped; the message says where and what to do.
    """
    extraction = _open(options, options.pipeline, timezone)
    staging = _Staging(folder / "deals.arrow", _this_moment(timezone))
    with staging:
        for frame in extraction:
            staging.write(frame)
    return staging.staged(extraction, dict(extraction.account.non_rows))


def stage_pipelines(
    options: SyncOptions, wanted: Collection[str], folder: Path, timezone: str
) -> tuple[dict[str, StagedDeals], dict[str, int]]:
    """Extract the export once, each of the ``wanted`` pipelines into a file of its own.

    Returns:
        The staged deals by pipeline, and the deals of each pipeline that is not wanted.

    Raises:
        ExportError: as :func:`stage`.
    """
    extraction = _open(options, ALL_PIPELINES, timezone)
    stagings: dict[str, _Staging] = {}
    left: Counter[str] = Counter()
    moment = _this_moment(timezone)
    with ExitStack() as open_files:
        for pipeline, frame in extraction.by_pipeline():
            if pipeline not in wanted:
                left[pipeline] += len(frame)
                continue
            if pipeline not in stagings:
                stagings[pipeline] = open_files.enter_context(_Staging(folder / f"{uuid4().hex}.arrow", moment))
            stagings[pipeline].write(frame)
    account = extraction.account
    staged = {}
    for pipeline, staging in stagings.items():
        others = {"in another pipeline": account.deals - staging.deals} if account.deals > staging.deals else {}
        staged[pipeline] = staging.staged(extraction, {**account.non_rows, **others})
    return staged, dict(left)


class _Staging:
    """An Arrow file of deals being written."""

    def __init__(self, path: Path, moment: datetime) -> None:
        self.path, self.moment, self.deals = path, moment, 0

    def __enter__(self) -> Self:
        self._sink = pa.OSFile(str(self.path), "wb")
        self._writer = pa.ipc.new_file(self._sink, STAGED_SCHEMA)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.close()
        self._sink.close()

    def write(self, frame: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(frame, preserve_index=False).select(STAGED_SCHEMA.names).cast(STAGED_SCHEMA)
        place = table.schema.get_field_index("lastSyncedAt")
        self._writer.write_table(table.set_column(place, "lastSyncedAt", pc.fill_null(table["lastSyncedAt"], self.moment.isoformat())))
        self.deals += table.num_rows

    def staged(self, extraction: Extraction, non_rows: dict[str, int]) -> StagedDeals:
        facts, account = extraction.facts, extraction.account
        filled = {column: dict(how) for column, how in account.filled.items()}
        return StagedDeals(self.path, facts, account.rows, self.deals, non_rows, filled, self.moment)


def _open(options: SyncOptions, pipeline: str | None, timezone: str) -> Extraction:
    return open_export(
        options.export,
        crm=options.crm,
        pipeline=pipeline,
        crm_timezone=options.crm_timezone,
        timezone=timezone,
        date_order=options.date_order,
        currency=options.currency,
        limit=options.limit,
    )


def _this_moment(timezone: str) -> datetime:
    return datetime.now(ZoneInfo(timezone)).replace(tzinfo=None, microsecond=0)


def batches(staged: StagedDeals, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The staged deals, some :data:`AT_ONCE` rows at a time; read rather than mapped, so that memory does not grow with the file."""
    with pa.OSFile(str(staged.path)) as source:
        names = None if columns is None else [STAGED_SCHEMA.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=names))
        group: list[pa.RecordBatch] = []
        for number in range(reader.num_record_batches):
            group.append(reader.get_batch(number))
            if sum(batch.num_rows for batch in group) >= AT_ONCE:
                yield pa.Table.from_batches(group)
                group = []
        if group:
            yield pa.Table.from_batches(group)


def frame_of(table: pa.Table) -> pd.DataFrame:
    """A deals frame on the table's own Arrow memory."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def check_staged(staged: StagedDeals, options: SyncOptions, known: Known, folder: Path, extra_suite: Path | None = None) -> CheckedDeals:
    """Run every staged deal through the gate; write what passes and is not ``known`` as the CSV to be sent.

    With ``full``, or where ``override`` would change anything, all that passes is written. The quarantine file is written
    whenever a row fails, so that it can be looked at even where the sync then stops.

    Raises:
        UsageError: the settings name an extra suite that cannot be read.
    """
    survey = Survey.of(batches(staged, ("id", "stage", "value")))
    try:
        gate = Gate(survey, now=staged.synced_at, extra_suite=extra_suite)
    except ValueError as error:
        raise UsageError(f"DEALCAST_EXTRA_SUITE names {extra_suite}, which is no suite of expectations: {error}") from error
    csv, quarantine, content = folder / "deals.csv", folder / "quarantine.csv", folder / "content.deals"
    with open_deals_csv(csv) as sendable, open_quarantine(quarantine) as aside, content.open("wb") as contents:
        writing = _Writing(options, known, contents)
        for table in batches(staged):
            verdict = gate.check(frame_of(table))
            sendable.write_table(writing.select(table, verdict.passing).select(list(COLUMN_NAMES)))
            if not pc.all(verdict.passing).as_py():
                aside.write_table(quarantined(table, verdict))
    report = gate.report()
    return CheckedDeals(
        staged=staged,
        report=report,
        csv=csv,
        sha256=_sha256(csv),
        rows=writing.to_send,
        unchanged=report.rows - report.failing - writing.to_send,
        quarantine=quarantine if report.failing else None,
        fingerprint=writing.fingerprint.hex(),
        content=content,
        totals={status: str(total) for status, total in writing.totals.items()},
        stats=writing.stats(staged.deals),
    )


class _Writing:
    """What is picked up while the rows go by: the passing ones to send, their fingerprint and contents, the totals."""

    def __init__(self, options: SyncOptions, known: Known, contents: IO[bytes]) -> None:
        self.fingerprint = Fingerprint(options.collection, options.mode)
        self.totals = dict.fromkeys(STATUSES, Decimal(0))
        self.newest_update: str | None = None
        self.won_by_month: Counter[str] = Counter()
        self._known, self._contents = known, contents
        self._whole, self._replace = options.full, options.mode == "override"
        self._written = self._changed = 0

    def select(self, table: pa.Table, passes: pa.BooleanArray) -> pa.Table:
        """The rows of ``table`` to send, of those that pass."""
        ids = hashes(table["id"])
        self._known.see(ids)
        passing = table.filter(passes)
        newest = pc.max(passing["lastUpdateDatetime"]).as_py()
        self.newest_update = max(filter(None, (self.newest_update, newest)), default=None)
        _add_totals(self.totals, passing)
        _add_won(self.won_by_month, passing)
        text = canonical_text(passing)
        deals = deals_of(ids[passes.to_numpy(zero_copy_only=False)], text)
        changed = self._known.changed(deals)
        self._changed += int(changed.sum())
        chosen = np.ones(len(deals), dtype=bool) if self._whole or self._replace else changed
        self.fingerprint.add(text.filter(pa.array(chosen)))
        self._contents.write(deals[chosen].tobytes())
        self._written += int(chosen.sum())
        return passing.filter(pa.array(chosen))

    @property
    def to_send(self) -> int:
        """Rows to send; an override that would replace the deals by the same sends none, unless told to send all."""
        same = self._replace and not self._whole and not self._changed and not self._known.vanished()
        return 0 if same else self._written

    def stats(self, deals: int) -> ExportStats:
        """The export as a whole, for the guard."""
        value = float(sum(self.totals.values()))
        return ExportStats(deals, value, self.newest_update, self._known.vanished(), len(self._known), dict(self.won_by_month))


def _add_totals(totals: dict[str, Decimal], passing: pa.Table) -> None:
    """Add up ``value`` by status, exactly: the gate has passed it as a plain decimal."""
    for status in totals:
        values = passing["value"].filter(pc.equal(passing["status"], status))
        if len(values):
            totals[status] += _exact_sum(values)


def _add_won(won_by_month: Counter[str], passing: pa.Table) -> None:
    """Add up the value of won deals by month of closing."""
    won = passing.filter(pc.equal(passing["status"], "closed_won"))
    months = pc.utf8_slice_codeunits(won["closedDatetime"], 0, 7)
    sums = pa.table({"month": months, "value": won["value"].cast(pa.float64())}).group_by("month").aggregate([("value", "sum")])
    for month, value in zip(sums["month"].to_pylist(), sums["value_sum"].to_pylist(), strict=True):
        won_by_month[month] += value


def _exact_sum(values: pa.ChunkedArray) -> Decimal:
    try:
        return Decimal(pc.sum(values.cast(pa.decimal128(38, 6))).as_py())
    except pa.ArrowInvalid:  # more digits than that: rare, and slower
        return sum((Decimal(value) for value in values.to_pylist()), Decimal(0))


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()

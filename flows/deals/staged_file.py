"""Deals between the tasks: an Arrow file of all of them, staged in a private folder, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from expectations.deals_schema import COLUMNS, SOURCE_LINE, Null
from expectations.disclosure import name_or_shape
from expectations.formats import are_null_words, may_hold_null_words
from flows.crm import ALL_PIPELINES, Extraction, open_export
from flows.crm.guide.remembered import reading_of, said
from flows.crm.mapped_columns import DEALS_SCHEMA
from flows.crm.row_filters import MergedLater
from flows.deals.records import StagedDeals
from flows.errors import ExportUnmappable
from flows.options import SyncOptions

STAGED_SCHEMA = DEALS_SCHEMA.append(pa.field(SOURCE_LINE, pa.int64()))

AT_ONCE = 50_000
"""Rows that are read and checked together ..."""

_BYTES_AT_ONCE = 64 << 20
"""... and no more where their text is long."""

_STAGES = 1000
"""Stages without an outcome that are kept: a column that is no stage may have any number."""


_Staged = TypeVar("_Staged")
_NULL_WORD = "lost:a word such as NA or null, which the platform is assumed to read as an empty cell"


def without_null_words(deals: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """``deals``, null words emptied in columns that may be empty, and how many in each; the gate names those of the others."""
    emptied = {}
    for column in COLUMNS:
        cells = deals[column.name]
        if column.null is Null.FORBIDDEN or not may_hold_null_words(cells) or not (count := pc.sum(found := are_null_words(cells)).as_py()):
            continue
        emptied[column.name] = count
        place = deals.schema.get_field_index(column.name)
        deals = deals.set_column(place, deals.schema.field(place), pc.if_else(found, None, cells))
    return deals, emptied


def stage(options: SyncOptions, folder: Path, timezone: str) -> StagedDeals:
    """Extract the export into ``folder``, batch by batch.

    ``lastSyncedAt`` is filled with this moment in the collection's ``timezone`` where the export leaves it empty.

    Raises:
        ExportError: the export cannot be read or mapped; the message says where and what to do.
    """
    return _read(_open(options, options.pipeline, timezone), lambda extraction: _stage(extraction, options, folder, timezone))


def _read(extraction: Extraction, read: Callable[[Extraction], _Staged]) -> _Staged:
    """Result of ``read`` on the export, which is read anew where deals turn out to be merged into others further down."""
    try:
        return read(extraction)
    except MergedLater:
        return read(extraction.anew())


def _stage(extraction: Extraction, options: SyncOptions, folder: Path, timezone: str) -> StagedDeals:
    with ThreadPoolExecutor(1) as beside, _Staging(folder / "deals.arrow", _this_moment(timezone), beside) as staging:
        for _, deals in extraction.tables():
            staging.write(deals)
    staged = staging.staged(extraction, dict(extraction.counts.non_rows))
    staged = replace(staged, reading=reading_of(options, timezone), said=said(options))
    return _with_gone(staged, extraction.gone, folder)


def stage_pipelines(
    options: SyncOptions, wanted: Collection[str], folder: Path, timezone: str
) -> tuple[dict[str, StagedDeals], dict[str, int]]:
    """Extract the export once, each of the ``wanted`` pipelines into a file of its own.

    Returns:
        The staged deals by pipeline, and how many deals each pipeline has that is not wanted; those that name none are under the
        empty text.

    Raises:
        ExportError: as :func:`stage`.
    """
    extraction = _open(options, ALL_PIPELINES, timezone)
    return _read(extraction, lambda extraction: _stage_pipelines(extraction, options, wanted, folder, timezone))


def _stage_pipelines(
    extraction: Extraction, options: SyncOptions, wanted: Collection[str], folder: Path, timezone: str
) -> tuple[dict[str, StagedDeals], dict[str, int]]:
    stagings: dict[str, _Staging] = {}
    left: Counter[str] = Counter()
    moment = _this_moment(timezone)
    with ThreadPoolExecutor(1) as beside, ExitStack() as open_files:
        for pipeline, deals in extraction.tables():
            if pipeline not in wanted:
                left[pipeline] += deals.num_rows
                continue
            if pipeline not in stagings:
                stagings[pipeline] = open_files.enter_context(_Staging(folder / f"{uuid4().hex}.arrow", moment, beside))
            stagings[pipeline].write(deals)
    counts = extraction.counts
    if unnamed := counts.non_rows["no pipeline"]:
        left[""] = unnamed
    staged, reading = {}, reading_of(options, timezone)
    for pipeline, staging in stagings.items():
        others = {"in another pipeline": counts.deals - staging.deals} if counts.deals > staging.deals else {}
        deals = staging.staged(extraction, {**counts.non_rows, **others})
        deals = replace(deals, reading=reading | {"pipeline": pipeline}, said=said(options) | {"pipeline": pipeline})
        staged[pipeline] = _with_gone(deals, extraction.gone, folder)
    return staged, dict(left)


class _Staging:
    """An Arrow file of deals being written ``beside`` what the caller does next; one batch at a time waits for that."""

    def __init__(self, path: Path, moment: datetime, beside: Executor) -> None:
        self.path, self.moment, self.deals = path, moment, 0
        self._beside = beside
        self._writing: Future[None] | None = None
        self._emptied: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._sink = pa.OSFile(str(self.path), "wb")
        self._writer = pa.ipc.new_file(self._sink, STAGED_SCHEMA)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._sink, self._writer:
            self._wait()

    def write(self, deals: pa.Table) -> None:
        """Write ``deals``; an error in writing those before is raised here, or at the end."""
        self._wait()
        self._writing = self._beside.submit(self._put, deals)
        self.deals += deals.num_rows

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _put(self, deals: pa.Table) -> None:
        table, emptied = without_null_words(deals.select(STAGED_SCHEMA.names).cast(STAGED_SCHEMA))
        self._emptied.update(emptied)
        place = table.schema.get_field_index("lastSyncedAt")
        self._writer.write_table(table.set_column(place, "lastSyncedAt", pc.fill_null(table["lastSyncedAt"], self.moment.isoformat())))

    def staged(self, extraction: Extraction, non_rows: dict[str, int]) -> StagedDeals:
        facts, counts = extraction.facts, extraction.counts
        filled = {column: dict(how) for column, how in counts.filled.items()}
        for column, cells in self._emptied.items():
            filled[column] = filled.get(column, {}) | {_NULL_WORD: cells}
        return StagedDeals(
            self.path,
            facts,
            counts.rows,
            self.deals,
            non_rows,
            filled,
            self.moment,
            _names(counts.undecided),
            dict(counts.contradictions),
            counts.short_rows,
            currency=extraction.currency,
            warnings=counts.warnings,
        )


def _names(stages: Counter[str]) -> dict[str, int]:
    """The stages that may be shown, those about a person together by their length."""
    shown = Counter[str]()
    for stage, rows in stages.most_common(_STAGES):
        shown[name_or_shape(stage)] += rows
    return dict(shown)


def _with_gone(staged: StagedDeals, gone: set[str], folder: Path) -> StagedDeals:
    """With the ids that the export says are gone. Raises ExportUnmappable for a deal that another row has all the same."""
    if not gone:
        return staged
    ids = pa.array(sorted(gone), pa.string())
    for table in batches(staged, ["id", SOURCE_LINE]):
        live = table[SOURCE_LINE].filter(pc.is_in(table["id"], ids))
        if len(live):
            raise ExportUnmappable(
                f"{staged.export.path}, line {live[0].as_py()}: the deal stands there, and in another row it is marked as deleted;"
                " nothing says which of the two is later. Export each deal once, in its latest version."
            )
    path = folder / f"{staged.path.stem}-gone.arrow"
    with pa.OSFile(str(path), "wb") as sink:
        table = pa.table({"id": ids})
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return replace(staged, gone=len(gone), gone_ids=path)


def _open(options: SyncOptions, pipeline: str | None, timezone: str) -> Extraction:
    return open_export(
        options.export,
        crm=options.crm,
        pipeline=pipeline,
        crm_timezone=options.crm_timezone,
        timezone=timezone,
        date_order=options.date_order,
        decimal=options.decimal,
        currency=options.currency,
        limit=options.limit,
        encoding=options.encoding,
        defaults=options.default,
        closed_date=options.closed_date,
        assume_open=options.assume_open,
    )


def _this_moment(timezone: str) -> datetime:
    return datetime.now(ZoneInfo(timezone)).replace(tzinfo=None, microsecond=0)


def batches(staged: StagedDeals, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """The staged deals, some :data:`AT_ONCE` rows at a time; read rather than mapped, so that memory does not grow with the file."""
    with pa.OSFile(str(staged.path)) as source:
        names = None if columns is None else [STAGED_SCHEMA.get_field_index(name) for name in columns]
        reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=names))
        group: list[pa.RecordBatch] = []
        rows = size = 0
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            group.append(batch)
            rows, size = rows + batch.num_rows, size + batch.nbytes
            if rows >= AT_ONCE or size >= _BYTES_AT_ONCE:
                yield pa.Table.from_batches(group)
                group, rows, size = [], 0, 0
        if group:
            yield pa.Table.from_batches(group)

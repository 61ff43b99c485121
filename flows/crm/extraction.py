"""An export as deals frames: opened, bound to its dialect, read once in batches, every row accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from expectations.deals_schema import SOURCE_LINE
from expectations.row_checks import deals_frame
from flows.crm.dialect import Dialect, load_dialect
from flows.crm.empty_cells import ClosedDate, require_closing, with_defaults
from flows.crm.files.contents import Contents, form_of, read_contents
from flows.crm.files.location import LocalExport, fetch
from flows.crm.files.table_reader import RawRows, TableReader
from flows.crm.header_match import Bound
from flows.crm.inference.format_inference import FormatInference
from flows.crm.mapped_columns import Mapping
from flows.crm.row_counts import RowCounts
from flows.crm.row_filters import MergedLater, RowFilters
from flows.crm.sheet_choice import bind
from flows.crm.values.dates import Order
from flows.crm.values.numbers import Style
from flows.crm.values.status import refuse_assumed
from flows.crm.values.zones import Zones

if TYPE_CHECKING:
    import pandas as pd

QUARANTINE_REASONS = ("failed_column", "failed_value", "failed_rule")
"""The columns that a quarantine has before the deal's own."""

ALL_PIPELINES: Final = "*"
"""As ``pipeline``: keep every pipeline apart, for `Extraction.tables`."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The facts of the file that was read. ``separator`` is None for a workbook, ``modified`` where nobody knows.

    ``member`` is the archive's file or the workbook's sheet that is read, ``unread`` are its filled sheets that are not, and
    ``quarantine`` says that it is one that a sync has left, to be fixed. ``guess`` has the letters beyond ASCII where the encoding is one.
    """

    path: str
    sha256: str
    bytes: int
    modified: datetime | None
    encoding: str
    separator: str | None
    dialect: str
    zones: Zones
    member: str | None = None
    unread: tuple[str, ...] = ()
    quarantine: bool = False
    guess: str | None = None

    @property
    def form(self) -> str:
        """The form it is written in, in words."""
        return form_of(self.encoding, self.separator, self.member, self.unread, self.guess)


class Extraction:
    """The deals frames of one export: iterate once. Errors in the data (`ExportError`) may come while iterating.

    A frame has the 35 columns as Arrow-backed text and ``source_line``, the line of the file (the row of the sheet) where the
    deal starts. ``gone`` has the ids of deals that the export marks as deleted or merged into another. Use as a context manager,
    or exhaust it, to remove what was fetched.
    """

    def __init__(
        self, local: LocalExport, inference: FormatInference, row_filters: RowFilters, zones: Zones, *, assume_open: bool = False
    ) -> None:
        self.counts = RowCounts()
        self.gone = set[str]()
        self._assume_open = assume_open
        self._local, self._inference, self._row_filters, self._zones = local, inference, row_filters, zones
        self._exhausted = False

    @cached_property
    def facts(self) -> ExportFacts:
        """The facts of what is read; asking waits for the digest, which is taken beside the reading."""
        reader = self._inference.reader
        return ExportFacts(
            path=self._local.location,
            sha256=self._local.sha256,
            bytes=self._local.size,
            modified=self._local.modified,
            encoding=reader.contents.encoding,
            guess=reader.contents.guess,
            separator=reader.layout.separator,
            dialect=self._inference.bound.dialect.name,
            zones=self._zones,
            member=reader.contents.member,
            unread=reader.contents.unread,
            quarantine=set(QUARANTINE_REASONS) <= set(reader.layout.headers),
        )

    @property
    def pipelines(self) -> dict[str, int]:
        """The export's pipelines with their rows, most first; empty when the dialect knows no pipeline column in it."""
        counts = self._row_filters.pipelines if self._exhausted else self._inference.pipelines
        return dict(counts.most_common())

    @property
    def currency(self) -> str | None:
        """The one currency of the amounts read so far, where the export says it."""
        return self._row_filters.one_currency.name()

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for _, table in self.tables():
            yield deals_frame(table)

    def tables(self) -> Iterator[tuple[str, pa.Table]]:
        """The frames as Arrow tables, each with its pipeline: the empty text, unless the export was opened with `ALL_PIPELINES`.

        Raises MergedLater where deals that were handed on should not have been; `anew` reads without them.
        """
        try:
            for rows in self._inference.reader.read(self._inference.bound.wanted):
                for pipeline, kept in self._row_filters.sift(rows, self.counts):
                    if len(kept.lines):
                        yield pipeline or "", self._table(kept)
                self._collect_gone()
            self._row_filters.finish(self.counts)
            self.counts.warnings = self._inference.reader.warnings(self._local.cuts) + self.counts.doubts
            self._local.require_unchanged()
            if not self._assume_open:
                refuse_assumed(self._inference.bound, self.counts, self._local.location)
            self._exhausted = True
        except MergedLater:
            raise
        except BaseException:
            self.close()
            raise
        self.close()

    def anew(self) -> Extraction:
        """The same export once more, after `MergedLater`: with the ids that are merged known from its first row on."""
        inference, merged = self._inference, self._row_filters.merged
        filters = RowFilters(inference, self._row_filters.pipeline, self._row_filters.one_currency.chosen, self._row_filters.limit, merged)
        return Extraction(self._local, inference, filters, self._zones, assume_open=self._assume_open)

    def close(self) -> None:
        """Remove the fetched copy."""
        self._local.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _mapping(self, rows: RawRows) -> Mapping:
        return Mapping(self._inference.bound, self._inference, self._zones, rows.table, rows.lines, self._row_filters.one_currency.chosen)

    def _collect_gone(self) -> None:
        """Remember the ids of the rows that the last batch had of deals which the CRM has no more."""
        for rows in self._row_filters.taken_gone():
            self.gone.update(self._mapping(rows).column("id").drop_null().to_pylist())
        self.gone |= self._row_filters.merged or frozenset()

    def _table(self, rows: RawRows) -> pa.Table:
        mapping = self._mapping(rows)
        deals = mapping.deals()
        mapping.count_in(self.counts)
        return deals.append_column(SOURCE_LINE, pa.array(rows.lines))


def open_export(
    location: str,
    *,
    crm: str,
    pipeline: str | None = None,
    crm_timezone: str | None = None,
    timezone: str = "UTC",
    date_order: Order | None = None,
    decimal: Style | None = None,
    currency: str | None = None,
    limit: int | None = None,
    encoding: str | None = None,
    defaults: Sequence[str] = (),
    closed_date: ClosedDate | None = None,
    assume_open: bool = False,
    now: datetime | None = None,
) -> Extraction:
    """Open the export at ``location`` (a path, a glob whose newest file wins, any fsspec URL) by the dialect ``crm``.

    ``pipeline`` keeps one pipeline (`ALL_PIPELINES`: all, apart). Times without a zone are read in ``crm_timezone`` (default: the
    dialect's, or ``timezone`` where a CRM writes its user's) and told in ``timezone``, both IANA names. ``date_order`` settles
    03/04/24, ``decimal`` 1.200, ``currency`` keeps the deals in one currency, ``limit`` the first deals of each pipeline.
    ``encoding`` is the text's own, where the user knows it; with ``assume_open`` deals whose stage says no outcome are open,
    however many they are. ``defaults`` and ``closed_date`` are those of `with_defaults`. ``now`` settles two-digit years.

    Raises UsageError, ExportNotFound, ExportUnreadable; ExportUnmappable where a needed column is missing or cells read in two ways.
    """
    dialect = with_defaults(load_dialect(crm), defaults, closed_date)
    with ExitStack() as kept:
        kept.callback((local := fetch(location)).close)
        contents = read_contents(local.path, local.location, dialect.zip_members, encoding or dialect.encoding)
        bound = _bound(dialect, contents, closed_date, local.location)
        reader = TableReader(bound.contents, bound.layout, local.location, bound.numbers, bound.dialect.footers)
        inference = FormatInference(reader, bound, date_order, decimal, now or datetime.now(UTC))
        filters, zones = RowFilters(inference, pipeline, currency, limit), bound.zones(crm_timezone, timezone)
        extraction = Extraction(local, inference, filters, zones, assume_open=assume_open)
        kept.pop_all()
        return extraction


def _bound(dialect: Dialect, contents: Contents, closed_date: ClosedDate | None, location: str) -> Bound:
    bound = bind(dialect, contents, location)
    require_closing(bound, closed_date, location)
    bound.require(location)
    return bound

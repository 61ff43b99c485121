"""The dialect that fits an export, and the source of each of the 35 columns in it, with an example."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Mapped
from dataclasses import dataclass, field
from itertools import islice

import pyarrow as pa

from expectations.deals_schema import COLUMN_NAMES
from flows.crm.dialect import Dialect, Source, known_dialects, load_dialect
from flows.crm.files.contents import form_of, read_contents
from flows.crm.files.location import fetch
from flows.crm.files.table_reader import RawRows, TableReader
from flows.crm.guide.id_columns import find_ids
from flows.crm.header_match import REQUIRED, Bound
from flows.crm.inference.format_inference import FormatInference
from flows.crm.mapped_columns import DEALS_SCHEMA, Mapping
from flows.crm.row_counts import RowCounts
from flows.crm.row_filters import ALL, RowFilters
from flows.crm.sheet_choice import bind
from flows.crm.values.dates import Order
from flows.crm.values.numbers import Style
from flows.crm.values.status import refuse_assumed
from flows.crm.values.zones import Zones
from flows.errors import ExportError
from flows.runtime.zone_names import checked_zone

_SAMPLE_ROWS = 1000

_LEAST = 3
"""Headers that a dialect must know of an export to be called a match, however few the export has."""


@dataclass(frozen=True, slots=True)
class DialectFit:
    """The fit of a dialect: the headers it knows of the export's, and the indispensable columns it cannot fill."""

    name: str
    title: str
    recognised: int
    headers: int
    missing: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """True if `--crm` with this dialect would read the export."""
        return not self.missing

    @property
    def matches(self) -> bool:
        """True if the export may be of this CRM at all: some headers are known, and they fill most of what a deal needs."""
        return self.fits or (self.recognised >= _LEAST and len(self.missing) * 2 <= len(REQUIRED))


@dataclass(frozen=True, slots=True)
class ColumnFit:
    """The source of a target column: ``sources`` in the order they are tried, or ``why_empty``.

    ``example`` is the first value among the first rows, ``rows`` how many of those ``sample`` rows get one.
    """

    column: str
    sources: tuple[str, ...]
    example: str | None
    rows: int
    sample: int
    why_empty: str | None


@dataclass(frozen=True, slots=True)
class Fit:
    """The dialects from best to worst, and the columns that the best one fills, or the ``chosen`` one.

    ``trouble`` says what reading with it would stop at. ``ids`` are headers, or combinations of them, that could be the id where the
    dialect finds none, and ``form`` is how the file is written, its sheets by name.
    """

    path: str
    form: str
    headers: tuple[str, ...]
    ranking: tuple[DialectFit, ...]
    chosen: DialectFit
    columns: tuple[ColumnFit, ...]
    zones: Zones
    trouble: str | None = None
    undecided: Mapped[str, int] = field(default_factory=dict)
    """The stages of the sample that say no outcome, with their deals."""
    ids: tuple[tuple[str, ...], ...] = ()
    warnings: tuple[str, ...] = ()
    """Warnings of hidden rows, and of a last line that may be cut short."""


Doubts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """The user's own statements about an export, as for `open_export`."""

    crm_timezone: str | None = None
    timezone: str | None = None
    date_order: Order | None = None
    decimal: Style | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for an unknown zone."""
        for zone in (self.crm_timezone, self.timezone):
            checked_zone(zone or "UTC")


NOTHING_SAID = Said()


def fit(location: str, crm: str | None = None, said: Said = NOTHING_SAID) -> Fit:
    """Rank the shipped dialects for the export; show the best one's columns, or those of ``crm``, read as the user ``said``.

    Raises ExportNotFound and ExportUnreadable as `open_export` does; what would raise ExportUnmappable is told in ``trouble``.
    """
    local = fetch(location)
    try:
        chosen = load_dialect(crm) if crm else None
        dialects = [*known_dialects(), *([chosen] if chosen else [])]
        contents = read_contents(
            local.path,
            local.location,
            tuple(member for dialect in dialects for member in dialect.zip_members),
            said.encoding or (chosen.encoding if chosen else None),
        )
        bounds = [bind(dialect, contents, local.location) for dialect in dialects]
        ranked = sorted(bounds, key=_rank)
        best = next((bound for bound in ranked if chosen and bound.dialect is chosen), ranked[0])
        reader = TableReader((contents := best.contents), best.layout, local.location, best.numbers, best.dialect.footers)
        zones = best.zones(said.crm_timezone, said.timezone or "UTC")
        columns, trouble, undecided, doubts = _columns(FormatInference(reader, best, said.date_order, said.decimal), zones)
        ranking = tuple(_dialect_fit(bound) for bound in ranked if bound is best or not chosen or bound.dialect.name != chosen.name)
        ids = () if best.can_fill("id") else tuple(find_ids(reader))
        form = form_of(contents.encoding, best.layout.separator, contents.member, contents.unread, contents.guess)
        told = local.location, form, best.layout.headers, ranking, _dialect_fit(best), columns, zones, trouble, undecided, ids
        return Fit(*told, reader.warnings(local.cuts) + doubts)
    finally:
        local.close()


def _rank(bound: Bound) -> tuple[int, float, str]:
    """Fewest indispensable columns missing first, then most headers recognised."""
    fitted = _dialect_fit(bound)
    return len(fitted.missing), -fitted.recognised / max(fitted.headers, 1), fitted.name


def _dialect_fit(bound: Bound) -> DialectFit:
    return DialectFit(bound.dialect.name, bound.dialect.title, bound.layout.recognised, len(bound.layout.headers), bound.missing)


def _columns(inference: FormatInference, zones: Zones) -> tuple[tuple[ColumnFit, ...], str | None, dict[str, int], Doubts]:
    """All 35 columns, also where some cannot be filled or read, what a sync would stop at, stages without outcome, and warnings."""
    bound, location = inference.bound, inference.reader.location
    counts, troubles, unread = RowCounts(), list[str](), dict[str, str]()
    try:
        bound.require(location)
    except ExportError as error:
        troubles.append(str(error))
    sample = _sampled(inference, zones, counts, unread)
    troubles += list(dict.fromkeys(unread.values()))
    try:
        refuse_assumed(bound, counts, location)
    except ExportError as error:
        troubles.append(str(error))
    fits = tuple(_column_fit(name, bound, sample, counts.filled.get(name, Counter()), unread.get(name)) for name in COLUMN_NAMES)
    return fits, "\n".join(troubles) or None, dict(counts.undecided.most_common()), counts.doubts


def _sampled(inference: FormatInference, zones: Zones, counts: RowCounts, unread: dict[str, str]) -> pa.Table:
    """The first rows in the 35 columns; ``unread`` takes the columns that cannot be read, and why."""
    reader, bound = inference.reader, inference.bound
    pipeline = ALL if bound.dialect.pipeline and bound.position_of(bound.dialect.pipeline) is not None else None
    row_filters = RowFilters(inference, pipeline, None, _SAMPLE_ROWS)
    deals = [DEALS_SCHEMA.empty_table()]
    try:
        for rows in islice(reader.read(bound.wanted), 1):
            first = RawRows(rows.table.slice(0, _SAMPLE_ROWS), rows.lines[:_SAMPLE_ROWS])
            for _, part in row_filters.sift(first, counts):
                mapping = Mapping(bound, inference, zones, part.table, part.lines)
                deals.append(pa.table([_column(mapping, name, unread) for name in COLUMN_NAMES], names=list(COLUMN_NAMES)))
                if "status" not in unread:
                    mapping.count_in(counts)
    except ExportError as error:
        unread.setdefault("", str(error))
    return pa.concat_tables(deals, promote_options="default")


def _column(mapping: Mapping, name: str, unread: dict[str, str]) -> pa.Array:
    try:
        return mapping.column(name)
    except ExportError as error:
        unread[name] = str(error)
        return pa.nulls(len(mapping.lines), pa.string())


def _column_fit(name: str, bound: Bound, sample: pa.Table, filled: Counter[str], unread: str | None) -> ColumnFit:
    values = sample[name].drop_null()
    sources = tuple(_told(bound, source) for source in _chain(bound.dialect, name) if bound.has(source))
    if name == "status" and not bound.dialect.verbatim:
        sources = tuple(filled)
    why = None if len(values) else "cannot be read as it is" if unread else _why_empty(name, bound, sampled=bool(sample.num_rows))
    return ColumnFit(name, sources, values[0].as_py() if len(values) else None, len(values), sample.num_rows, why)


def _chain(dialect: Dialect, name: str) -> tuple[Source, ...]:
    return (*(dialect.converted if name == "value" else ()), *dialect.columns.get(name, ()))


def _told(bound: Bound, source: Source) -> str:
    while_ = f" (while {source.during})" if source.during else ""
    if source.how == "column":
        return f"{source.names[0][1:]}{while_}"
    if source.how == "default":
        return f"always {source.names[0]!r}"
    headers = ", ".join(repr(bound.header_of(name)) for name in source.names if bound.position_of(name) is not None)
    headers = f"{source.times} times {headers}" if source.times else headers
    return f"{headers}{while_}" if source.how == "field" else f"{source.how.replace('_', ' ')} {headers}{while_}"


def _why_empty(name: str, bound: Bound, *, sampled: bool) -> str:
    if name == "lastSyncedAt":
        return "the sync sets it"
    chain = _chain(bound.dialect, name)
    if bound.can_fill(name):
        return "empty in every row looked at" if sampled else "not read"
    headers = [bound.dialect.headers_of(name)[0] for source in chain if source.how not in {"column", "default"} for name in source.names]
    if headers:
        return f"the export has no {' or '.join(repr(header) for header in dict.fromkeys(headers))}"
    return "this CRM's deal export does not hold it" if chain or name != "status" else "no flag, status or stage column"

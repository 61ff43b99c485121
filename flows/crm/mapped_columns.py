"""From an export's cells to the 35 columns, a batch at a time, with an account of what filled what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, Kind
from expectations.formats import one_chunk
from flows.crm.dialect import KINDS, MOMENTS, Recipe, Source
from flows.crm.header_match import Bound
from flows.crm.inference.currencies import units_of
from flows.crm.inference.format_inference import FormatInference
from flows.crm.row_counts import RowCounts
from flows.crm.values.cell_transforms import derive
from flows.crm.values.cells import counted, errors_among, undecided, unmarked, without, without_errors
from flows.crm.values.dates import Clock, in_platform_form, letters_behind, to_datetimes
from flows.crm.values.flags import first_unread, to_booleans, unread_flag
from flows.crm.values.identifiers import plain_ids, rounded
from flows.crm.values.numbers import scaled, to_numbers
from flows.crm.values.status import Status, tell_status
from flows.crm.values.zones import TimesOfDay, Zones
from flows.errors import ExportUnmappable

DEALS_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMN_NAMES])
"""Deals as they are mapped, and as they are sent: text throughout."""

LONGEST_ID = 1000
"""Bytes of an identifier; CRMs have some 40."""

_CLOSING = {"closedDatetime", "expectedClosureDatetime"}
"""The dates whose month a forecast is made of."""

_HAPPENED = {"creationDatetime", "lastUpdateDatetime"}

_IDENTIFIERS = ("id", "companyId", "contactId")


@dataclass
class Mapping:
    """One batch on its way to the 35 columns. ``filled`` and ``unread`` count rows by target column."""

    bound: Bound
    inference: FormatInference
    zones: Zones
    table: pa.Table
    lines: pa.Array
    currency: str | None = None
    filled: dict[str, Counter[str]] = field(default_factory=dict)
    unread: Counter[str] = field(default_factory=Counter)
    serials: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    _done: dict[str, pa.Array] = field(default_factory=dict)
    _converted: dict[tuple[Source, Kind], tuple[pa.Array, int]] = field(default_factory=dict)
    _status: Status | None = None

    def count_in(self, counts: RowCounts) -> None:
        """Add to ``counts`` what this batch has filled, by column, what it could not read, and what its stages decide."""
        for name, filled in self.filled.items():
            counts.filled.setdefault(name, Counter()).update(filled)
        counts.unread.update(+self.unread)
        counts.serials |= self.serials
        counts.errors.update(self.errors)
        counts.future.update(+Counter({name: self._in_future(name) for name in sorted(self._done.keys() & _HAPPENED)}))
        for name in sorted(self._done.keys() & _CLOSING):
            counts.times_of_day.setdefault(name, TimesOfDay()).see(self.column(name))
        if not self.bound.dialect.verbatim:
            counts.undecided.update(self.status.undecided)
            counts.stages.update(self.status.stages)
            counts.contradictions.update(self.status.contradictions)
            counts.statuses.update(counted(self.status.column))
            counts.overdue += self.overdue

    def deals(self) -> pa.Table:
        """The batch in the 35 columns, as text."""
        return pa.Table.from_arrays([self.column(name) for name in COLUMN_NAMES], names=list(COLUMN_NAMES))

    def column(self, name: str) -> pa.Array:
        """One target column, made when it is first asked for."""
        if name not in self._done:
            self._done[name] = self._made(name)
        return self._done[name]

    def raw(self, name: str) -> pa.Array:
        """A field's cells as they stand in the export, but for guards and what the dialect says this field means by nothing."""
        dialect, position = self.bound.dialect, self.bound.position_of(name)
        if position is None:
            return self._nothing
        column = one_chunk(self.table.column(str(position)))
        column = without(column, dialect.nulls_of.get(name, frozenset()))
        return pc.replace_substring_regex(column, r"^'([=+\-@])", r"\1") if dialect.leading_apostrophe else column

    def flag(self, name: str) -> pa.Array:
        """A field as `true` and `false`. Raises ExportUnmappable for a filled cell that says neither."""
        column, unread = self._part(Source("field", (name,)), Kind.BOOLEAN)
        if unread:
            row = first_unread(column)
            place = f"{self.inference.reader.location}, line {self.lines[row]}, column {self.bound.header_of(name)!r}"
            raise unread_flag(place, column[row].as_py(), self.bound.flags, self.bound.dialect.name)
        return column

    def _made(self, name: str) -> pa.Array:
        recipe = self.bound.dialect.columns.get(name, ())
        if self.bound.dialect.verbatim:
            column = self._without_rounded(name, self.raw(name)) if name in _IDENTIFIERS else self.raw(name)
            if KINDS[name] is Kind.DATETIME:
                column = in_platform_form(column, self._clock(name))
            self._count(name, "direct", len(column) - column.null_count)
            return column
        if name == "status":
            return self.status.column
        column = self._nothing
        for label, part in self._parts(name, recipe):
            before = column.null_count
            column = part if before == len(column) else pc.coalesce(column, part) if before else column
            self._count(name, label, before - column.null_count)
            if column.null_count == 0:
                break
        return self._not_before(name, column)

    def _parts(self, name: str, recipe: Recipe) -> Iterator[tuple[str, pa.Array]]:
        for place, source in enumerate(self._amounts(recipe) if name == "value" else recipe):
            if self.bound.has(source):
                part, unread = self._part(source, KINDS[name])
                self.unread[name] += unread
                part = self._identifiers(name, part) if name in _IDENTIFIERS else part
                yield self._label(source, first=place == 0), self._during(part, source.during)

    def _amounts(self, recipe: Recipe) -> Iterator[Source]:
        """The converted amount where there is one; the amount itself only where all are known to be in one currency, or one was chosen."""
        if not self.currency:
            yield from self.bound.converted
        for source in recipe:
            if source.how == "default" or self.currency or not self.bound.converted or self._alike:
                yield source

    @cached_property
    def _alike(self) -> bool:
        """True if the export says that all its amounts are in one currency."""
        told = bool(self.bound.units) or units_of(self.bound, self.table).null_count < len(self.lines)
        return told and len(self.inference.currencies) == 1

    def _label(self, source: Source, *, first: bool) -> str:
        if source.times:
            return f"derived:{source.times} times {self.bound.header_of(source.names[0])}"
        if source.how == "field":
            return "direct" if first else f"fallback:{self.bound.header_of(source.names[0])}"
        if source.how == "column":
            return f"fallback:{source.names[0][1:]}"
        if source.how == "default":
            return f"default:{source.names[0]}"
        headers = ", ".join(self.bound.header_of(name) for name in source.names if self.bound.position_of(name) is not None)
        return f"derived:{source.how.replace('_', ' ')} {headers}"

    def _part(self, source: Source, kind: Kind) -> tuple[pa.Array, int]:
        if source.how == "column":
            return self.column(source.names[0][1:]), 0
        if source.how == "default":
            return pa.repeat(pa.scalar(source.names[0], pa.string()), len(self.lines)), 0
        if source.how == "latest":
            return self._latest(source)
        key = (replace(source, during=None), kind)
        if key not in self._converted:
            read, unread = self._read(source, Kind.DECIMAL if source.times else kind)
            self._converted[key] = (scaled(read, source.times), unread) if source.times else (read, unread)
        return self._converted[key]

    def _read(self, source: Source, kind: Kind) -> tuple[pa.Array, int]:
        """An entry's cells converted; the dialect's words for nothing are looked for only where they could pass for a value."""
        dialect = self.bound.dialect
        columns = [self.raw(name) for name in source.names]
        if source.how == "field" and kind is not Kind.STRING:
            converted = self._convert(source.names[0], columns[0], kind)
            words = dialect.nulls | undecided() if dialect.nulls else dialect.nulls
            words = without_errors(words) if kind is Kind.BOOLEAN else words
            if not converted[1] or not words:
                return converted
            if errors := pc.sum(pc.is_in(columns[0], errors_among(words))).as_py():
                self.errors[self.bound.header_of(source.names[0])] += errors
            return self._convert(source.names[0], without(columns[0], words), kind)
        columns = [without(column, dialect.nulls) for column in columns]
        column = columns[0] if source.how == "field" else derive(source.how, columns, dialect.list_separator)
        return self._convert(source.names[0], column, kind)

    def _convert(self, name: str, column: pa.Array, kind: Kind) -> tuple[pa.Array, int]:
        apostrophe = self.bound.dialect.leading_apostrophe
        if kind is Kind.DATETIME:
            read, unread = to_datetimes(column, self._clock(name), self.inference.dates.of, days=name in self.bound.dialect.days)
            if unread:
                self._refuse_letters(name, read)
            if self.serials and self.inference.reader.contents.traits.get("from_1904"):
                self._refuse_serials(name, column)
            return read, unread
        if kind in {Kind.DECIMAL, Kind.INTEGER}:
            sign = self.inference.numbers
            return to_numbers(column, sign.sign, integer=kind is Kind.INTEGER, known=sign.known, apostrophe=apostrophe)
        if kind is Kind.BOOLEAN:
            blank = "false" if name in self.bound.dialect.blank_is_false else None
            return to_booleans(column, blank=blank, own=self.bound.dialect.flag_words)
        return unmarked(column) if self.inference.reader.contents.rows is not None else column, 0

    def _refuse_letters(self, name: str, column: pa.Array) -> None:
        """Raise ExportUnmappable for a time with letters that are several zones', or not its day's: `CST`, `CET` in July."""
        unread = pc.fill_null(pc.match_substring_regex(column, "[0-9. mM][A-Z]{2,5}$"), False)
        for row in pc.indices_nonzero(unread).to_pylist() if pc.any(unread).as_py() else ():
            if letters := letters_behind(column[row].as_py()):
                place = f"{self.inference.reader.location}, line {self.lines[row]}, column {self.bound.header_of(name)!r}"
                raise ExportUnmappable(
                    f"{place}: the letters {letters} behind the time are several zones', or another season's."
                    " Say the zone or the offset in a dialect of your own, and pass its path as --crm:\n"
                    f'  extends = "{self.bound.dialect.name}"\n  [dates]\n'
                    f'  letters = {{ {letters} = "America/Chicago" }} # a zone keeps its summer time, an offset such as "-06:00" has none'
                )

    def _refuse_serials(self, name: str, column: pa.Array) -> None:
        """Raise ExportUnmappable for a plain number as a date in a workbook that counts days from 1904."""
        row = pc.index(pc.match_substring_regex(column, r"^\s*[0-9]{5}(?:[.,][0-9]+)?\s*$"), True).as_py()
        if row >= 0:
            raise ExportUnmappable(
                f"{self.inference.reader.location}, line {self.lines[row]}, column {self.bound.header_of(name)!r}: the date is a plain"
                " number, and this workbook counts days from 1904, where most do from 1900. Format the column as dates, see that they are"
                " right, and save again."
            )

    def _clock(self, name: str) -> Clock:
        header = self.bound.header_of(name)
        zone = self.zones.of(header)
        return Clock(zone, self.zones.sent_in, self.inference.now, self.bound.dialect.zone_letters, header, self.serials)

    def _latest(self, source: Source) -> tuple[pa.Array, int]:
        parts = [self._part(Source("field", (name,)), Kind.DATETIME) for name in source.names if self.bound.position_of(name) is not None]
        return pc.max_element_wise(*[part for part, _ in parts]), sum(unread for _, unread in parts)

    def _during(self, column: pa.Array, during: str | None) -> pa.Array:
        if during is None or column.null_count == len(column):
            return column
        holds = pc.invert(self.status.is_open) if during == "closed" else pc.is_in(self.status.column, pa.array(MOMENTS[during]))
        return pc.if_else(holds, column, None)

    def _not_before(self, name: str, column: pa.Array) -> pa.Array:
        """The platform refuses an addDatetime before creation: some CRMs let people move the creation date."""
        earliest = next(declared.not_before for declared in COLUMNS if declared.name == name)
        if earliest is None or not self.filled.get(name, Counter()).keys() - {f"fallback:{earliest}"}:
            return column
        floor = self.column(earliest)
        early = pc.fill_null(pc.and_(pc.less(column, floor), pc.match_substring_regex(column, "^[12][0-9]{3}-")), False)
        moved = pc.sum(early).as_py() or 0
        if moved:
            self._count(name, f"raised:{earliest}", moved)
            self.filled[name]["direct"] -= moved
        return pc.if_else(early, floor, column) if moved else column

    @property
    def status(self) -> Status:
        """The status of every row, told by the dialect's rules."""
        if self._status is None:
            self._status = tell_status(self.bound, self.raw, self.flag, len(self.lines))
            for label, count in self._status.told.items():
                self._count("status", label, count)
        return self._status

    def _identifiers(self, name: str, column: pa.Array) -> pa.Array:
        """Identifiers as they are compared."""
        plain = plain_ids(column)
        return self._without_rounded(name, column if plain is column else without(plain, self.bound.dialect.nulls))

    def _without_rounded(self, name: str, column: pa.Array) -> pa.Array:
        """An identifier that a spreadsheet rounded could be that of several, and is none."""
        self._refuse_long(name, column)
        lost = rounded(column)
        if not pc.any(lost).as_py():
            return column
        self._count(name, "lost:rounded by a spreadsheet", pc.sum(lost).as_py())
        return pc.if_else(lost, None, column)

    def _refuse_long(self, name: str, column: pa.Array) -> None:
        """Raise ExportUnmappable for an identifier that is none: each is held in memory as long as the export is read."""
        lengths = pc.binary_length(column)
        if ((longest := pc.max(lengths)).as_py() or 0) > LONGEST_ID:
            line = self.lines[pc.index(lengths, longest).as_py()]
            raise ExportUnmappable(
                f"{self.inference.reader.location}, line {line}: {name} has {longest} bytes, and an id has at most {LONGEST_ID}, "
                "which no setting raises. Name the column that has the ids in a dialect, or fix the row."
            )

    def _in_future(self, name: str) -> int:
        """Number of dates of the column that are later than a day from now."""
        tomorrow = (self.inference.now.astimezone(ZoneInfo(self.zones.sent_in)) + timedelta(days=1)).replace(tzinfo=None).isoformat()
        column = self.column(name)
        if (pc.max(column).as_py() or "") <= tomorrow:
            return 0
        late = pc.and_(pc.greater(column, tomorrow), pc.match_substring_regex(column, "^[12][0-9]{3}-"))
        return pc.sum(late).as_py() or 0

    @property
    def overdue(self) -> int:
        """Number of deals that are open only because nothing says otherwise, although they should have closed before now."""
        if self.bound.dialect.verbatim or not pc.any(self.status.open_unsaid).as_py():
            return 0
        now = self.inference.now.astimezone(ZoneInfo(self.zones.sent_in)).replace(tzinfo=None).isoformat()
        closing = self.column("expectedClosureDatetime")
        past = pc.and_(pc.less(closing, now), pc.match_substring_regex(closing, "^[12][0-9]{3}-"))
        return pc.sum(pc.fill_null(pc.and_(self.status.open_unsaid, past), False)).as_py() or 0

    def _count(self, name: str, label: str, rows: int) -> None:
        if rows:
            self.filled.setdefault(name, Counter())[label] += rows

    @cached_property
    def _nothing(self) -> pa.Array:
        return pa.nulls(len(self.lines), pa.string())

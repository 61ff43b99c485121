"""A dialect bound to one export's header row: which position fills what, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from expectations.deals_schema import COLUMNS, Kind, Null
from expectations.disclosure import name_or_shape
from flows.crm.dialect import LOCAL, Dialect, Drop, Recipe, Source, StatusRule, known_dialects
from flows.crm.files.contents import Contents
from flows.crm.files.header_row import Layout, folded
from flows.crm.inference.header_factors import factor_in
from flows.crm.values.flags import DELETED, Mark, marks_of
from flows.crm.values.numbers import currency_name, may_be_one
from flows.crm.values.zones import Zones
from flows.errors import ExportUnmappable, quoted
from flows.runtime.zone_names import checked_zone

_DIRECT = {"field", "latest", "number_in", "hundredth_of"}
_AS_IT_STANDS = {"field", "number_in"}
_DATES = {column.name for column in COLUMNS if column.kind is Kind.DATETIME}
_NUMBERS = {column.name for column in COLUMNS if column.kind in {Kind.DECIMAL, Kind.INTEGER}}
STAND_INS = {
    "value": "--default value=0",
    "lastUpdateDatetime": "--default lastUpdateDatetime=@closedDatetime --default lastUpdateDatetime=@creationDatetime",
    "addDatetime": "--default addDatetime=@creationDatetime",
    "currentStageStartDatetime": "--default currentStageStartDatetime=@closedDatetime"
    " --default currentStageStartDatetime=@creationDatetime",
}
"""The options that say what stands for a column which an export lacks."""

CLOSED_DATES = {"stage": "currentStageStartDatetime", "modified": "lastUpdateDatetime", "created": "creationDatetime"}
"""The sources of a closing date for `--closed-date`, where the export has none."""

REQUIRED = tuple(column.name for column in COLUMNS if column.null is not Null.ALLOWED)


@dataclass(frozen=True)
class Bound:
    """``position_of`` answers for field names of the dialect, and for headers as they stand in the file.

    ``contents`` is what is read of the file: of a workbook the sheet that fits best; ``twins`` are its sheets that fit as well.
    """

    dialect: Dialect
    layout: Layout
    contents: Contents
    twins: tuple[str, ...] = ()

    @cached_property
    def _positions(self) -> dict[str, int]:
        exact = {header: position for position, header in reversed(list(enumerate(self.layout.headers)))}
        if self.dialect.verbatim:
            return exact
        return {folded(header): position for header, position in reversed(exact.items())} | self._numbered | exact

    @cached_property
    def _numbered(self) -> dict[str, int]:
        """The places of headers that stand there more than once, by the names that tell them apart: `Amount (1)`, `Amount (2)`."""
        headers = self.layout.headers
        return {f"{headers[same[0]]} ({number})": place for same in self.layout.repeated for number, place in enumerate(same, start=1)}

    @cached_property
    def contested(self) -> dict[str, tuple[int, ...]]:
        """The fields whose header stands there more than once, with its places: nothing says which is meant, where their cells differ."""
        if self.dialect.verbatim or self.dialect.first_of_a_name:
            return {}
        same = {places[0]: places for places in self.layout.repeated}
        named = {name for name in self._names() if self._numbered.keys().isdisjoint(self.dialect.headers_of(name))}
        return {name: same[place] for name in sorted(named) if (place := self.position_of(name)) in same}

    def position_of(self, name: str) -> int | None:
        """The position of the first header that the field goes by, None if the export has none of them."""
        for header in self.dialect.headers_of(name):
            position = self._positions.get(header, None if self.dialect.verbatim else self._positions.get(folded(header)))
            if position is not None:
                return position
        return None

    def header_of(self, name: str) -> str:
        """The header that fills the field, as it stands in the export; the field's first name if none does."""
        position = self.position_of(name)
        return self.dialect.headers_of(name)[0] if position is None else self.layout.headers[position]

    def has(self, source: Source) -> bool:
        """True if the export can supply this entry of a chain."""
        if source.how == "default":
            return True
        if source.how == "column":
            return self.can_fill(source.names[0][1:])
        known = [self.position_of(name) is not None for name in source.names]
        return all(known) if source.how == "join" else any(known)

    def can_fill(self, column: str) -> bool:
        """True if some entry of the target column's chain is in the export."""
        if column == "status" and not self.dialect.verbatim:
            return bool(self.status_rules)
        recipe = self.dialect.columns.get(column, ())
        return any(self.has(source) for source in recipe) or (column == "value" and bool(self.converted))

    @cached_property
    def status_rules(self) -> list[StatusRule]:
        """The rules whose every field is in the export."""
        return [rule for rule in self.dialect.status if all(self.position_of(name) is not None for name in _fields_of(rule))]

    @cached_property
    def flags(self) -> list[str]:
        """The fields of those rules that say yes or no."""
        return list(dict.fromkeys(name for rule in self.status_rules for name, _ in rule.flags))

    @cached_property
    def drops(self) -> tuple[Drop, ...]:
        """The dialect's drops whose fields are in the export, and one for each header by which any CRM or warehouse marks deleted rows."""
        if self.dialect.verbatim:
            return ()
        own = tuple(drop for drop in self.dialect.drops if any(self.position_of(name) is not None for name in drop.fields))
        taken = {self.position_of(name) for name in (*self.dialect.fields, *(name for drop in own for name in drop.fields))}
        others = [header for position, header in enumerate(self.layout.headers) if position not in taken]
        return own + tuple(_drop_by(header, mark) for header in others for mark in marks_of(header))

    @cached_property
    def converted(self) -> Recipe:
        """The fields that give the amounts in one currency, as far as the export has them."""
        return tuple(source for source in self.dialect.converted if self.has(source))

    @cached_property
    def units(self) -> list[str]:
        """The fields that say what an amount is in, as far as the export has them."""
        return [name for name in self.dialect.units if self.position_of(name) is not None]

    @cached_property
    def wanted(self) -> list[int]:
        """The positions worth reading; the first cell always is, for footers stand there."""
        named = {position for name in self._names() if (position := self.position_of(name)) is not None}
        return sorted({0} | named.union(*self.contested.values()))

    @property
    def numbers(self) -> frozenset[int]:
        """The positions of numbers."""
        return frozenset(position for name in self.names_for(_NUMBERS) if (position := self.position_of(name)) is not None)

    def zones(self, said: str | None, collection: str) -> Zones:
        """The zones of times that name none: what the user ``said``, else the dialect's; local ones are the collection's.

        Raises UsageError for a zone that nobody knows.
        """
        local = checked_zone(said or collection)
        default = said or (collection if self.dialect.crm_timezone == LOCAL or self.dialect.verbatim else self.dialect.crm_timezone)
        for zone in (default, collection):
            checked_zone(zone)
        own = {
            header: "UTC" if {name, header} & self.dialect.utc else local
            for name in self.names_for(_DATES)
            if {name, header := self.header_of(name)} & (self.dialect.utc | self.dialect.local)
        }
        if own and len(own) == len({self.header_of(name) for name in self.names_for(_DATES)}) and len(set(own.values())) == 1:
            return Zones(next(iter(own.values())), collection)
        return Zones(default, collection, {header: zone for header, zone in own.items() if zone != default})

    def _names(self) -> Iterator[str]:
        dialect = self.dialect
        for recipe in (*dialect.columns.values(), dialect.converted):
            for source in recipe:
                if source.how not in {"column", "default"}:
                    yield from source.names
        for rule in self.status_rules:
            yield from _fields_of(rule)
        for drop in self.drops:
            yield from drop.fields
        yield from (*dialect.units, *([dialect.pipeline] if dialect.pipeline else []))

    def names_for(self, columns: set[str], *, converted: bool = True) -> list[str]:
        """The fields in the export that feed any of the target ``columns`` directly."""
        sources = [source for column in sorted(columns) for source in self.dialect.columns.get(column, ())]
        if "value" in columns and converted:
            sources += self.converted
        names = [name for source in sources if source.how in _DIRECT for name in source.names]
        return [name for name in dict.fromkeys(names) if self.position_of(name) is not None]

    @property
    def missing(self) -> tuple[str, ...]:
        """The target columns that a deal cannot do without and the export cannot fill."""
        required = self.dialect.columns if self.dialect.verbatim else REQUIRED
        return tuple(column for column in required if not self.can_fill(column) and not self._follows(column))

    def _follows(self, column: str) -> bool:
        """True if the column is made of others alone, which are then what is missing."""
        recipe = self.dialect.columns.get(column, ())
        return bool(recipe) and all(source.how == "column" for source in recipe)

    def require(self, location: str) -> None:
        """Raise ExportUnmappable naming everything that a deal cannot do without and the export lacks, or has twice."""
        self._refuse_repeated(location)
        if self.twins:
            raise ExportUnmappable(
                f"{location}: the sheets {', '.join(map(repr, [self.contents.member, *self.twins]))} all have the columns of deals."
                " Put the deals on one sheet, or keep only the sheet that is meant."
            )
        missing = self.missing
        if not missing:
            self._refuse_merged(location)
            self._refuse_unvalued(location)
            self._refuse_formats(location)
            self._refuse_factors(location)
            return
        lines = "".join(f"\n  {column}: {self._remedy(column)}" for column in missing)
        raise ExportUnmappable(
            f"{location}, line {self.layout.header_line}: the header has no column for {', '.join(missing)}"
            f" (dialect {self.dialect.name}).{lines}\n{self._sheets}{self._other_dialect()}{self._way_on(missing)}"
            " `dealcast crms EXPORT` shows which dialect fits and what each column would get."
        )

    @property
    def _sheets(self) -> str:
        """The sheet of a workbook that was read, where there are others."""
        others = ", ".join(map(repr, self.contents.unread))
        return f"The sheet {self.contents.member!r} was read, which fits best, and not {others}. " if others else ""

    def _way_on(self, missing: Sequence[str]) -> str:
        """The remedy: an option for what follows from other columns, a dialect for what the export has under another name."""
        if self.dialect.verbatim:
            return "Add them to the file."
        few = len(missing) * 2 <= len(REQUIRED)
        stand_ins = STAND_INS | {"closedDatetime": self._closing_dates}
        options = " ".join(stand_ins[column] for column in missing if stand_ins.get(column) and few)
        said = f"If the export has none of them, say {options}. " if options else ""
        return (
            f"{said}If it has them under other names, `dealcast crms EXPORT --write own.toml` writes a dialect of your own to map them in"
            f' (`extends = "{self.dialect.name}"`).'
        )

    @property
    def _closing_dates(self) -> str:
        """The option that says what stands for a closing date, with the words for which this export has a column."""
        words = [
            word
            for word, column in CLOSED_DATES.items()
            if any(source.how not in {"column", "default"} and self.has(source) for source in self.dialect.columns.get(column, ()))
        ]
        others = f" ({', '.join(f'or {word}' for word in words[1:])})" if words[1:] else ""
        return f"--closed-date {words[0]}{others}" if words else ""

    def _refuse_repeated(self, location: str) -> None:
        """The platform refuses a column of its own twice, and nobody knows which is meant; CRMs' own headers do repeat."""
        second = {f"{name} (2)": name for name in self.dialect.columns}  # what the layout calls it
        repeated = [second[header] for header in self.layout.headers if header in second]
        if self.dialect.verbatim and repeated:
            raise ExportUnmappable(
                f"{location}, line {self.layout.header_line}: the header names {', '.join(repeated)} more than once, and the platform"
                " refuses such a file. Keep one column of each name, and remove or rename the others."
            )

    def _refuse_factors(self, location: str) -> None:
        """A header that says thousands, or cents, where nothing says that this was seen: what is sent would be that many times wrong."""
        for column in sorted(_NUMBERS) if not self.dialect.verbatim else ():
            for source in (*(self.converted if column == "value" else ()), *self.dialect.columns.get(column, ())):
                header = self.header_of(source.names[0]) if source.how in _AS_IT_STANDS and not source.times and self.has(source) else ""
                if header and (factor := factor_in(header)):
                    raise ExportUnmappable(
                        f"{location}, line {self.layout.header_line}, column {header!r}: the header says that one in it is {factor}, and"
                        f" {column} would be sent as the numbers stand. Say in a dialect of your own by what they are taken, 1 if they are"
                        f' whole, and pass its path as --crm:\n  extends = "{self.dialect.name}"\n  [columns]\n'
                        f"  {column} = {{ from = {quoted(header)}, times = {factor} }}"
                    )

    def _refuse_merged(self, location: str) -> None:
        """Only the first row of merged cells has what they show; the others would be read as empty."""
        for first, last, begin, end in self.contents.traits.get("merged", ()):
            position = next((position for position in self.wanted if begin <= position <= end), None)
            if first >= self.layout.first_line and position is not None:
                header = name_or_shape(self.layout.headers[position])
                raise ExportUnmappable(
                    f"{location}, line {first}, column {header!r}: the cells down to line {last} are merged, so that"
                    " only the first has the value. Unmerge them, fill in every row, and save again."
                )

    def _refuse_unvalued(self, location: str) -> None:
        """A formula that was written without its value would be read as an empty cell."""
        for row, position in self.contents.traits.get("unvalued", ()):
            if row >= self.layout.first_line and position in self.wanted:
                raise ExportUnmappable(
                    f"{location}, line {row}, column {self.layout.headers[position]!r}: the cell has a formula and no value: what wrote it"
                    " does not calculate. Open the workbook in a spreadsheet program, save it there, and export again."
                )

    def _refuse_formats(self, location: str) -> None:
        """Amounts that are shown in several currencies by the format of their cells alone do not add up."""
        positions = {self.position_of(name) for name in self.names_for({"value"})} if not (self.units or self.converted) else set()
        shown = [(row, currency_name(sign)) for position, sign, row in self.contents.traits.get("money", ()) if position in positions]
        for (row, one), (other_row, other) in pairwise(sorted(shown)):
            if row >= self.layout.first_line and not may_be_one(one, other):
                raise ExportUnmappable(
                    f"{location}, line {other_row}: the amount is formatted as {other}, and that of line {row} as {one}, which do not add"
                    " up. Add a column that names the currency of each, name it as [currency] field in a dialect of your own, and choose"
                    " one with --currency."
                )

    def _other_dialect(self) -> str:
        fitting = [
            other.name
            for other in known_dialects()
            if other.name != self.dialect.name and not Bound(other, self.layout, self.contents).missing
        ]
        return f"The header is that of {' or '.join(fitting)}: say --crm {fitting[0]}. " if fitting else ""

    def _remedy(self, column: str) -> str:
        if self.dialect.verbatim:
            return "the platform's 35 columns must all be there, spelled exactly so"
        names = [name for rule in self.dialect.status for name in _fields_of(rule)] if column == "status" else []
        recipe = self.dialect.columns.get(column, ())
        names += [name for source in recipe if source.how not in {"default", "column"} for name in source.names]
        headers = [header for name in dict.fromkeys(names) for header in self.dialect.headers_of(name)[:3]]
        looked = f"looked for {' or '.join(map(repr, headers))}" if headers else "the dialect knows no header that would fill it"
        return f"{looked}; `dealcast crms EXPORT` names the columns whose values could be an id" if column == "id" else looked


def _drop_by(header: str, mark: Mark) -> Drop:
    field, flag, unless, filled = (header if mark.how == how else None for how in ("change", "flag", "unless", "filled"))
    gone = mark.why == DELETED
    return Drop(mark.why, field=field, values=mark.words, among=mark.among, flag=flag, unless=unless, filled=filled, gone=gone)


def _fields_of(rule: StatusRule) -> list[str]:
    return [name for name, _ in rule.flags] + ([rule.field] if rule.field else [])

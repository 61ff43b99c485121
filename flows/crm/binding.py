"""A dialect bound to one export's header row: which position fills what, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from expectations.schema import COLUMNS, Null
from flows.crm.dialect import Dialect, Source, StatusRule
from flows.crm.layout import Layout, folded
from flows.errors import ExportUnmappable

REQUIRED = tuple(column.name for column in COLUMNS if column.null is not Null.ALLOWED)


@dataclass(frozen=True)
class Bound:
    """``position_of`` answers for field names of the dialect, and for headers as they stand in the file."""

    dialect: Dialect
    layout: Layout

    @cached_property
    def _positions(self) -> dict[str, int]:
        exact = {header: position for position, header in reversed(list(enumerate(self.layout.headers)))}
        if self.dialect.verbatim:
            return exact
        return {folded(header): position for header, position in reversed(exact.items())} | exact

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
        """Whether the export can supply this entry of a chain."""
        if source.how == "default":
            return True
        if source.how == "column":
            return self.can_fill(source.names[0][1:])
        known = [self.position_of(name) is not None for name in source.names]
        return all(known) if source.how == "join" else any(known)

    def can_fill(self, column: str) -> bool:
        """Whether some entry of the target column's chain is in the export."""
        if column == "status" and not self.dialect.verbatim:
            return bool(self.status_rules)
        recipe = self.dialect.columns.get(column)
        return (recipe is not None and any(self.has(source) for source in recipe.chain)) or (
            column == "value" and self.converted is not None
        )

    @cached_property
    def status_rules(self) -> list[StatusRule]:
        """The rules whose every field is in the export."""
        return [rule for rule in self.dialect.status if all(self.position_of(name) is not None for name in _fields_of(rule))]

    @cached_property
    def converted(self) -> str | None:
        """The field with the amounts in one currency, if the export has it."""
        name = self.dialect.converted
        return name if name and self.position_of(name) is not None else None

    @cached_property
    def wanted(self) -> list[int]:
        """The positions worth reading; the first cell always is, for footers stand there."""
        return sorted({0} | {position for name in self._names() if (position := self.position_of(name)) is not None})

    def _names(self) -> Iterator[str]:
        dialect = self.dialect
        for recipe in dialect.columns.values():
            for source in recipe.chain:
                if source.how not in {"column", "default"}:
                    yield from source.names
        for rule in self.status_rules:
            yield from _fields_of(rule)
        yield from (drop.field for drop in dialect.drops)
        yield from (name for name in (dialect.pipeline, dialect.currency, dialect.converted) if name)

    def names_of_kind(self, columns: set[str]) -> list[str]:
        """The fields in the export that feed any of the target ``columns`` directly."""
        names = [
            name
            for column in columns
            for source in (self.dialect.columns[column].chain if column in self.dialect.columns else ())
            if source.how in {"field", "latest"}
            for name in source.names
        ]
        if "value" in columns and self.converted:
            names.append(self.converted)
        return [name for name in dict.fromkeys(names) if self.position_of(name) is not None]

    def require(self, location: str) -> None:
        """Raise ExportUnmappable naming everything that a deal cannot do without and the export lacks."""
        required = self.dialect.columns if self.dialect.verbatim else REQUIRED
        missing = [column for column in required if not self.can_fill(column)]
        if not missing:
            return
        lines = "".join(f"\n  {column}: {self._remedy(column)}" for column in missing)
        raise ExportUnmappable(
            f"{location}, line {self.layout.header_line}: the header has no column for {', '.join(missing)}"
            f" (dialect {self.dialect.name}).{lines}\n"
            f'Add them to the export, or map them in a dialect of your own (`extends = "{self.dialect.name}"`);'
            " `dealcast crms EXPORT` shows which dialect fits and what each column would get."
        )

    def _remedy(self, column: str) -> str:
        if self.dialect.verbatim:
            return "the platform's 35 columns must all be there, spelled exactly so"
        names = [name for rule in self.dialect.status for name in _fields_of(rule)] if column == "status" else []
        recipe = self.dialect.columns.get(column)
        names += [name for source in (recipe.chain if recipe else ()) if source.how not in {"default", "column"} for name in source.names]
        headers = [self.dialect.headers_of(name)[0] for name in dict.fromkeys(names)]
        return (
            f"looked for {' or '.join(repr(header) for header in headers)}" if headers else "the dialect knows no header that would fill it"
        )


def _fields_of(rule: StatusRule) -> list[str]:
    return [name for name, _ in rule.flags] + ([rule.field] if rule.field else [])

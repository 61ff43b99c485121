"""The rows that are deals: footers, blank rows, deleted ones, other pipelines and currencies are told apart and counted."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from expectations.disclosure import name_or_shape
from expectations.formats import one_chunk
from flows.crm.dialect import Drop
from flows.crm.files.header_row import folded
from flows.crm.files.table_reader import RawRows
from flows.crm.inference.format_inference import FormatInference, named
from flows.crm.inference.one_currency import OneCurrency, listed
from flows.crm.values.cells import report_rows, without, without_errors
from flows.crm.values.flags import first_unread, is_filled, to_booleans, unread_flag
from flows.crm.values.identifiers import plain_ids
from flows.errors import ExportUnmappable, ExportUnreadable, UsageError, quoted

if TYPE_CHECKING:
    from flows.crm.row_counts import RowCounts

ALL = "*"


class MergedLater(ExportUnmappable):
    """Deals were handed on that the export names as merged only later; with what is known now it can be read anew."""


@dataclass
class RowFilters:
    """Sifts batches in order. ``pipeline`` (`*`: keep all, apart), ``currency`` and ``limit`` are the user's choices.

    ``merged`` has the ids of the deals that the export names as merged into another one; it is None until a list of such is met.
    """

    inference: FormatInference
    pipeline: str | None
    currency: str | None
    limit: int | None
    merged: frozenset[str] | None = None
    pipelines: Counter[str] = field(default_factory=Counter)
    _gone: list[RawRows] = field(default_factory=list)
    _taken: Counter[str | None] = field(default_factory=Counter)
    _ids_before: list[pa.Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        dialect = self.inference.bound.dialect
        self.one_currency = OneCurrency(self.inference, self.currency)
        if self.pipeline and not self._has(dialect.pipeline):
            looked = f" (looked for {dialect.headers_of(dialect.pipeline)[0]!r})" if dialect.pipeline else ""
            raise UsageError(
                f"{self.inference.reader.location} has no pipeline column{looked}, so no pipeline can be chosen."
                " Leave the pipeline out, or add the column to the export."
            )

    def sift(self, rows: RawRows, counts: RowCounts) -> Iterator[tuple[str | None, RawRows]]:
        """The rows of the batch that are deals; one part, or one for each pipeline."""
        counts.rows += len(rows.lines) + rows.blank
        counts.short_rows += rows.padded
        if rows.blank:
            counts.non_rows["blank row"] += rows.blank
        self._look_for_merged(rows.table)
        rows = self._without(rows, counts, "header repeated", self._headers(rows))
        rows = self._without(rows, counts, "footer", self._footers(rows.table))
        rows = self._without(rows, counts, "total or note of a report", self._report_rows(rows.table))
        self._refuse_contested(rows)
        for drop in self.inference.bound.drops:
            mask = self._dropped(rows, drop)
            if drop.gone and mask is not None and pc.any(mask).as_py():
                self._gone.append(_only(rows, mask))
            rows = self._without(rows, counts, drop.why, mask)
        rows = self._without(rows, counts, "blank row", self._blank(rows.table))
        for pipeline, part in self._by_pipeline(rows, counts):
            others = self.one_currency.others(pipeline, part)
            alike = self._without(part, counts, f"amount not in {self.one_currency.chosen}", others)
            yield pipeline, self._limited(pipeline, alike, counts)

    def finish(self, counts: RowCounts) -> None:
        """Raise UsageError if the chosen pipeline or currency was in no row."""
        chosen = self.pipeline if self.pipeline != ALL else None
        if chosen and counts.rows and chosen not in self.pipelines:
            raise UsageError(
                f"No pipeline {chosen!r} in {self._where}.{_close(chosen, set(self.pipelines))} It has:{listed(self.inference.pipelines)}"
            )
        self.one_currency.finish()

    @property
    def _where(self) -> str:
        return self.inference.reader.location

    def _has(self, name: str | None) -> bool:
        return name is not None and self.inference.bound.position_of(name) is not None

    def _column(self, table: pa.Table, name: str) -> pa.Array:
        return one_chunk(table.column(str(self.inference.bound.position_of(name))))

    def _identity(self) -> tuple[int, ...]:
        """The positions whose emptiness or text marks a row that is no deal: those of the id."""
        bound = self.inference.bound
        names = [name for source in bound.dialect.columns.get("id", ()) for name in source.names]
        return tuple(position for name in names if (position := bound.position_of(name)) is not None) or (0,)

    def _no_id(self, table: pa.Table) -> pa.Array:
        return pc.is_null(self._ids(table))

    def _blank(self, table: pa.Table) -> pa.Array | None:
        blank = self._no_id(table)
        for column in table.columns:
            if not pc.any(blank).as_py():
                return None
            blank = pc.and_(blank, pc.is_null(one_chunk(column)))
        return blank

    def _headers(self, rows: RawRows) -> pa.Array:
        """The rows that repeat the header. Raises ExportUnreadable for one that names other columns: the rows below it would shift."""
        headers, position = self.inference.bound.layout.headers, self._identity()[0]
        repeated = pc.equal(one_chunk(rows.table.column(str(position))), headers[position])
        if pc.any(repeated).as_py():
            for line, cells in zip(_only(rows, repeated).lines, rows.table.filter(pc.fill_null(repeated, False)).to_pylist(), strict=True):
                other = next((headers[int(place)] for place, cell in cells.items() if _header(cell) != _header(headers[int(place)])), None)
                if other is not None:
                    raise ExportUnreadable(
                        f"{self._where}, line {line}: a second header that is not the first's: it has no {name_or_shape(other)!r} in that"
                        " place. Two exports were joined. Give them one by one, or export again."
                    )
        return repeated

    def _refuse_contested(self, rows: RawRows) -> None:
        """Raise ExportUnmappable where two columns of one name, of which one is read, are not the same."""
        bound = self.inference.bound
        for name, places in bound.contested.items():
            first, *others = (pc.fill_null(one_chunk(rows.table.column(str(place))), "") for place in places)
            for place, other in zip(places[1:], others, strict=True):
                row = pc.index(pc.not_equal(first, other), True).as_py()
                if row >= 0:
                    header = bound.layout.headers[places[0]]
                    raise ExportUnmappable(
                        f"{self._where}, line {rows.lines[row]}: the header names {header!r} more than once (columns"
                        f" {places[0] + 1} and {place + 1}), and the two differ there. Say which is meant in a dialect of your own,"
                        f' and pass its path as --crm:\n  extends = "{bound.dialect.name}"\n  [fields]\n'
                        f"  {quoted(name)} = [{quoted(f'{header} (1)')}] # or {quoted(f'{header} ({places.index(place) + 1})')}"
                    )

    def _footers(self, table: pa.Table) -> pa.Array | None:
        patterns = self.inference.bound.dialect.footers
        if not patterns or not table.num_rows:
            return None
        first = one_chunk(table.column("0"))
        candidates = pa.repeat(True, len(first)) if 0 in self._identity() else self._no_id(table)
        if not pc.any(candidates).as_py():
            return None
        matches = [pc.match_substring_regex(first, pattern) for pattern in patterns]
        found = matches[0]
        for match in matches[1:]:
            found = pc.or_(found, match)
        return pc.and_(candidates, pc.fill_null(found, False))

    def _report_rows(self, table: pa.Table) -> pa.Array | None:
        """The rows without a date of creation that a report adds to its deals: a total by its name, a note by its text and nothing else."""
        bound = self.inference.bound
        created = [self._column(table, name) for name in bound.names_for({"creationDatetime"})]
        if bound.dialect.verbatim or not created or not all(column.null_count for column in created):
            return None
        undated = pc.indices_nonzero(pc.is_null(pc.coalesce(*created)))
        few = table.take(undated)
        names = pc.coalesce(self._ids(few), one_chunk(few.column("0")))
        total = pc.fill_null(pc.match_substring_regex(names, report_rows()["totals"]), False)
        alone = pc.fill_null(pc.match_substring_regex(one_chunk(few.column("0")), report_rows()["notes"]), False)
        for name in few.column_names:
            alone = pc.and_(alone, pc.is_null(one_chunk(few.column(name)))) if name != "0" else alone
        found = undated.filter(pc.or_(total, alone))
        return pc.is_in(pa.array(np.arange(table.num_rows, dtype=np.uint64)), found) if len(found) else None

    def _dropped(self, rows: RawRows, drop: Drop) -> pa.Array | None:
        table = rows.table
        if drop.field and self._has(drop.field):
            if drop.among and not self.inference.is_among(drop.field, drop.among):
                return None
            values = pc.utf8_lower(pc.utf8_trim_whitespace(self._column(table, drop.field)))
            return pc.is_in(values, pa.array(sorted(drop.values), pa.string()))
        if flag := drop.flag or drop.unless:
            return pc.equal(self._flag(rows, flag), "true" if drop.flag else "false")
        if drop.filled:
            return is_filled(self._filled(table, drop.filled))
        if drop.ids_in:
            return pc.is_in(plain_ids(self._ids(table)), pa.array(sorted(self.merged), pa.string())) if self.merged else None
        blank = [self._column(table, name) for name in drop.blank if self._has(name)]
        return pc.is_null(pc.coalesce(*blank)) if blank else None

    def _filled(self, table: pa.Table, name: str) -> pa.Array:
        return without(self._column(table, name), self.inference.bound.dialect.nulls)

    def _flag(self, rows: RawRows, name: str) -> pa.Array:
        bound = self.inference.bound
        filled = without(self._column(rows.table, name), without_errors(bound.dialect.nulls))
        column, unread = to_booleans(filled, own=bound.dialect.flag_words)
        if unread:
            row = first_unread(column)
            place = f"{self._where}, line {rows.lines[row]}, column {bound.header_of(name)!r}"
            raise unread_flag(place, column[row].as_py(), [name], bound.dialect.name)
        return column

    def _ids(self, table: pa.Table) -> pa.Array:
        return pc.coalesce(*[one_chunk(table.column(str(position))) for position in self._identity()])

    def _look_for_merged(self, table: pa.Table) -> None:
        """Read the whole export for ``merged`` where a first list of such ids is met: in most exports every list is empty.

        Raises MergedLater if a deal that is named there was in a batch before.
        """
        lists = next((drop.ids_in for drop in self.inference.bound.drops if drop.ids_in), None)
        if lists is None or self.merged is not None:
            return
        if not pc.any(pc.is_valid(self._filled(table, lists))).as_py():
            self._ids_before.append(plain_ids(self._ids(table)))
            return
        self.merged = self.inference.ids_merged(lists, self._identity()[0])
        named = pa.array(sorted(self.merged), pa.string())
        if any(pc.any(pc.is_in(ids, named)).as_py() for ids in self._ids_before):
            raise MergedLater(f"{self._where} names deals as merged into others that are rows of their own far above. Read it anew.")
        self._ids_before.clear()

    def taken_gone(self) -> list[RawRows]:
        """The rows dropped since the last call of deals that the CRM has no more."""
        gone, self._gone = self._gone, []
        return gone

    def _by_pipeline(self, rows: RawRows, counts: RowCounts) -> Iterator[tuple[str | None, RawRows]]:
        name = self.inference.bound.dialect.pipeline
        if name is None or not self._has(name):
            yield None, rows
            return
        column = named(self._column(rows.table, name))
        self.pipelines.update({counted["values"]: counted["counts"] for counted in pc.value_counts(column.drop_null()).to_pylist()})
        if self.pipeline == ALL:
            for one in pc.unique(column.drop_null()).to_pylist():
                yield one, _only(rows, pc.equal(column, one))
            self._without(rows, counts, "no pipeline", pc.is_null(column))
        elif self.pipeline is not None:
            self._set_aside(counts, column, self.pipeline)
            yield self.pipeline, _only(rows, pc.equal(column, self.pipeline))
        else:
            if len(self.pipelines) > 1:
                raise ExportUnmappable(
                    f"{self._where} holds several pipelines; each needs its own collection."
                    f" Choose one with --pipeline NAME:{listed(self.inference.pipelines)}"
                )
            yield None, rows

    def _set_aside(self, counts: RowCounts, column: pa.Array, chosen: str) -> None:
        for counted in pc.value_counts(column).to_pylist():
            if counted["values"] != chosen:
                why = "no pipeline" if counted["values"] is None else f"pipeline {name_or_shape(counted['values'])}"
                counts.non_rows[why] += counted["counts"]

    def _limited(self, pipeline: str | None, rows: RawRows, counts: RowCounts) -> RawRows:
        room = len(rows.lines) if self.limit is None else max(0, self.limit - self._taken[pipeline])
        kept = RawRows(rows.table.slice(0, room), rows.lines[:room])
        counts.deals += len(kept.lines)
        self._taken[pipeline] += len(kept.lines)
        if len(rows.lines) > room:
            counts.non_rows[f"beyond the limit of {self.limit}"] += len(rows.lines) - room
        return kept

    def _without(self, rows: RawRows, counts: RowCounts, why: str, mask: pa.Array | None) -> RawRows:
        if mask is None or not pc.any(mask).as_py():
            return rows
        mask = pc.fill_null(mask, False)
        counts.non_rows[why] += pc.sum(mask).as_py()
        return _only(rows, pc.invert(mask))


def _only(rows: RawRows, mask: pa.Array) -> RawRows:
    mask = pc.fill_null(mask, False)
    if pc.all(mask).as_py():
        return RawRows(rows.table, rows.lines)
    return RawRows(rows.table.filter(mask), rows.lines[np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)])


def _header(cell: str | None) -> str:
    """A header as it stands in a row, without what makes the second of one name, or a blank one, distinct."""
    return re.sub(r"^column \d+$", "", re.sub(r" \(\d+\)$", "", folded(cell or "")))


def _close(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(re.sub(r"\s+", " ", name), sorted(known), n=1)
    return f" Did you mean {name_or_shape(close[0])!r}?" if close else ""

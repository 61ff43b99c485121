"""Comparison of a collection with what a sync of an export would send: by id, then cell by cell.

Texts are compared exactly. Two that differ are equal where they are the same decimal (``1000.00`` and ``1000.0``), the same
moment (``2024-10-02 10:03:00`` and ``2024-10-02T10:03:00``) or the same boolean, since the platform may write these in its own
way. A null word that is held, such as ``NaN``, is an empty cell. ``lastSyncedAt`` is not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from expectations.deals_schema import COLUMNS, Kind, Null
from expectations.formats import are_null_words
from flows.deals.index.content_hash import CONTENT_COLUMNS
from flows.errors import UnexpectedAnswer

LISTED = 1000
"""The most ids and the most differences that a comparison lists; its counts are always whole."""

_NEVER_EMPTY = frozenset(column.name for column in COLUMNS if column.null is Null.FORBIDDEN and column.kind is Kind.STRING)
"""A null word in these is a text: the platform refuses an empty cell there."""

_KINDS = {column.name: column.kind for column in COLUMNS}
_ITS_CELLS = re.compile(r"(?<=, got )(\d+): .*")
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.0+)?)?)?$"
_ZONED = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)$"
_BLOCK_BYTES = 16 << 20  # a row, with all its line breaks, must fit in one


@dataclass(frozen=True, slots=True)
class Difference:
    """One cell that the platform holds otherwise than the export has it; None is an empty cell."""

    id: str
    column: str
    held: str | None
    export: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The counts, and the first :data:`LISTED` of each list. ``differing`` counts deals, ``columns`` their cells by column."""

    held: int
    expected: int
    missing: int
    extra: int
    differing: int
    repeated: int
    """Rows held beyond the first of their id: a merge by id leaves none."""
    sent_again: int
    """Rows of the export beyond the first of their id: the platform keeps one of them, and any one that it holds is equal."""
    rewritten: int
    """Cells that are the same decimal, moment or boolean in another writing; they count as equal."""
    columns: dict[str, int]
    missing_ids: tuple[str, ...]
    extra_ids: tuple[str, ...]
    differences: tuple[Difference, ...]

    @property
    def in_common(self) -> int:
        """Deals of the export that the platform holds, equal or not."""
        return self.expected - self.missing

    def equal(self, *, extra_allowed: bool) -> bool:
        """True if every deal expected is held as it would be sent, once; ``extra_allowed`` as after an append."""
        return not (self.missing or self.differing or self.repeated or (self.extra and not extra_allowed))


def compare(dump: Path, deals: Path, timezone: str = "UTC") -> Comparison:
    """Compare the platform's dump of a collection with the deals CSV that a sync would send.

    A datetime with an offset is told in the collection's ``timezone``.

    Raises:
        UnexpectedAnswer: the dump is no CSV with the 35 columns.
    """
    held, expected = _read_dump(dump), _read(deals)
    ids, held_ids = expected["id"].combine_chunks(), held["id"].combine_chunks()
    place = pc.index_in(ids, value_set=held_ids)
    missing = ids.filter(pc.is_null(place))
    known = pc.is_in(held_ids, value_set=ids)
    extra = held_ids.filter(pc.invert(known))
    common = expected.filter(pc.is_valid(place))
    cells = _Cells(common["id"], timezone)
    for name in CONTENT_COLUMNS:
        cells.compare(name, held[name].take(place.drop_null()), common[name])
    sent_again = len(ids) - len(pc.unique(ids))
    if sent_again:
        cells.excuse()
    return Comparison(
        held=held.num_rows,
        expected=expected.num_rows,
        missing=len(missing),
        extra=len(extra),
        differing=len(cells.differing),
        repeated=len(held_ids) - len(pc.unique(held_ids)),
        sent_again=sent_again,
        rewritten=cells.rewritten,
        columns={name: len(rows) for name, rows in cells.rows.items()},
        missing_ids=tuple(missing[:LISTED].to_pylist()),
        extra_ids=tuple(extra[:LISTED].to_pylist()),
        differences=tuple(difference for _, difference in sorted(cells.found, key=lambda found: found[0])[:LISTED]),
    )


class _Cells:
    """The cells that differ, column by column; ``found`` has each with its row, so that a deal's cells can stand together."""

    def __init__(self, ids: pa.ChunkedArray, timezone: str) -> None:
        self.ids, self.timezone = ids, timezone
        self.rows: dict[str, pa.Array] = {}
        self.rewritten = 0
        self.found: list[tuple[int, Difference]] = []

    def compare(self, column: str, held: pa.ChunkedArray, export: pa.ChunkedArray) -> None:
        rows = pc.indices_nonzero(_differ(held, export))
        if _KINDS[column] is not Kind.STRING and len(rows):
            real = _differ(*(self._plain(_KINDS[column], cells.take(rows)) for cells in (held, export)))
            self.rewritten += len(rows) - (pc.sum(real).as_py() or 0)
            rows = rows.filter(real)
        if len(rows):
            self.rows[column] = rows
            self.found += self._list(column, rows[:LISTED], held, export)

    @property
    def differing(self) -> pa.Array:
        """The rows of which some cell differs."""
        return pc.unique(pa.chunked_array(list(self.rows.values()), pa.uint64()))

    def excuse(self) -> None:
        """Leave out the rows whose id stands on another row that is held as it is."""
        differing, ids = self.differing, self.ids.combine_chunks()
        other = pc.is_in(ids.take(differing), value_set=ids.filter(pc.invert(pc.is_in(_positions(ids), value_set=differing))))
        excused = differing.filter(other)
        kept = {column: rows.filter(pc.invert(pc.is_in(rows, value_set=excused))) for column, rows in self.rows.items()}
        self.rows = {column: rows for column, rows in kept.items() if len(rows)}
        gone = set(excused.to_pylist())
        self.found = [found for found in self.found if found[0] not in gone]

    def _plain(self, kind: Kind, cells: pa.ChunkedArray) -> pa.ChunkedArray:
        if kind is Kind.BOOLEAN:
            return pc.ascii_lower(cells)
        return _moments(cells, self.timezone) if kind is Kind.DATETIME else _plain(cells)

    def _list(self, column: str, rows: pa.Array, held: pa.ChunkedArray, export: pa.ChunkedArray) -> Iterator[tuple[int, Difference]]:
        texts = zip(rows.to_pylist(), *(cells.take(rows).to_pylist() for cells in (self.ids, held, export)), strict=True)
        for row, identifier, there, here in texts:
            yield row, Difference(identifier, column, there, here)


def _positions(cells: pa.Array) -> pa.Array:
    return pa.array(range(len(cells)), pa.uint64())


def _differ(held: pa.ChunkedArray, export: pa.ChunkedArray) -> pa.ChunkedArray:
    """True if the cells differ; an empty one is equal to an empty one alone."""
    return pc.fill_null(pc.not_equal(held, export), pc.xor(pc.is_null(held), pc.is_null(export)))


def _plain(numbers: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals without zeros that say nothing, exactly and whatever their number of digits; other texts as they are."""
    is_decimal = pc.match_substring_regex(numbers, r"^[0-9]+(?:\.[0-9]+)?$")
    short = pc.replace_substring_regex(numbers, r"^0+([0-9])", r"\1")
    short = pc.replace_substring_regex(short, r"(\.[0-9]*[1-9])0+$", r"\1")
    short = pc.replace_substring_regex(short, r"\.0+$", "")
    return pc.if_else(is_decimal, short, numbers)


def _moments(texts: pa.ChunkedArray, timezone: str) -> pa.ChunkedArray:
    """Datetimes in one writing, a lone day as its midnight; texts that are none as they are."""
    zoned = pc.fill_null(pc.match_substring_regex(texts, _ZONED), False)
    try:
        if pc.any(zoned).as_py():
            instants = pc.if_else(zoned, texts, None).cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us", timezone))
            texts = pc.if_else(zoned, pc.local_timestamp(instants).cast(pa.string()), texts)
    except pa.ArrowInvalid:  # one of them is no moment, and so is none compared as one
        return texts
    moment = pc.fill_null(pc.match_substring_regex(texts, _MOMENT), False)
    short = pc.replace_substring_regex(pc.replace_substring(texts, " ", "T"), r"\.0+$", "")
    short = pc.replace_substring_regex(short, r"^(.{10})$", r"\1T00:00")
    short = pc.replace_substring_regex(short, r"^(.{16})$", r"\1:00")
    return pc.if_else(moment, short, texts)


def _separator_of(dump: Path) -> str:
    """The sign that splits the header into the most known columns: a comma (A), semicolon or tab."""
    with dump.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        header = lines.readline()

    def known(separator: str) -> int:
        return sum(name.strip().strip('"') in _KINDS for name in header.split(separator))

    return max(",;\t", key=known)


def _read_dump(dump: Path) -> pa.Table:
    """The deals held: a CSV with a header, its columns in any order, others beside them left out (A)."""
    try:
        held = _read(dump, _separator_of(dump))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        why = _ITS_CELLS.sub(r"\1", str(error).splitlines()[0])[:200]
        raise UnexpectedAnswer(f"The collection's dump is not a CSV with the 35 deal columns: {why}. Is it the platform's?") from error
    return pa.table({name: held[name] if name in _NEVER_EMPTY else _without_null_words(held[name]) for name in held.column_names})


def _without_null_words(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    found = are_null_words(cells)
    return pc.if_else(found, None, cells) if pc.any(found).as_py() else cells


def _read(path: Path, separator: str = ",") -> pa.Table:
    return pacsv.read_csv(
        path,
        read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(CONTENT_COLUMNS, pa.string()),
            include_columns=list(CONTENT_COLUMNS),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )

"""The file that is sent: every cell comes back byte for byte, and a row's content is told apart from the moment it was synced."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.deals_schema import COLUMN_NAMES
from flows.crm.mapped_columns import DEALS_SCHEMA
from flows.deals.deals_csv import CsvRows, write_deals_csv

CELL = st.none() | st.text(st.sampled_from("a,\"\n\r;é '\0"), min_size=1, max_size=5)
SYNCED = st.none() | st.just("2026-11-24T10:00:00")
ROWS = st.lists(st.tuples(CELL, CELL, SYNCED), max_size=12)


def table(rows: list[tuple[str | None, str | None, str | None]]) -> pa.Table:
    """Deals that differ in their first and last but one cells, and in when they were synced."""
    deals = [{"id": first, "lastUpdateDatetime": other, "lastSyncedAt": synced} for first, other, synced in rows]
    return pa.Table.from_pylist(deals, DEALS_SCHEMA)


@given(ROWS)
def test_rows_are_one_csv_record_each_and_come_back_as_they_were(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    rendered = CsvRows.of(table(rows))
    places = list(zip(rendered.begins.tolist(), rendered.ends.tolist(), strict=True))
    records = [_read(rendered.text[begin : end + 1]) for begin, end in places]
    assert [0, *(end + 1 for _, end in places)] == [*(begin for begin, _ in places), len(rendered.text)]
    assert [(record[0] or None, record[-2] or None, record[-1] or None) for record in records] == rows


def _read(text: memoryview) -> list[str]:
    (record,) = csv.reader(bytes(text).decode().splitlines(keepends=True), strict=True)
    return record


@given(ROWS, ROWS)
def test_contents_are_equal_only_where_all_but_the_moment_is(
    some: list[tuple[str | None, str | None, str | None]], others: list[tuple[str | None, str | None, str | None]]
) -> None:
    deals = table([*some, *others])
    told = [bytes(content) for content in CsvRows.of(deals).contents(deals["lastSyncedAt"])]
    known = [(first, other) for first, other, _ in [*some, *others]]
    assert [[a == b for a in told] for b in told] == [[a == b for a in known] for b in known]


@given(ROWS)
def test_a_row_is_written_alike_whatever_rows_stand_beside_it(rows: list[tuple[str | None, str | None, str | None]]) -> None:
    """Else a deal would count as changed, and be sent again, because another one was."""
    assert bytes(CsvRows.of(table(rows)).text) == b"".join(bytes(CsvRows.of(table([row])).text) for row in rows)


@pytest.mark.parametrize("cell", ["plain", "a,b", 'a"b', "a\nb", "a\rb"])
def test_only_rows_that_must_be_are_quoted(tmp_path: Path, cell: str) -> None:
    write_deals_csv([table([("1", "x", None), ("2", cell, None)])], tmp_path / "deals.csv")
    text = (tmp_path / "deals.csv").read_bytes().decode()
    assert text.startswith(",".join(COLUMN_NAMES) + "\n1," + "," * 32 + "x,\n")
    assert ('"2"' in text) == (cell != "plain")

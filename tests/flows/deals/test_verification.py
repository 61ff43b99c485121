"""What a collection holds against what would be sent: every difference is found, and nothing else."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.deals_schema import COLUMN_NAMES, COLUMNS, Kind
from flows.deals.check_staged import _newest
from flows.deals.deals_csv import write_deals_csv
from flows.deals.index.content_hash import CONTENT_COLUMNS
from flows.deals.verification import LISTED, Comparison, Difference, compare
from flows.errors import UnexpectedAnswer

Deal = dict[str, str]
Compare = Callable[[Sequence[Deal], Sequence[Deal]], Comparison]


@pytest.fixture
def compared(tmp_path: Path) -> Compare:
    """Compare deals held with deals of an export, both written as CSV."""

    def run(held: Sequence[Deal], export: Sequence[Deal]) -> Comparison:
        for name, deals in (("held", held), ("export", export)):
            with (tmp_path / name).open("w", newline="", encoding="utf-8") as sink:
                writer = csv.DictWriter(sink, COLUMN_NAMES, restval="")
                writer.writeheader()
                writer.writerows(deals)
        return compare(tmp_path / "held", tmp_path / "export")

    return run


def test_one_changed_cell_among_20_000_deals_is_found(tmp_path: Path) -> None:
    count = 20_000
    table = pa.table({name: pa.array([f"{name} {row % 977}" for row in range(count)]) for name in COLUMN_NAMES})
    table = table.set_column(0, "id", pa.array([f"deal-{row}" for row in range(count)]))
    cities = table["companyCity"].to_pylist()
    cities[17_777] = "Bergen"
    changed = table.set_column(COLUMN_NAMES.index("companyCity"), "companyCity", pa.array(cities))
    write_deals_csv([changed.slice(10_000), changed.slice(0, 10_000)], tmp_path / "held")
    write_deals_csv([table], tmp_path / "export")
    found = compare(tmp_path / "held", tmp_path / "export")
    assert found.differences == (Difference("deal-17777", "companyCity", "Bergen", f"companyCity {17_777 % 977}"),)
    assert (found.held, found.expected, found.differing, found.missing, found.extra) == (count, count, 1, 0, 0)


@pytest.mark.parametrize("column", CONTENT_COLUMNS[1:])
@pytest.mark.parametrize(("there", "here"), [("1", "2"), ("1", ""), ("", "1")])
def test_a_change_in_any_column_is_found(compared: Compare, column: str, there: str, here: str) -> None:
    found = compared([{"id": "a", column: there}, {"id": "b"}], [{"id": "b"}, {"id": "a", column: here}])
    assert found.differences == (Difference("a", column, there or None, here or None),)
    assert found.columns == {column: 1}
    assert not found.equal(extra_allowed=True)


def test_when_a_deal_was_synced_is_not_compared(compared: Compare) -> None:
    assert compared([{"id": "a", "lastSyncedAt": "x"}], [{"id": "a", "lastSyncedAt": "y"}]).equal(extra_allowed=False)


def test_missing_extra_and_repeated_deals_are_counted(compared: Compare) -> None:
    found = compared([{"id": "b"}, {"id": "x"}, {"id": "b"}], [{"id": "a"}, {"id": "b"}])
    assert (found.missing_ids, found.extra_ids, found.repeated, found.differing) == (("a",), ("x",), 1, 0)
    assert not found.equal(extra_allowed=True)


def test_an_id_on_several_rows_is_equal_to_any_one_of_them(compared: Compare) -> None:
    """Where the user accepts that: which of them the platform keeps is not known."""
    export = [{"id": "a", "value": "1"}, {"id": "a", "value": "2"}, {"id": "b", "value": "3"}]
    for kept in ("1", "2"):
        found = compared([{"id": "b", "value": "3"}, {"id": "a", "value": kept}], export)
        assert found.equal(extra_allowed=False)
        assert (found.sent_again, found.differing, found.differences, found.columns) == (1, 0, (), {})
    found = compared([{"id": "a", "value": "7"}, {"id": "b", "value": "4"}], export)
    assert (found.differing, found.columns) == (3, {"value": 3})
    assert not found.equal(extra_allowed=True)
    assert compared([{"id": "a", "value": "1"}, {"id": "a", "value": "2"}], export[:2]).repeated == 1


def test_a_null_word_is_an_empty_cell_only_where_a_cell_may_be_empty(compared: Compare) -> None:
    assert compared([{"id": "NA", "stage": "null", "name": "NaN"}], [{"id": "NA", "stage": "null"}]).equal(extra_allowed=False)
    assert not compared([{"id": "a", "stage": "NaN"}], [{"id": "a"}]).equal(extra_allowed=False)


@pytest.mark.parametrize(
    ("moments", "newest"),
    [
        (["2026-11-30T00:00:00", "2026-11-31T00:00:00", "soon", None], "2026-11-30T00:00:00"),
        (["soon"], None),
        ([], None),
    ],
)
def test_the_newest_moment_is_one_that_exists(moments: list[str | None], newest: str | None) -> None:
    """Others may be sent where the user accepts that, and have no age."""
    assert _newest(pa.chunked_array([pa.array(moments, pa.string())])) == newest


def test_extra_deals_are_a_difference_where_all_was_replaced(compared: Compare) -> None:
    found = compared([{"id": "a"}, {"id": "x"}], [{"id": "a"}])
    assert found.equal(extra_allowed=True)
    assert not found.equal(extra_allowed=False)


def test_ids_are_compared_exactly(compared: Compare) -> None:
    found = compared([{"id": "1"}, {"id": "A"}, {"id": "b "}], [{"id": "01"}, {"id": "a"}, {"id": "b"}])
    assert (found.missing, found.extra) == (3, 3)


@pytest.mark.parametrize(
    ("there", "here"),
    [("1000.0", "1000.00"), ("1000", "1000.0"), ("007", "7"), ("0", "0.000"), ("10.10", "10.1"), ("0." + "1" * 60 + "0", "0." + "1" * 60)],
)
def test_equal_decimals_are_equal_in_any_writing(compared: Compare, there: str, here: str) -> None:
    assert Decimal(there) == Decimal(here)
    found = compared([{"id": "a", "value": there}], [{"id": "a", "value": here}])
    assert found.equal(extra_allowed=False)
    assert found.rewritten == 1


@pytest.mark.parametrize(
    ("column", "there", "here"),
    [
        ("value", "1000", "100"),
        ("value", "10.01", "10.1"),
        ("value", "1e3", "1000"),
        ("value", "0." + "1" * 60 + "2", "0." + "1" * 60 + "3"),
        ("name", "1.0", "1"),
        ("name", "1", "1 "),
    ],
)
def test_other_texts_are_not(compared: Compare, column: str, there: str, here: str) -> None:
    found = compared([{"id": "a", column: there}], [{"id": "a", column: here}])
    assert (found.differing, found.rewritten) == (1, 0)


def test_a_deal_s_differences_stand_together_and_are_listed_up_to_a_bound(compared: Compare) -> None:
    export = [{"id": str(number), "name": "x", "companyCity": "y"} for number in range(LISTED)]
    found = compared([{"id": deal["id"]} for deal in export], export)
    assert [(cell.id, cell.column) for cell in found.differences[:4]] == [
        ("0", "name"),
        ("0", "companyCity"),
        ("1", "name"),
        ("1", "companyCity"),
    ]
    assert len(found.differences) == LISTED
    assert (found.differing, found.columns) == (LISTED, {"name": LISTED, "companyCity": LISTED})


def test_an_empty_collection_misses_every_deal(compared: Compare) -> None:
    found = compared([], [{"id": "a"}])
    assert (found.held, found.missing, found.differing) == (0, 1, 0)


def test_the_dump_s_columns_may_come_in_any_order_and_company(tmp_path: Path) -> None:
    (tmp_path / "export").write_text(f"{','.join(COLUMN_NAMES)}\n1{',' * 34}\n")
    (tmp_path / "held").write_text(f"extra,{','.join(reversed(COLUMN_NAMES))}\nx{',' * 35}1\n")
    assert compare(tmp_path / "held", tmp_path / "export").equal(extra_allowed=False)


@pytest.mark.parametrize("dump", [b"", b"<html>", b"id,name\n1,x\n", b"\xff\xfe\x00"])
def test_a_dump_that_is_none_is_named(tmp_path: Path, dump: bytes) -> None:
    (tmp_path / "export").write_text(f"{','.join(COLUMN_NAMES)}\n")
    (tmp_path / "held").write_bytes(dump)
    with pytest.raises(UnexpectedAnswer, match="dump is not a CSV"):
        compare(tmp_path / "held", tmp_path / "export")


def test_a_row_of_another_width_is_told_without_its_cells(tmp_path: Path) -> None:
    """Arrow's message has the row."""
    (tmp_path / "export").write_text(f"{','.join(COLUMN_NAMES)}\n")
    (tmp_path / "held").write_text(f"{','.join(COLUMN_NAMES)}\n1,Giovanna Kanari,x\n")
    with pytest.raises(UnexpectedAnswer, match=r"Expected 35 columns, got 3\. Is it"):
        compare(tmp_path / "held", tmp_path / "export")


_TEXT = st.sampled_from(["", "1", "1.0", "2", "a", "a\nb", 'a"b', "é,", "\r"])
_DEALS = st.dictionaries(
    st.sampled_from("abcdef"), st.fixed_dictionaries({"name": _TEXT, "value": _TEXT, "numberOfMeetings": _TEXT}), max_size=6
)


@given(held=_DEALS, export=_DEALS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
def test_it_finds_what_a_plain_loop_finds(compared: Compare, held: dict[str, Deal], export: dict[str, Deal]) -> None:
    found = compared(*([{"id": key, **cells} for key, cells in deals.items()] for deals in (held, export)))
    numbers = {column.name for column in COLUMNS if column.kind in (Kind.DECIMAL, Kind.INTEGER)}

    def meaning(column: str, text: str) -> object:
        return Decimal(text) if column in numbers and text[:1].isdigit() else text

    expected = {
        (key, column)
        for key in held.keys() & export.keys()
        for column, text in export[key].items()
        if meaning(column, held[key][column]) != meaning(column, text)
    }
    assert {(cell.id, cell.column) for cell in found.differences} == expected
    assert set(found.missing_ids) == export.keys() - held.keys()
    assert set(found.extra_ids) == held.keys() - export.keys()
    assert found.differing == len({key for key, _ in expected})


@pytest.mark.parametrize(
    ("column", "held", "export", "same"),
    [
        ("addDatetime", "2024-10-02 10:03:00", "2024-10-02T10:03:00", True),
        ("addDatetime", "2024-10-02 10:03:00.000000", "2024-10-02T10:03:00", True),
        ("addDatetime", "2024-10-02 10:03:00.5", "2024-10-02T10:03:00", False),
        ("addDatetime", "2024-10-02 10:03", "2024-10-02T10:03:00", True),
        ("addDatetime", "2024-10-02", "2024-10-02T00:00:00", True),
        ("addDatetime", "2024-10-02", "2024-10-02T10:03:00", False),
        ("addDatetime", "2024-10-02T08:03:00Z", "2024-10-02T10:03:00", True),
        ("addDatetime", "2024-10-02T10:03:00+02:00", "2024-10-02T10:03:00", True),
        ("addDatetime", "2024-10-02T10:03:00+00:00", "2024-10-02T10:03:00", False),
        ("companyIsCustomer", "True", "true", True),
        ("companyIsCustomer", "False", "true", False),
        ("numberOfMeetings", "5.0", "5", True),
        ("companyRevenue", "NaN", "", True),
        ("name", "None", "", True),
        ("name", "2024-10-02 10:03:00", "2024-10-02T10:03:00", False),
        ("name", "True", "true", False),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_dump_is_compared_by_value(tmp_path: Path, column: str, held: str, export: str, same: bool, separator: str) -> None:
    """The platform may write a dump as pandas does: its values count, not their writing."""
    for name, text, sign in (("held", held, separator), ("export", export, ",")):
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as sink:
            writer = csv.DictWriter(sink, COLUMN_NAMES, restval="", delimiter=sign)
            writer.writeheader()
            writer.writerows([{"id": "a", column: text}, {"id": "b"}])
    found = compare(tmp_path / "held", tmp_path / "export", "Europe/Rome")
    assert found.equal(extra_allowed=False) is same

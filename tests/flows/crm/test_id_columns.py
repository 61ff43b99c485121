"""An export without an id: the columns, or the smallest combination, that tell its rows apart, the most lasting first."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.crm.dialect import load_dialect
from flows.crm.files.contents import read_contents
from flows.crm.files.table_reader import TableReader
from flows.crm.guide.id_columns import find_ids
from flows.crm.sheet_choice import bind


def found(path: Path, text: str) -> list[tuple[str, ...]]:
    path.write_text(text)
    contents = read_contents(path, str(path))
    layout = bind(load_dialect("hubspot"), contents, str(path)).layout
    return find_ids(TableReader(contents, layout, str(path)))


@pytest.mark.parametrize(
    ("rows", "ids"),
    [
        ([("n1", "a", "10"), ("n2", "a", "10")], [("Ticket",)]),
        ([("n1", "a", "10"), ("n1", "b", "10"), ("n2", "a", "10")], [("Ticket", "Client")]),
        ([("", "a", "10"), ("n2", "b", "10")], [("Client",)]),
        ([("n1", "a", "10"), ("n1", "a", "10")], []),
        ([("n1", "a", "10"), ("n1 ", "b", "10"), ("n2", "b", "10")], [("Ticket", "Client")]),
        ([("n1", "a", "10"), ("n1", "a", "20"), ("n1", "b", "10"), ("n2", "a", "10")], [("Ticket", "Client", "Amount")]),
    ],
)
def test_the_smallest_combination_that_tells_rows_apart(rows: list[tuple[str, ...]], ids: list[tuple[str, ...]], tmp_path: Path) -> None:
    text = "Ticket,Client,Amount\n" + "".join(",".join(row) + "\n" for row in rows)
    assert found(tmp_path / "deals.csv", text) == ids


def test_what_lasts_comes_before_what_changes(tmp_path: Path) -> None:
    text = "Amount,Stage,Deal Name,Create Date\n1,x,a,2024-01-01\n2,y,b,2024-01-02\n3,z,c,2024-01-03\n"
    assert found(tmp_path / "deals.csv", text) == [("Deal Name",), ("Create Date",)]


def test_a_date_is_taken_where_nothing_else_tells_rows_apart(tmp_path: Path) -> None:
    rows = "a,x,01.02.2024\na,y,02.02.2024\nb,x,03.02.2024\n"
    assert found(tmp_path / "deals.csv", f"Client,Plan,Day\n{rows}") == [("Client", "Plan")]
    assert found(tmp_path / "deals.csv", f"Client,Plan,Day\n{rows.replace('y', 'x')}") == [("Day",)]


def test_the_whole_export_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that repeats only far below is no id."""
    monkeypatch.setattr("flows.crm.guide.id_columns._ROWS", 3)
    text = "Ticket,Client\nn1,a\nn2,a\nn3,a\nn3,b\n"
    assert found(tmp_path / "deals.csv", text) == []


def test_an_export_without_rows_has_none(tmp_path: Path) -> None:
    assert found(tmp_path / "deals.csv", "Ticket,Client\n") == []

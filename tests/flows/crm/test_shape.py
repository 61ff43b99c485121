"""A row has the header's shape, or its line is named: nothing is shifted, swallowed or cut without a word."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from flows.crm.files import blocks
from flows.errors import ExportUnreadable
from tests.flows.crm.conftest import DEAL, Export, extract

PLAIN = replace(Export(), quoting=csv.QUOTE_MINIMAL)


def _write(path: Path, text: str) -> str:
    path.write_text(text, "utf-8", newline="")
    return str(path)


def _wide(rows: int = 6) -> Export:
    """Deals with unquoted cells and two empty columns behind."""
    return replace(PLAIN, deals=[DEAL | {"Record ID": str(100 + n), "Owner": "Bo", "Next step": ""} for n in range(rows)])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line", [2, 5])
def test_a_separator_in_an_unquoted_cell_is_named_though_the_surplus_is_empty(separator: str, line: int, tmp_path: Path) -> None:
    lines = replace(_wide(), separator=separator).text().splitlines(keepends=True)
    lines[line - 1] = lines[line - 1].replace("9800", f"9{separator}800")
    with pytest.raises(ExportUnreadable, match=rf"line {line} \(13 cells\): the header has 12 cells"):
        extract(_write(tmp_path / "deals.csv", "".join(lines)))


def test_every_irregular_line_is_named(tmp_path: Path) -> None:
    lines = _wide(40).text().splitlines(keepends=True)
    for line in (3, 17, 29):
        lines[line - 1] = lines[line - 1].replace("9800", "9,800")
    lines[34] = "135,Zebra\n"
    with pytest.raises(ExportUnreadable) as caught:
        extract(_write(tmp_path / "deals.csv", "".join(lines)))
    assert "line 3 (13 cells), line 17 (13 cells), line 29 (13 cells), line 35 (2 cells)" in str(caught.value)
    assert "Zebra" not in str(caught.value)


def test_a_shifted_row_among_rows_that_are_all_short(tmp_path: Path) -> None:
    """The shifted row has the header's width: the others are what differs."""
    header, *rows = _wide(3).text().splitlines()
    rows = [row.removesuffix(",") for row in rows]
    rows[0] = rows[0].replace("9800", "9,800")
    with pytest.raises(ExportUnreadable, match=r"line 3 \(11 cells\), line 4 \(11 cells\)"):
        extract(_write(tmp_path / "deals.csv", "\n".join([header, *rows]) + "\n"))


@pytest.mark.parametrize("surplus", [1, 3])
def test_rows_that_all_end_in_separators_alike_are_read(surplus: int, tmp_path: Path) -> None:
    header, *rows = PLAIN.text().splitlines()
    frame, _ = extract(_write(tmp_path / "deals.csv", "\n".join([header, *(row + "," * surplus for row in rows)]) + "\n"))
    assert frame["value"].tolist() == ["9800"] * 3


def test_rows_that_all_have_a_filled_cell_more_are_refused(tmp_path: Path) -> None:
    """R writes row names without a header for them: every column would shift."""
    header, *rows = PLAIN.text().splitlines()
    with pytest.raises(ExportUnreadable, match=r"line 2 \(11 cells\), line 3 \(11 cells\), line 4 \(11 cells\)"):
        extract(_write(tmp_path / "deals.csv", "\n".join([header, *(f"{n},{row}" for n, row in enumerate(rows))]) + "\n"))


@pytest.mark.parametrize("escaped", ['say \\"yes, now\\"', 'say \\"yes\\" now', '\\"yes\\" and no'])
def test_quotes_escaped_by_a_backslash_are_named(escaped: str, tmp_path: Path) -> None:
    text = Export().with_deal(1, {"Deal Name": "NAME"}).text().replace("NAME", escaped)
    with pytest.raises(ExportUnreadable, match="line 3: a backslash stands before a quote"):
        extract(_write(tmp_path / "deals.csv", text))


def test_a_backslash_at_the_end_of_a_cell_is_one(tmp_path: Path) -> None:
    frame, _ = extract(Export().each(Deal_Name='C:\\"deals"\\').write(tmp_path / "deals.csv"))
    assert set(frame["name"]) == {'C:\\"deals"\\'}


@pytest.mark.parametrize("small", [False, True], ids=["one block", "many blocks"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("first", "last"), [(2, 3), (2, 6)])
@pytest.mark.parametrize("column", ["Deal Name", "Owner"])
def test_two_stray_quotes_that_swallow_rows_are_named(
    small: bool, line_end: str, separator: str, first: int, last: int, column: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if small:
        monkeypatch.setattr(blocks, "_FIRST_BLOCK", 500)
        monkeypatch.setattr(blocks, "_LARGEST_BLOCK", 700)
    export = replace(_wide(8), separator=separator, line_end=line_end)
    cells = {"Deal Name": "Fjord Optics - annual supply", "Owner": "Bo"}
    lines = export.text().splitlines(keepends=True)
    lines[first - 1] = lines[first - 1].replace(f"{separator}{cells[column]}", f'{separator}"{cells[column]}')
    lines[last - 1] = lines[last - 1].replace(cells[column], f'{cells[column]}"')
    with pytest.raises(ExportUnreadable, match=rf"line {first}, column '{column}': the cell has {last - first} line breaks"):
        extract(_write(tmp_path / "deals.csv", "".join(lines)))


def test_a_text_of_many_lines_and_commas_is_no_swallowed_row(tmp_path: Path) -> None:
    text = "Dear all,\nwe have desks, chairs, lamps, mats, pens, cups, plants, doors, bins, rugs, taps\nand more,\n" * 3
    deals = [DEAL | {"Record ID": str(n), "Deal Description": text, "Notes": ",".join("abcdefghijkl") + "\nx"} for n in range(3)]
    frame, _ = extract(Export(deals).write(tmp_path / "deals.csv"))
    assert frame["description"].tolist() == [text] * 3


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_second_export_joined_behind_its_header_is_read_with_the_first(quoting: int, mark: str, tmp_path: Path) -> None:
    second = replace(Export(), quoting=quoting, deals=[DEAL | {"Record ID": "9", "Deal Stage": "Contract Sent"}])
    first = replace(Export(), quoting=quoting)
    frame, counts = extract(_write(tmp_path / "deals.csv", mark + first.text() + mark + second.text()))
    assert frame["id"].tolist()[-1] == "9"
    assert dict(counts.non_rows) == {"header repeated": 1}


def test_a_second_export_of_other_columns_is_refused(tmp_path: Path) -> None:
    other = replace(Export(), deals=[{name: DEAL[name] for name in ("Record ID", "Deal Stage", "Deal Name", *list(DEAL)[3:])}])
    with pytest.raises(ExportUnreadable, match=r"line 5: a second header .* no 'Deal Name' in that place"):
        extract(_write(tmp_path / "deals.csv", Export().text() + other.text()))


@pytest.mark.parametrize("tail", ["", "\r", "\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_lines_that_end_in_carriage_returns_with_newlines_somewhere(tail: str, encoding: str, tmp_path: Path) -> None:
    export = replace(Export(), line_end="\r").with_deal(1, {"Deal Name": "one\ntwo é"})
    (tmp_path / "deals.csv").write_bytes((export.text().removesuffix("\r") + tail).encode(encoding))
    frame, counts = extract(str(tmp_path / "deals.csv"))
    assert frame["name"].tolist()[1] == "one\ntwo é"
    assert (counts.deals, counts.rows) == (3, 3)
    assert frame["source_line"].tolist() == [2, 3, 5]

"""Rows that a report adds to its deals are left out and counted; what only looks like one is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from flows.crm import open_export
from flows.errors import ExportUnmappable, ExportUnreadable
from tests.flows.crm.conftest import DEAL, Export, extract

LEFT_OUT = "total or note of a report"
TOTALS = (
    "Total", "Grand Total:", "Subtotal", "Summe", "Gesamt", "Zwischensumme (3)", "Total g\u00e9n\u00e9ral", "Sous-total", "Totale", "Suma",
    "Total geral", "Razem", "\u0418\u0442\u043e\u0433\u043e", "\u5408\u8a08", "Toplam", "Totalt", "Yhteens\u00e4", "Celkem",
    "\u00d6sszesen", "Totaal",
    "Count: 3", "SUMMA 3",
)  # fmt: skip
NOTES = (
    "Page 1 of 3",
    "Seite 2/3",
    "Exported by A. B.",
    "Confidential Information - Do Not Distribute",
    "3 records",
    "Copyright 2026",
    "3 Datens\u00e4tze",
)


def _with(export: Export, *rows: dict[str, str]) -> Export:
    """With rows below, each empty but for some cells."""
    return replace(export, below=[[row.get(name, "") for name in DEAL] for row in rows])


@pytest.mark.parametrize("name", TOTALS)
def test_a_total_is_no_deal(name: str, export: Export, tmp_path: Path) -> None:
    location = _with(export, {"Record ID": name, "Amount": "29400"}, {"Record ID": name, "Amount": "1", "Deal Stage": "Lost"}).write(
        tmp_path / "d.csv"
    )
    frame, counts = extract(location)
    assert (len(frame), dict(counts.non_rows)) == (3, {LEFT_OUT: 2})


@pytest.mark.parametrize("name", NOTES)
def test_a_note_is_no_deal_whether_or_not_its_row_has_all_cells(name: str, export: Export, tmp_path: Path) -> None:
    for below in ([name], [name, *[""] * (len(DEAL) - 1)]):
        frame, counts = extract(replace(export, below=[below]).write(tmp_path / "deals.csv"))
        assert (len(frame), dict(counts.non_rows)) == (3, {LEFT_OUT: 1})


@pytest.mark.parametrize(
    "row",
    [
        {"Record ID": "Total", "Create Date": "2026-09-01", "Amount": "70"},
        {"Record ID": "SUM001", "Amount": "70"},
        {"Record ID": "Totalenergies", "Amount": "70"},
        {"Record ID": "3 records", "Amount": "70"},
        {"Record ID": "Page 1", "Deal Name": "A"},
        {"Record ID": "77"},
    ],
)
def test_what_may_be_a_deal_stays_for_the_gate(row: dict[str, str], export: Export, tmp_path: Path) -> None:
    frame, counts = extract(_with(export, row).write(tmp_path / "deals.csv"))
    assert (frame["id"].tolist()[3:], dict(counts.non_rows)) == ([row["Record ID"]], {})


def test_a_row_cut_short_that_is_no_note_stops(export: Export, tmp_path: Path) -> None:
    with pytest.raises(ExportUnreadable, match=r"line 5 \(1 cells\)"):
        extract(replace(export, below=[["77"]]).write(tmp_path / "deals.csv"))


@pytest.mark.parametrize("word", ["#REF!", "#N/A", "#NV", "#VALUE!"])
@pytest.mark.parametrize("header", ["Is Closed Won", "Is Deal Closed?", "isDeleted"])
def test_an_error_of_a_spreadsheet_in_a_flag_is_no_empty_cell(word: str, header: str, export: Export, tmp_path: Path) -> None:
    location = export.each(isDeleted="false").with_deal(1, {header: word}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=f"line 3, column '{header.replace('?', '.')}'"):
        extract(location)


def test_letters_in_utf_7_are_asked_about(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Deal Name": "Caf\u00e9"}).write(tmp_path / "deals.csv", "utf-7")
    with pytest.raises(ExportUnreadable, match="line 3: letters are written as UTF-7 has them"):
        extract(location)
    assert extract(location, encoding="utf-7")[0]["name"].tolist()[1] == "Caf\u00e9"
    assert extract(location, encoding="utf-8")[0]["name"].tolist()[1].startswith("Caf+AOk")
    for name in ("A+B-C", "+AB-", "C+AMOUNT", "a +ADC b"):
        with open_export(export.each(Deal_Name=name).write(tmp_path / "plus.csv"), crm="hubspot") as extraction:
            assert extraction.facts.encoding == "utf-8"

"""Dates that may be others than they look, and parts that may be cut: read, and told."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from flows.crm import fit
from flows.deals.staged_file import stage
from flows.options import SyncOptions
from tests.flows.crm.conftest import DEAL, Export, extract


def _many(*closes: str) -> Export:
    deals = [DEAL | {"Record ID": str(n), "Close Date": closes[n % len(closes)].format(day=n % 28 + 1)} for n in range(40)]
    return Export(deals)


@pytest.mark.parametrize(
    ("closes", "hours"),
    [
        (("2026-12-{day:02d} 22:00:00", "2026-06-{day:02d} 23:00"), "22:00:00 or 23:00:00"),
        (("2026-12-{day:02d}T23:00:00Z",), "23:00:00"),
        (("2026-12-{day:02d}T18:30:00.000Z",), "18:30:00"),
        (("2026-12-{day:02d}T20:00:00Z", "2026-06-{day:02d}T21:00:00Z", ""), "20:00:00 or 21:00:00"),
    ],
)
def test_midnights_of_a_zone_further_east_are_told(closes: tuple[str, ...], hours: str, tmp_path: Path) -> None:
    location = _many(*closes).write(tmp_path / "deals.csv")
    (warning,) = extract(location)[1].warnings
    assert warning.startswith(f"expectedClosureDatetime: every time is {hours}, as midnights further east are")
    remarks = stage(SyncOptions(export=location, crm="hubspot", collection="acme"), tmp_path, "UTC").remarks
    assert remarks[-1] == warning


@pytest.mark.parametrize(
    "closes",
    [
        ("2026-12-{day:02d} 22:00", "2026-12-{day:02d}"),
        ("2026-12-{day:02d} 22:00", "2026-12-{day:02d} 22:30"),
        ("2026-12-{day:02d} 17:00",),
        ("2026-12-{day:02d} 08:00", "2026-12-{day:02d} 09:00"),
        ("2026-12-{day:02d} 22:00", "2026-12-{day:02d} 23:00", "2026-12-{day:02d} 09:15"),
        ("",),
    ],
)
def test_other_times_of_day_are_no_midnights(closes: tuple[str, ...], tmp_path: Path) -> None:
    assert extract(_many(*closes).write(tmp_path / "deals.csv"))[1].warnings == ()


def test_midnights_of_the_collection_s_zone_and_a_few_are_not_told(export: Export, tmp_path: Path) -> None:
    instants = _many("2026-12-{day:02d}T23:00:00Z").write(tmp_path / "deals.csv")
    frame, counts = extract(instants, timezone="Europe/Berlin")
    assert (frame["expectedClosureDatetime"][0], counts.warnings) == ("2026-12-02T00:00:00", ())
    assert extract(export.each(Close_Date="2026-12-01 22:00").write(tmp_path / "few.csv"))[1].warnings == ()


def test_a_part_whose_last_line_has_no_end_may_be_cut(export: Export, tmp_path: Path) -> None:
    parts = [replace(export, deals=[DEAL | {"Record ID": f"{part}{n}"} for n in range(2)]).text() for part in range(3)]
    told = ["line 6, the last of its part, has no line end and may be cut short"]
    with zipfile.ZipFile(tmp_path / "deals.zip", "w") as archive:
        for number, text in enumerate((parts[0], parts[1].removesuffix("\n"), parts[2]), start=1):
            archive.writestr(f"deals-{number}.csv", text)
    frame, counts = extract(str(tmp_path / "deals.zip"))
    assert (len(frame), list(counts.warnings)) == (6, told)
    for number, text in enumerate((parts[0].removesuffix("\n"), parts[1]), start=1):
        path = tmp_path / f"deals-{number}.csv"
        path.write_text(text)
        os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    assert extract(str(tmp_path / "deals-*.csv"))[1].warnings == ("line 3, the last of its part, has no line end and may be cut short",)


def test_errors_of_a_spreadsheet_are_told(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(0, {"Close Date": "#REF!"}).with_deal(1, {"Close Date": "#N/A"}).with_deal(2, {"Close Date": "n/a"})
    path = location.with_deal(2, {"Amount": "#DIV/0!"}).write(tmp_path / "deals.csv")
    told = {
        "'Close Date' has an error of a spreadsheet, such as #REF!, in 2 cells, read as empty",
        "'Amount' has an error of a spreadsheet, such as #REF!, in 1 cell, read as empty",
    }
    frame, counts = extract(path)
    assert (frame["expectedClosureDatetime"].isna().tolist(), set(counts.warnings)) == ([True] * 3, told)
    assert set(fit(path).warnings) == told


def test_day_numbers_are_told_by_crms_too(export: Export, tmp_path: Path) -> None:
    location = export.each(Create_Date="45567").write(tmp_path / "deals.csv")
    assert fit(location).warnings == ("plain numbers as dates ('Create Date') are read as a spreadsheet's days, counted from 1900",)


@pytest.mark.parametrize("header", ["Create Date", "Last Modified Date"])
def test_what_has_happened_does_not_lie_in_the_future(header: str, export: Export, tmp_path: Path) -> None:
    name = {"Create Date": "creationDatetime", "Last Modified Date": "lastUpdateDatetime"}[header]
    location = export.with_deal(1, {header: "05/12/2026"}).with_deal(2, {header: "Q4 2026"}).write(tmp_path / "deals.csv")
    (warning,) = extract(location, date_order="day-first")[1].warnings
    assert warning.startswith(f"{name} lies in the future in 1 of 3 deals: day and month may be exchanged")
    assert extract(location, date_order="month-first")[1].warnings == ()
    tomorrow = export.with_deal(1, {header: "2026-11-23 23:59"}).each(Close_Date="2031-01-01").write(tmp_path / "tomorrow.csv")
    assert extract(tomorrow)[1].warnings == ()


def test_a_date_in_two_orders_keeps_nothing_else_from_being_told(export: Export, tmp_path: Path) -> None:
    own = export.each(Deal_Stage="Pondering", Create_Date="02/03/2026").without("Is Deal Closed?", "Is Closed Won")
    found = fit(own.write(tmp_path / "deals.csv"))
    assert "--date-order" in str(found.trouble)
    assert found.undecided == {"Pondering": 3}

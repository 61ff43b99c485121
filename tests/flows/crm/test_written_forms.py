"""Numbers and dates that can be read two ways: the file proves which, the user says it, or the reading stops and asks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from openpyxl import Workbook

from flows.errors import ExportUnmappable
from tests.flows.crm.conftest import FIXTURES, Export, extract

POINTS = ["1.200", "25.000", "950"]


def _amounts(export: Export, amounts: list[str], folder: Path, **dates: str) -> str:
    for place, amount in enumerate(amounts):
        export = export.with_deal(place, {"Amount": amount})
    return export.each(**dates).write(folder / "deals.csv")


def _workbook(export: Export, path: Path, *columns: tuple[str, list[object]]) -> str:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    headers = list(export.deals[0])
    sheet.append(headers)
    for place, deal in enumerate(export.deals):
        cells = dict(deal) | {name: values[place] for name, values in columns}
        sheet.append([cells[name] for name in headers])
    book.save(path)
    return str(path)


@pytest.mark.parametrize("amounts", [POINTS, ["1,200", "25,000", "950"], ["-1.200", "7", "7"], ["€ 12.500", "7", "7"]])
def test_a_number_that_may_be_thousands_is_asked_about(amounts: list[str], export: Export, tmp_path: Path) -> None:
    location = _amounts(export, amounts, tmp_path)
    with pytest.raises(ExportUnmappable, match="--decimal point or --decimal comma") as stopped:
        extract(location)
    assert "line 2, column 'Amount'" in str(stopped.value)
    assert amounts[0] not in str(stopped.value)


@pytest.mark.parametrize("name", ["pipedrive--list.csv", "close--opportunities.csv", "odoo--labels.csv"])
def test_other_dialects_ask_too(name: str, tmp_path: Path) -> None:
    text = (FIXTURES / name).read_text("utf-8")
    text = re.sub(r'"\$[0-9.,]+"', '"$1.200"', re.sub(r'"[0-9]+(\.[0-9]+)?"(?=,"(EUR|Proposition|"))', '"1.200"', text))
    text = re.sub(r'"[0-9]+\.[0-9]{1,2}"', '"1.200"', text)
    (tmp_path / "deals.csv").write_text(text, "utf-8")
    crm = name.partition("--")[0]
    with pytest.raises(ExportUnmappable, match="--decimal"):
        extract(str(tmp_path / "deals.csv"), crm)
    assert "1200" in extract(str(tmp_path / "deals.csv"), crm, decimal="comma")[0]["value"].tolist()


@pytest.mark.parametrize(("decimal", "values"), [("comma", ["1200", "25000", "950"]), ("point", ["1.200", "25.000", "950"])])
def test_the_user_says_what_the_sign_is(decimal: str, values: list[str], export: Export, tmp_path: Path) -> None:
    assert extract(_amounts(export, POINTS, tmp_path), decimal=decimal)[0]["value"].tolist() == values


@pytest.mark.parametrize(
    ("proof", "values"),
    [
        ("468,5", ["1200", "25000", "468.5"]),
        ("468.5", ["1.200", "25.000", "468.5"]),
        ("1.200,-", ["1200", "25000", "1200"]),
        ("1.234.567", ["1200", "25000", "1234567"]),
    ],
)
def test_another_number_proves_it(proof: str, values: list[str], export: Export, tmp_path: Path) -> None:
    assert extract(_amounts(export, [*POINTS[:2], proof], tmp_path))[0]["value"].tolist() == values


@pytest.mark.parametrize("day", ["31.01.2024 10:00", "03.01.2024", "31/01/2024 10:00"])
def test_semicolons_and_days_first_are_a_country_of_decimal_commas(day: str, export: Export, tmp_path: Path) -> None:
    semicolons = replace(export, separator=";")
    location = _amounts(semicolons, POINTS, tmp_path, Create_Date=day, Close_Date=day, Last_Modified_Date=day)
    order = "day-first" if day.startswith("03") else None
    assert extract(location, date_order=order)[0]["value"].tolist() == ["1200", "25000", "950"]


@pytest.mark.parametrize("day", ["01/31/2024", "2024-01-31"])
def test_semicolons_alone_are_not(day: str, export: Export, tmp_path: Path) -> None:
    location = _amounts(replace(export, separator=";"), POINTS, tmp_path, Create_Date=day, Close_Date=day, Last_Modified_Date=day)
    with pytest.raises(ExportUnmappable, match="--decimal"):
        extract(location)


def test_whole_numbers_have_thousands_and_no_decimals(export: Export, tmp_path: Path) -> None:
    meetings = export.each(Number_of_scheduled_meetings="1.234")
    assert extract(meetings.write(tmp_path / "points.csv"))[0]["numberOfMeetings"].tolist() == ["1234"] * 3
    with pytest.raises(ExportUnmappable, match="decimal"):
        extract(meetings.each(Number_of_scheduled_meetings="1.000").write(tmp_path / "thousand.csv"))
    floats = meetings.each(Number_of_scheduled_meetings="3.0", Amount="1.234,50").write(tmp_path / "floats.csv")
    assert extract(floats)[0][["numberOfMeetings", "value"]].to_numpy().tolist() == [["3", "1234.50"]] * 3


def test_numbers_of_a_workbook_are_numbers_whatever_its_texts_are(export: Export, tmp_path: Path) -> None:
    """And they prove nothing for its texts, which people have written."""
    comma = _workbook(export, tmp_path / "comma.xlsx", ("Amount", [1.234, "2.900,00", 12.5]))
    assert extract(comma)[0]["value"].tolist() == ["1.234", "2900.00", "12.5"]
    assert extract(_workbook(export, tmp_path / "numbers.xlsx", ("Amount", [1.234, 12.345, 1e6])))[0]["value"].tolist() == [
        "1.234",
        "12.345",
        "1000000",
    ]
    texts = _workbook(export, tmp_path / "texts.xlsx", ("Amount", [468.5, "2.900", 7]))
    with pytest.raises(ExportUnmappable, match="line 3"):
        extract(texts)
    assert extract(texts, decimal="comma")[0]["value"].tolist() == ["468.5", "2900", "7"]
    named = _workbook(export, tmp_path / "named.xlsx", ("Deal Stage", [1.5, "b", "c"]), ("Amount", [1.5, 2, 3]))
    assert extract(named)[0]["stage"].tolist() == ["1.5", "b", "c"]


@pytest.mark.parametrize("sign", ["-", "/", "."])
def test_a_year_of_two_figures_may_stand_first(sign: str, export: Export, tmp_path: Path) -> None:
    def written(*parts: str) -> str:
        return sign.join(parts)

    days = {
        "Create_Date": written("23", "12", "01"),
        "Close_Date": written("24", "01", "31"),
        "Last_Modified_Date": written("24", "02", "01"),
    }
    location = export.each(**days).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="--date-order day-first or --date-order year-first"):
        extract(location)
    frame, _ = extract(location, date_order="year-first")
    assert list(frame.loc[0, ["creationDatetime", "expectedClosureDatetime"]]) == ["2023-12-01T00:00:00", "2024-01-31T00:00:00"]


def test_a_deal_was_not_created_in_the_future(export: Export, tmp_path: Path) -> None:
    """29/12/25 is no day of 2029, and 24-03-29 none of 2029 either."""
    frame, _ = extract(export.with_deal(0, {"Create Date": "29/12/25", "Close Date": "05/06/27"}).write(tmp_path / "day.csv"))
    assert list(frame.loc[0, ["creationDatetime", "expectedClosureDatetime"]]) == ["2025-12-29T00:00:00", "2027-06-05T00:00:00"]
    frame, _ = extract(export.with_deal(0, {"Create Date": "24-03-29", "Close Date": "27-06-05"}).write(tmp_path / "year.csv"))
    assert list(frame.loc[0, ["creationDatetime", "expectedClosureDatetime"]]) == ["2024-03-29T00:00:00", "2027-06-05T00:00:00"]


@pytest.mark.parametrize(
    ("proven", "doubtful"),
    [
        ("10/20/2016", "1-11-16"),
        ("31.12.2024", "01/02/2024"),
        ("31/12/2024", "01/02/24"),
        ("05/31/2024", "1/2/2024"),
        ("5/31/2024", "01/02/2024"),
    ],
)
def test_what_one_way_of_writing_proves_is_no_proof_for_another(proven: str, doubtful: str, export: Export, tmp_path: Path) -> None:
    location = export.with_deal(0, {"Create Date": proven}).with_deal(1, {"Create Date": doubtful}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=r"line 3.*--date-order"):
        extract(location)
    assert str(extract(location, date_order="day-first")[0].loc[1, "creationDatetime"])[5:7] in {"02", "11"}
    assert str(extract(location, date_order="month-first")[0].loc[1, "creationDatetime"])[5:7] == "01"


def test_what_stands_around_a_date_is_no_way_to_write_its_day(export: Export, tmp_path: Path) -> None:
    """The order is told from the figures that are read, whatever words and signs there are in front and behind."""
    for place, day in enumerate(("Fr, 13.03.2026 10:30", "01.04.2026 上午 12:30", "02.04.2026 kl. 7.05")):
        export = export.with_deal(place, {"Create Date": day})
    location = export.write(tmp_path / "deals.csv")
    assert extract(location)[0]["creationDatetime"].tolist() == ["2026-03-13T10:30:00", "2026-04-01T00:30:00", "2026-04-02T07:05:00"]


def test_a_date_that_either_of_two_writers_may_have_written(export: Export, tmp_path: Path) -> None:
    """1/2/2024 by one who puts months first, 31/01/2024 by one who does not: 10/12/2024 may be of either, 12/31/2024 of one."""
    days = ["31/01/2024", "1/2/2024", "10/12/2024"]
    for place, day in enumerate(days):
        export = export.with_deal(place, {"Create Date": day})
    with pytest.raises(ExportUnmappable, match=r"99/99/9999 of two writers"):
        extract(export.write(tmp_path / "deals.csv"), date_order="month-first")
    location = export.with_deal(2, {"Create Date": "12/31/2024"}).write(tmp_path / "one.csv")
    frame, _ = extract(location, date_order="month-first")
    assert [day[:10] for day in frame["creationDatetime"]] == ["2024-01-31", "2024-01-02", "2024-12-31"]


def test_days_without_padding_beside_those_that_need_none_are_of_one_writer(export: Export, tmp_path: Path) -> None:
    days = ["1/2/2024", "31/1/2024", "10/12/2024"]
    for place, day in enumerate(days):
        export = export.with_deal(place, {"Create Date": day})
    frame, _ = extract(export.write(tmp_path / "deals.csv"))
    assert [day[:10] for day in frame["creationDatetime"]] == ["2024-02-01", "2024-01-31", "2024-12-10"]


@pytest.mark.parametrize("text", ["31/01/2024", "01/31/2024", "31.1.2024 10:00"])
def test_a_spreadsheet_that_has_half_converted_a_column_is_found_out(text: str, export: Export, tmp_path: Path) -> None:
    half = ("Create Date", [date(2024, 5, 1), text, date(2024, 12, 3)])
    with pytest.raises(ExportUnmappable, match=r"line 3, column 'Create Date'.*days for months"):
        extract(_workbook(export, tmp_path / "half.xlsx", half))
    whole = ("Create Date", [date(2024, 5, 1), text, date(2024, 12, 30)])
    assert len(extract(_workbook(export, tmp_path / "whole.xlsx", whole))[0]) == 3
    deals = [*export.deals, export.deals[0] | {"Record ID": "1"}]
    for place, day in enumerate(("2024-05-01 00:00:00", text, "2024-12-03 00:00:00", "2024-01-02 00:00:00")):
        deals[place] = deals[place] | {"Create Date": day}
    with pytest.raises(ExportUnmappable, match="days for months"):
        extract(replace(export, deals=deals).write(tmp_path / "half.csv"))


def test_one_odd_date_leaves_the_others_as_they_are(export: Export, tmp_path: Path) -> None:
    offsets = export.each(Create_Date="2024-01-31 10:00:00+00").with_deal(1, {"Create Date": "2024-01-31"})
    assert extract(offsets.write(tmp_path / "deals.csv"), timezone="Europe/Rome")[0]["creationDatetime"].tolist() == [
        "2024-01-31T11:00:00",
        "2024-01-31T00:00:00",
        "2024-01-31T11:00:00",
    ]


def test_a_zero_for_a_date_is_empty_where_a_deal_can_do_without(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(0, {"Close Date": "0000-00-00"}).with_deal(1, {"Close Date": "30/12/1899"}).write(tmp_path / "deals.csv")
    frame, counts = extract(location)
    assert frame["expectedClosureDatetime"].isna().tolist() == [True, True, False]
    assert not counts.unread

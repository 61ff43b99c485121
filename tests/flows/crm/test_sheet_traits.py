"""What a workbook's rows do not show: formulas without values, currencies in formats, merged and hidden cells, days from 1904."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from openpyxl import Workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.worksheet import Worksheet

from flows.crm import fit
from flows.errors import ExportUnmappable
from tests.flows.crm.conftest import DEAL, extract

HEADERS = list(DEAL)
CLOSE, AMOUNT, CREATED = (HEADERS.index(name) for name in ("Close Date", "Amount", "Create Date"))
TEXT = 'office:value-type="string"'
XML = 'xmlns:{0}="urn:oasis:names:tc:opendocument:xmlns:{0}:1.0"'.format


def _book(path: Path, change: Callable[[Worksheet], None], *, from_1904: bool = False, title: bool = False) -> str:
    book = Workbook()
    if from_1904:
        book.epoch = CALENDAR_MAC_1904
    sheet = book.active
    assert sheet is not None
    for cells in ([["Deals", "", "=1+1"]] if title else []) + [HEADERS, *([str(n), *list(DEAL.values())[1:]] for n in (1, 2, 3))]:
        sheet.append(cells)
    change(sheet)
    book.save(path)
    return str(path)


def _cell(text: str, attributes: str = "", tag: str = "table-cell") -> str:
    return f"<table:{tag} {attributes}>{f'<text:p>{text}</text:p>' if text else ''}</table:{tag}>"


def _ods(path: Path, *rows: tuple[str, dict[str, str]], settings: str = "") -> str:
    """Each row with attributes, and other cells than usual by header."""
    lines = ["".join(_cell(name, TEXT) for name in HEADERS)]
    for number, (_, own) in enumerate(rows, start=1):
        deal = DEAL | {"Record ID": str(number)}
        lines.append("".join(own.get(name) or _cell(deal[name], TEXT) for name in HEADERS))
    text = "".join(
        f"<table:table-row {attributes}>{cells}</table:table-row>" for (attributes, _), cells in zip([("", {}), *rows], lines, strict=True)
    )
    content = (
        f"<office:document-content {' '.join(map(XML, ('office', 'table', 'text')))}><office:body><office:spreadsheet>{settings}"
        f'<table:table table:name="Deals">{text}</table:table></office:spreadsheet></office:body></office:document-content>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr("content.xml", content)
        archive.writestr("META-INF/manifest.xml", f"<manifest:manifest {XML('manifest')}/>")
    return str(path)


@pytest.mark.parametrize("header", ["Amount", "Close Date", "Is Closed Won", "Record ID"])
def test_a_formula_without_its_value_is_no_empty_cell(header: str, tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        sheet.cell(3, HEADERS.index(header) + 1).value = "=TODAY()"

    with pytest.raises(ExportUnmappable, match=f"line 3, column '{header}': the cell has a formula and no value"):
        extract(_book(tmp_path / "deals.xlsx", change))
    formula = _cell("", 'table:formula="of:=TODAY()"')
    with pytest.raises(ExportUnmappable, match=f"line 3, column '{header}': the cell has a formula and no value"):
        extract(_ods(tmp_path / "deals.ods", ("", {}), ("", {header: formula})))


def test_formulas_with_values_and_those_that_nobody_reads_are_no_trouble(tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        sheet.cell(1, len(HEADERS) + 1).value = "Days left"
        sheet.cell(2, len(HEADERS) + 1).value = "=TODAY()"

    assert len(extract(_book(tmp_path / "deals.xlsx", change))[0]) == 3
    assert len(extract(_book(tmp_path / "title.xlsx", lambda _: None, title=True))[0]) == 3
    plain = _book(tmp_path / "plain.xlsx", lambda _: None)
    for value, cell in (
        ("9800", b'<c r="E2" t="n"><f>4900*2</f><v>9800</v></c>'),
        ("", b'<c r="E2" t="str"><f>IF(1,"",2)</f><v></v></c>'),
    ):
        assert extract(_with_cell(plain, tmp_path / "other.xlsx", cell))[0]["value"].fillna("").tolist()[0] == value


def _with_cell(book: str, path: Path, cell: bytes) -> str:
    """The workbook with another amount in its first deal."""
    with zipfile.ZipFile(book) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name.endswith("sheet1.xml"):
                begin = text.index(b'<c r="E2"')
                text = text[:begin] + cell + text[text.index(b"</c>", begin) + 4 :]
            new.writestr(name, text)
    return str(path)


@pytest.mark.parametrize(
    ("formats", "stops"),
    [
        (("[$$-409]#,##0.00", '#,##0.00\\ "€"', "General"), True),
        (("[$EUR] #,##0", "General", "[$USD] #,##0"), True),
        (('#,##0 "kr"', '#,##0.00 "CHF"', "0"), True),
        (("[$€-407]#,##0.00", '#,##0.00\\ "€"', "[$EUR] #,##0"), False),
        (("[$$-409]#,##0.00", "[$USD] #,##0", "0.00"), False),
        (("#,##0.00", "[Red]0", "0%"), False),
    ],
)
def test_amounts_that_only_their_format_tells_apart_do_not_add_up(formats: tuple[str, ...], stops: bool, tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        for row, code in enumerate(formats, start=2):
            sheet.cell(row, AMOUNT + 1).value = 100.5
            sheet.cell(row, AMOUNT + 1).number_format = code

    location = _book(tmp_path / "deals.xlsx", change)
    if stops:
        with pytest.raises(ExportUnmappable, match=r"the amount is formatted as .* which do not add up"):
            extract(location)
    else:
        assert extract(location)[0]["value"].tolist() == ["100.5"] * 3


def test_a_column_of_currencies_says_what_formats_say(tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        sheet.cell(1, len(HEADERS) + 1).value = "Currency"
        for row, (code, name) in enumerate((("[$$-409]0.00", "USD"), ('0.00 "€"', "EUR"), ("0", "EUR")), start=2):
            sheet.cell(row, AMOUNT + 1).value, sheet.cell(row, len(HEADERS) + 1).value = 7, name
            sheet.cell(row, AMOUNT + 1).number_format = code

    frame, _ = extract(_book(tmp_path / "deals.xlsx", change), currency="EUR")
    assert frame["id"].tolist() == ["2", "3"]


def test_currencies_of_an_open_document(tmp_path: Path) -> None:
    amounts = [_cell("7", f'office:value-type="currency" office:currency="{name}" office:value="7"') for name in ("EUR", "USD")]
    with pytest.raises(ExportUnmappable, match="line 3: the amount is formatted as USD, and that of line 2 as EUR"):
        extract(_ods(tmp_path / "two.ods", *(("", {"Amount": amount}) for amount in amounts)))
    assert extract(_ods(tmp_path / "one.ods", *(("", {"Amount": amounts[0]}) for _ in amounts)))[0]["value"].tolist() == ["7", "7"]


def test_cells_merged_over_rows_stop_in_an_open_document_too(tmp_path: Path) -> None:
    first = _cell("2026-12-18", 'table:number-rows-spanned="2" office:value-type="string"')
    covered = _cell("", tag="covered-table-cell")
    with pytest.raises(ExportUnmappable, match="line 3, column 'Close Date': the cells down to line 4 are merged"):
        extract(_ods(tmp_path / "deals.ods", ("", {}), ("", {"Close Date": first}), ("", {"Close Date": covered})))


def test_rows_that_are_hidden_are_told(tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        sheet.row_dimensions[3].hidden = True
        sheet.column_dimensions["B"].hidden = True

    location = _book(tmp_path / "deals.xlsx", change)
    frame, counts = extract(location)
    assert (len(frame), counts.warnings) == (3, ("1 of the sheet's rows is hidden, and read as the others are",))
    assert fit(location).warnings == counts.warnings
    both = _ods(tmp_path / "deals.ods", ('table:visibility="filter"', {}), ("", {}), ('table:visibility="collapse"', {}))
    assert extract(both)[1].warnings == ("2 of the sheet's rows are hidden, and read as the others are",)
    assert extract(_book(tmp_path / "all.xlsx", lambda _: None))[1].warnings == ()


def test_plain_numbers_as_dates_of_a_workbook_from_1904_stop(tmp_path: Path) -> None:
    def change(sheet: Worksheet) -> None:
        sheet.cell(3, CREATED + 1).value = 44000

    with pytest.raises(ExportUnmappable, match=r"line 3, column 'Create Date': the date is a plain number, .* from 1904"):
        extract(_book(tmp_path / "old.xlsx", change, from_1904=True))
    frame, counts = extract(_book(tmp_path / "new.xlsx", change))
    assert frame["creationDatetime"].tolist()[1] == "2020-06-18T00:00:00"
    assert counts.warnings == ("plain numbers as dates ('Create Date') are read as a spreadsheet's days, counted from 1900",)
    assert extract(_book(tmp_path / "typed.xlsx", lambda _: None, from_1904=True))[1].warnings == ()
    settings = '<table:calculation-settings><table:null-date table:date-value="1904-01-01"/></table:calculation-settings>'
    number = _cell("44000", 'office:value-type="float" office:value="44000"')
    with pytest.raises(ExportUnmappable, match=r"line 2, column 'Create Date'.* from 1904"):
        extract(_ods(tmp_path / "old.ods", ("", {"Create Date": number}), settings=settings))

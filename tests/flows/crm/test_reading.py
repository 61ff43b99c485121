"""The file as it lies: encodings, separators, archives, workbooks, places, and the line that every deal starts on."""

from __future__ import annotations

import csv
import gzip
import hashlib
import http.server
import os
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import fsspec
import openpyxl
import pytest

from flows.crm import open_export
from flows.crm.files import blocks
from flows.errors import ExportNotFound, ExportUnmappable, ExportUnreadable, UsageError
from tests.flows.crm.conftest import DEAL, FIXTURES, Export, extract

NAME = "Café Lumière à Zürich, 5 €"


@pytest.mark.parametrize(
    ("encoding", "told", "name"),
    [
        ("utf-8", "utf-8", NAME),
        ("utf-8-sig", "utf-8", NAME),
        ("utf-16", "utf-16", NAME),
        ("utf-16-le", "utf-16-le", NAME),
        ("utf-16-be", "utf-16-be", NAME),
        ("utf-32", "utf-32", NAME),
        ("cp1252", "cp1252", NAME),
        ("latin-1", "cp1252", "Café Lumière"),
        ("cp1251", "cp1251", "Поставка оборудования для завода на следующий год"),
    ],
)
def test_encodings(encoding: str, told: str, name: str, export: Export, tmp_path: Path) -> None:
    location = export.each(Deal_Name=name).write(tmp_path / "deals.csv", encoding)
    assert open_export(location, crm="hubspot").facts.encoding == told
    assert extract(location)[0]["name"].tolist() == [name] * 3


@pytest.mark.parametrize("name", ["Løvås", "Ångström", "Peña", "it\u2019s", "5\u20ac", "São João", "Élan Über"])
def test_one_accent_is_enough_for_western_text(name: str, export: Export, tmp_path: Path) -> None:
    assert extract(export.with_deal(1, {"Deal Name": name}).write(tmp_path / "deals.csv", "cp1252"))[0].loc[1, "name"] == name


def test_an_encoding_that_only_the_user_knows(export: Export, tmp_path: Path) -> None:
    """A few bytes of another script prove nothing: refused, unless a dialect says what they are."""
    location = export.with_deal(1, {"Deal Name": "Иванов"}).write(tmp_path / "deals.csv", "cp1251")
    with pytest.raises(ExportUnreadable, match="line 3: the encoding cannot be settled"):
        extract(location)
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[file]\nencoding = "windows-1251"\n')
    assert extract(location, str(own))[0].loc[1, "name"] == "Иванов"


def test_a_dialect_that_names_the_wrong_encoding_is_told_so(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Deal Name": "Café"}).write(tmp_path / "deals.csv", "cp1252")
    own = tmp_path / "own.toml"
    own.write_text('extends = "hubspot"\n[file]\nencoding = "utf-8"\n')
    with pytest.raises(ExportUnreadable, match="not valid utf-8 throughout"):
        extract(location, str(own))


def test_an_odd_character_far_down_still_settles_the_encoding(export: Export, tmp_path: Path) -> None:
    many = replace(export, deals=[DEAL | {"Record ID": str(n)} for n in range(60_000)] + [DEAL | {"Record ID": "x", "Deal Name": "Café"}])
    frame, _ = extract(many.write(tmp_path / "deals.csv", "cp1252"))
    assert frame["name"].iloc[-1] == "Café"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
def test_separators_line_ends_and_quoting(separator: str, line_end: str, quoting: int, export: Export, tmp_path: Path) -> None:
    shaped = replace(export.each(Deal_Name='a;b,c|d "e"'), separator=separator, line_end=line_end, quoting=quoting)
    location = shaped.write(tmp_path / "deals.csv")
    assert open_export(location, crm="hubspot").facts.separator == separator
    frame, _ = extract(location)
    assert frame["name"].tolist() == ['a;b,c|d "e"'] * 3
    assert frame["source_line"].tolist() == [2, 3, 4]


def test_the_separator_hint_of_a_spreadsheet_is_a_title_line(export: Export, tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("sep=;\n" + replace(export, separator=";").text())
    assert extract(str(tmp_path / "deals.csv"))[0]["source_line"].tolist() == [3, 4, 5]


def _starts(text: str) -> dict[str, int]:
    """Where each row starts, told by Python's csv module."""
    reader, starts, line = csv.reader(text.splitlines(keepends=True)), {}, 1
    for row in reader:
        starts[row[0] if row else ""] = line
        line = reader.line_num + 1
    return starts


@pytest.mark.parametrize("irregular", ["", "blank line", "inches", "BOM"])
def test_every_deal_knows_its_line(irregular: str, export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells of several lines, in columns that are read and in such that are not, over many blocks, by Arrow and by the csv module."""
    monkeypatch.setattr(blocks, "_FIRST_BLOCK", 3000)
    monkeypatch.setattr(blocks, "_LARGEST_BLOCK", 5000)
    deals = [
        DEAL
        | {
            "Record ID": f"id{n}",
            "Deal Description": 'one\ntwo\n\n"three"' if n % 7 == 0 else "",
            "Notes": "a\r\nb" if n % 11 == 0 else "c",
        }
        for n in range(400)
    ]
    text = replace(export, deals=deals, quoting=csv.QUOTE_MINIMAL).text()
    if irregular == "BOM":
        text = text.replace("id200,", "\ufeffid200,")
    elif irregular == "blank line":
        text = text.replace("id200,", "\n\nid200,")
    elif irregular == "inches":
        text = text.replace("id200,Fjord", 'id200,5" Fjord')
    (tmp_path / "deals.csv").write_text(text, "utf-8", newline="")
    frame, account = extract(str(tmp_path / "deals.csv"))
    starts = _starts(text.replace("\ufeff", ""))
    assert account.deals == 400
    assert dict(zip(frame["id"], frame["source_line"], strict=True)) == {
        name: line for name, line in starts.items() if name.startswith(("id", "extra"))
    }
    assert frame.loc[frame["id"] == "id7", "description"].tolist() == ['one\ntwo\n\n"three"']


def test_short_rows_are_filled_up_and_counted(export: Export, tmp_path: Path) -> None:
    shaped = replace(export, quoting=csv.QUOTE_MINIMAL, deals=[deal | {"Notes": ""} for deal in export.deals])
    (tmp_path / "deals.csv").write_text(shaped.text().replace(",\n", "\n"))
    frame, account = extract(str(tmp_path / "deals.csv"))
    assert (len(frame), account.short_rows) == (3, 3)


def test_surplus_cells_that_are_empty_do_no_harm(export: Export, tmp_path: Path) -> None:
    header, *rows = export.text().splitlines()
    (tmp_path / "deals.csv").write_text("\n".join([header, *(f"{row},,," for row in rows)]) + "\n")
    assert len(extract(str(tmp_path / "deals.csv"))[0]) == 3


def test_the_first_of_two_columns_of_one_name_counts_where_a_crm_has_its_own_in_front(tmp_path: Path) -> None:
    """A custom field may repeat a header; a dialect of one's own can name the second `Header (2)`."""
    own = tmp_path / "own.toml"
    own.write_text('extends = "pipedrive"\n[columns]\naccountId = "Deal - Status (2)"\n')
    frame, _ = extract(str(FIXTURES / "pipedrive--list.csv"), str(own))
    assert frame["status"].tolist() == ["closed_won", "open", "closed_lost"]
    assert frame["accountId"].fillna("").tolist() == ["custom A", "custom B", ""]


@pytest.mark.parametrize("name", ["deals.csv.gz", "deals.csv", "deals"])
def test_gzip_by_content(name: str, export: Export, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(gzip.compress(export.text().encode()))
    extraction = open_export(str(tmp_path / name), crm="hubspot")
    assert sum(len(frame) for frame in extraction) == 3
    assert extraction.facts.bytes == (tmp_path / name).stat().st_size


def test_zip(export: Export, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "deals.zip", "w") as archive:
        archive.writestr("exports/all deals.csv", export.each(Deal_Name=NAME).text().encode("cp1252"))
        archive.writestr("__MACOSX/._all deals.csv", b"\0\1")
        archive.writestr("._all deals.csv", b"\0\1")
    extraction = open_export(str(tmp_path / "deals.zip"), crm="hubspot")
    assert extraction.facts.member == "exports/all deals.csv"
    assert [name for frame in extraction for name in frame["name"]] == [NAME] * 3


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_damage_that_shows_only_at_the_end_of_an_archive(kind: str, export: Export, tmp_path: Path) -> None:
    """What tells the encoding reads no further than it must."""
    text = export.each(Deal_Name=NAME, Notes="x" * 2_000_000).text().encode("cp1252")
    path = tmp_path / f"deals.{kind}"
    if kind == "gz":
        path.write_bytes(gzip.compress(text)[:-8] + bytes(8))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("deals.csv", text)
        path.write_bytes(path.read_bytes().replace(b"x" * 9, b"x" * 8 + b"y", 1))
    with pytest.raises(ExportUnreadable, match=r"damaged archive .*Download it again"):
        list(open_export(str(path), crm="hubspot"))


def _book(path: Path, **sheets: list[list[str]]) -> str:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return str(path)


def test_the_sheet_that_fits_is_read_and_the_others_are_named(tmp_path: Path) -> None:
    deals, info = [list(DEAL), list(DEAL.values())], [["Exported for", "Acme"], ["by", "nobody"]]
    contacts = [["Record ID", "First Name", "Create Date", "Last Modified Date"], ["1", "a", "2024-01-01", "2024-01-01"]]
    for sheets in ({"Deals": deals, "Info": info}, {"Info": info, "Contacts": contacts, "Deals": deals, "Empty": []}):
        extraction = open_export(_book(tmp_path / "deals.xlsx", **sheets), crm="hubspot")
        assert [len(frame) for frame in extraction] == [1]
        others = tuple(name for name in sheets if name not in {"Deals", "Empty"})
        assert (extraction.facts.member, extraction.facts.unread) == ("Deals", others)
        assert extraction.facts.form == f"workbook, sheet 'Deals', not read: {', '.join(map(repr, others))}"


def test_two_sheets_of_deals_stop_and_a_workbook_without_any_names_its_sheets(tmp_path: Path) -> None:
    deals, info = [list(DEAL), list(DEAL.values())], [["Exported for", "Acme"], ["by", "nobody"]]
    with pytest.raises(ExportUnmappable, match="the sheets 'Now', 'Old' all have the columns of deals"):
        open_export(_book(tmp_path / "two.xlsx", Now=deals, Info=info, Old=deals), crm="hubspot")
    with pytest.raises(ExportUnmappable, match=r"sheet 'Info' was read, which fits best, and not 'More'"):
        open_export(_book(tmp_path / "none.xlsx", Info=info, More=info), crm="hubspot")
    with pytest.raises(ExportUnreadable, match="Nor has any of its other sheets"):
        open_export(_book(tmp_path / "title.xlsx", A=[["a"], ["c"]], B=[["b"], ["d"]]), crm="hubspot")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_parts_of_one_export_in_a_zip_are_read_as_one(mark: str, end: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "deals.zip", "w") as archive:
        for part in (1, 2, 3):
            text = Export([DEAL | {"Record ID": f"{part}{n}"} for n in range(2)]).text()
            archive.writestr(f"deals-{part}.csv", mark + text.rstrip("\n") + end)
    extraction = open_export(str(tmp_path / "deals.zip"), crm="hubspot")
    (frame,) = extraction
    assert frame["id"].tolist() == ["10", "11", "20", "21", "30", "31"]
    assert frame["source_line"].tolist() == [2, 3, 5, 6, 8, 9]
    assert extraction.counts.non_rows == {"header repeated": 2}
    assert "file 'deals-1.csv, followed by deals-2.csv, followed by deals-3.csv'" in extraction.facts.form


def test_files_of_a_zip_with_other_headers_are_no_parts(export: Export, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "deals.zip", "w") as archive:
        archive.writestr("deals.csv", export.text())
        archive.writestr("more.csv", export.without("Deal Name").text())
    with pytest.raises(ExportUnreadable, match=r"2 files \(deals.csv, more.csv\), and their first lines differ"):
        open_export(str(tmp_path / "deals.zip"), crm="hubspot")


@pytest.mark.parametrize(
    ("names", "apart", "read"),
    [
        (["all-2024-02-01-1", "all-2024-02-01-2"], 60, 2),
        (["all_part1", "all_part2", "all_part3"], 60, 3),
        (["deals-2024-02-1", "deals-2024-02-2"], 60, 1),
        (["deals-1", "deals-2"], 86_400, 1),
        (["deals (1)", "deals (2)"], 60, 1),
    ],
    ids=str,
)
def test_parts_of_one_export_that_a_glob_finds_are_read_as_one(names: list[str], apart: int, read: int, tmp_path: Path) -> None:
    """Numbered files of one hour and one header are parts; dated ones, later ones, and a browser's copies are exports of their own."""
    for place, name in enumerate(names):
        path = Path(Export([DEAL | {"Record ID": str(place)}]).write(tmp_path / f"{name}.csv"))
        os.utime(path, (1_700_000_000 + apart * place,) * 2)
    extraction = open_export(str(tmp_path / "*.csv"), crm="hubspot")
    assert [frame["id"].tolist() for frame in extraction] == [[str(n) for n in range(len(names) - read, len(names))]]
    assert extraction.facts.path.count("followed by") == read - 1


def test_a_workbook_with_title_rows_and_types(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    empty, sheet = book.worksheets[0], book.create_sheet("Deals")
    assert empty.max_row == 1
    sheet.append([])
    sheet.append(["All deals"])
    sheet.append(list(DEAL))
    sheet.append(
        [
            14316276246,
            "a\nb",
            "Contract Sent",
            "P",
            9800.5,
            datetime.fromisoformat("2026-09-01T08:00"),
            datetime.fromisoformat("2026-12-18"),
            "2026-10-30 12:00",
            False,
            False,
        ]
    )
    sheet.append([None] * 10)
    sheet.append(
        [
            14316276247,
            "c",
            "Contract Sent",
            "P",
            100,
            datetime.fromisoformat("2026-09-01T08:00"),
            None,
            datetime.fromisoformat("2026-10-30T12:00"),
            False,
            False,
        ]
    )
    book.save(tmp_path / "deals.xlsx")
    frame, account = extract(str(tmp_path / "deals.xlsx"))
    assert frame["source_line"].tolist() == [4, 6]
    assert frame["id"].tolist() == ["14316276246", "14316276247"]
    assert frame["value"].tolist() == ["9800.5", "100"]
    assert frame["creationDatetime"].tolist() == ["2026-09-01T08:00:00"] * 2
    assert dict(account.non_rows) == {"blank row": 1}


def test_the_newest_file_of_a_glob(export: Export, tmp_path: Path) -> None:
    for age, name in ((10, "deals-1.csv"), (0, "deals-2.csv"), (20, "deals-3.csv")):
        location = export.each(Deal_Name=name).write(tmp_path / name)
        os.utime(location, (1_700_000_000 - age, 1_700_000_000 - age))
    extraction = open_export(str(tmp_path / "deals-*.csv"), crm="hubspot")
    assert extraction.facts.path == str(tmp_path / "deals-2.csv")
    assert extraction.facts.modified == datetime.fromtimestamp(1_700_000_000, UTC)


def test_a_name_with_brackets_is_a_name_first(export: Export, tmp_path: Path) -> None:
    assert len(extract(export.write(tmp_path / "deals [1].csv"))[0]) == 3


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A real web server over the test's folder."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_over_http(web: str, export: Export, tmp_path: Path) -> None:
    export.write(tmp_path / "deals.csv")
    extraction = open_export(f"{web}/deals.csv?token=x", crm="hubspot")
    assert sum(len(frame) for frame in extraction) == 3
    with pytest.raises(ExportNotFound, match=r"nothing\.csv"):
        open_export(f"{web}/nothing.csv", crm="hubspot")


def test_a_server_that_is_down() -> None:
    with pytest.raises(ExportUnreadable, match="cannot be fetched"):
        open_export("http://127.0.0.1:9/deals.csv", crm="hubspot")


def test_any_filesystem_and_its_newest_file(export: Export) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a", "b"):
        memory.pipe(f"/exports/deals-{name}.csv", export.each(Deal_Name=name).text().encode())
    extraction = open_export("memory://exports/deals-*.csv", crm="hubspot")
    assert [name for frame in extraction for name in frame["name"]] == ["b"] * 3
    assert extraction.facts.path.endswith("exports/deals-b.csv")
    with pytest.raises(ExportNotFound):
        open_export("memory://exports/none-*.csv", crm="hubspot")


def test_a_kind_of_place_that_is_not_known() -> None:
    with pytest.raises(UsageError, match="gopher"):
        open_export("gopher://there/deals.csv", crm="hubspot")


def test_the_facts_of_the_file(export: Export, tmp_path: Path) -> None:
    location = export.write(tmp_path / "deals.csv")
    facts = open_export(location, crm="hubspot").facts
    assert (facts.path, facts.bytes, facts.dialect, facts.separator) == (location, len(export.text()), "hubspot", ",")
    assert facts.sha256 == hashlib.sha256(export.text().encode()).hexdigest()


@pytest.mark.parametrize(
    "word", ["n.a.", "N.A.", "k.A.", "(not set)", "(Kein Wert)", "(値なし)", "Not available", "NIL", "TBD", "unknown", "?"]
)
def test_a_word_for_nothing_is_an_empty_number_date_or_flag(word: str, export: Export, tmp_path: Path) -> None:
    columns = {"Close Date": word, "Is Closed Won": word, "Number of Employees": word}
    frame, counts = extract(export.with_deal(1, columns).write(tmp_path / "deals.csv"))
    assert frame.loc[1, ["expectedClosureDatetime", "companyNumberOfEmployees"]].isna().all()
    assert frame["expectedClosureDatetime"].notna().tolist() == [True, False, True]
    assert not counts.unread


@pytest.mark.parametrize(("word", "stage"), [("(not set)", None), ("TBD", "TBD"), ("unknown", "unknown")])
def test_a_word_that_may_be_a_stage_s_name_is_one(word: str, stage: str | None, export: Export, tmp_path: Path) -> None:
    frame, _ = extract(export.with_deal(1, {"Deal Stage": word}).write(tmp_path / "deals.csv"))
    assert frame["stage"].astype(object).where(frame["stage"].notna(), None).tolist() == ["Contract Sent", stage, "Contract Sent"]

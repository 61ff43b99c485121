"""An encoding is proven, said, or a guess that makes words of every byte and is said as a guess; else it stops."""

# ruff: noqa: RUF001 -- names in many scripts
from __future__ import annotations

import csv
import io
from pathlib import Path

import openpyxl
import pytest

from flows.crm import open_export
from flows.errors import ExportUnreadable
from tests.flows.crm.conftest import Export, extract


def _write(path: Path, names: list[str], encoding: str) -> str:
    export = Export()
    for place, name in enumerate(names):
        export = export.with_deal(place, {"Deal Name": name})
    return export.write(path, encoding)


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        (["Café Süd", "Peña y Núñez", "Crédit Général"], "mac-roman"),
        (["Zürich"], "mac-roman"),
        (["José"], "mac-roman"),
        (["España"], "mac-roman"),
        (["Österreich", "Köln"], "cp850"),
        (["Café"], "cp850"),
        (["Málaga", "Señor"], "cp437"),
        (["İş Bankas\u0131", "Şirket AŞ"], "cp1254"),
        (["Doğuş"], "cp1254"),
        (["Łódź", "Kraków"], "cp1250"),
        (["Michał i Paweł"], "cp1250"),
        (["Škoda Plzeň"], "cp1250"),
        (["Naţional"], "cp1250"),
        (["Győr Kft"], "cp1250"),
        (["Debreceni Hűtő", "ÉPÍTŐ"], "cp1250"),
        (["Čakovec"], "cp1250"),
        (["Gdańsk"], "cp1250"),
        (["Ivanković"], "cp1250"),
        (["Němec Důl"], "cp1250"),
        (["Łódź"], "iso8859-2"),
        (["Árvíztűrő"], "iso8859-2"),
        (["10 €"], "iso8859-15"),
        (["ΕΤΑΙΡΕΙΑ ΠΑΡΑΔΕΙΓΜΑ"], "cp1253"),
        (["שירותי ייעוץ"], "cp1255"),
        (["אספקת ציוד למפעל", "מערכת ניהול לקוחות"], "cp1255"),
        (["日本電気株式会社", "東京営業所"], "euc-jp"),
        (["주식회사 예제"], "euc-kr"),
    ],
)
def test_a_guess_that_makes_no_words_stops_with_encoding_as_the_remedy(names: list[str], encoding: str, tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", names, encoding)
    with pytest.raises(ExportUnreadable, match=r"line 2: the encoding cannot be settled.*--encoding") as caught:
        extract(location)
    assert not any(name in str(caught.value) for name in names)
    assert extract(location, encoding=encoding)[0]["name"].tolist()[: len(names)] == names


@pytest.mark.parametrize(
    ("names", "encoding"),
    [
        *(
            (["Сделка с заводом", "Поставка оборудования", "АвтоВАЗ"], encoding)
            for encoding in ("cp1251", "koi8-r", "iso8859-5", "mac-cyrillic")
        ),
        (["сделка с заводом", "поставка оборудования"], "koi8-r"),
        (["СДЕЛКА С ЗАВОДОМ", "ПОСТАВКА"], "cp1251"),
        (["СДЕЛКА С ЗАВОДОМ", "ПОСТАВКА ОБОРУДОВАНИЯ"], "cp866"),
        (["Угода із заводом", "Постачання обладнання"], "cp1251"),
        (["Εταιρεία Παράδειγμα ΑΕ", "Προμήθεια εξοπλισμού", "Υπηρεσίες"], "cp1253"),
        (["Κατασκευή Ιστοσελίδας", "Ανανέωση συμβολαίου", "Άλφα ΑΕ"], "iso8859-7"),
        (["شركة المثال", "توريد معدات"], "cp1256"),
        (["شركة المثال", "توريد معدات"], "iso8859-6"),
        (["บริษัท ตัวอย่าง", "จำหน่าย"], "cp874"),
        (["有限公司设备供应合同", "北京市朝阳区"], "gb18030"),
        (["有限公司設備供應", "臺北市中山區"], "big5"),
        (["주식회사 예제", "장비 공급 계약 갱신", "서울특별시 강남구"], "euc-kr"),
        (["株式会社サンプル商事", "東京営業所の案件"], "euc-jp"),
        (["株式会社サンプル商事", "東京営業所の案件"], "cp932"),
        (["株式会社サンプル商事", "東京営業所の案件"], "iso2022_jp"),
    ],
)
def test_another_script_is_read_where_its_bytes_are_its_words(names: list[str], encoding: str, tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", names, encoding)
    assert extract(location)[0]["name"].tolist()[: len(names)] == names


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Café Süd",
            "Crédit Général",
            "Ångström & Søn",
            "ÉLAN ÜBER",
            "SÃO JOÃO",
            "l\u2019Oréal",
            "Barça \u2013 Real",
            "Nº 5",
            "500 m² à 3 €",
            "«Été»",
        ),
        *("Camões", "Ações", "Träd Året", "Træ", "Smørrebrød", "CAÑERÍAS", "Ñuñoa", "È più", "perché", "août", "València", "Noël"),
        *("cœur", "Þórður Æ", "Straße", "Müller™", "10 °C", "d'Été", "Peñíscola", "½ Tür", "Cañón", "naïve Föö", "Bøckmann A/S"),
    ],
)
def test_western_text_is_read_and_said_as_a_guess(name: str, tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", [name], "cp1252")
    facts = open_export(location, crm="hubspot").facts
    assert facts.encoding == "cp1252"
    assert facts.guess
    assert "a guess, by the letters" in facts.form
    assert name not in facts.form
    assert extract(location)[0]["name"].tolist()[0] == name


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("good", ["caffè", "Crédit", "Łódź", "Öl"])
def test_one_bad_byte_in_a_utf8_file_is_named_by_its_line(place: int, good: str, tmp_path: Path) -> None:
    names = [good.encode()] * 3
    names[place] = b"caf\xe9"
    text = Export().each(Deal_Name="NAME").text().encode()
    for name in names:
        text = text.replace(b"NAME", name, 1)
    (tmp_path / "deals.csv").write_bytes(text)
    with pytest.raises(ExportUnreadable, match=rf"line {place + 2}: not valid UTF-8, although other lines are.*--encoding"):
        extract(str(tmp_path / "deals.csv"))
    assert len(extract(str(tmp_path / "deals.csv"), encoding="latin-1")[0]) == 3


@pytest.mark.parametrize("good", ["Поставка оборудования для завода", "株式会社東京商事の取引"])
def test_one_bad_byte_among_another_script_s_utf8(good: str, tmp_path: Path) -> None:
    text = Export().each(Deal_Name=good).text().encode().replace(good.encode(), b"caf\xe9", 1)
    (tmp_path / "deals.csv").write_bytes(text)
    with pytest.raises(ExportUnreadable, match="line 2: not valid UTF-8"):
        extract(str(tmp_path / "deals.csv"))


@pytest.mark.parametrize(("written", "said"), [("utf-8-sig", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16")])
def test_an_encoding_that_is_said_may_have_a_bom(written: str, said: str, tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", ["Łódź"], written)
    assert extract(location, encoding=said)[0]["name"].tolist()[0] == "Łódź"


@pytest.mark.parametrize("between", ["cp1252", "latin-1", "mac-roman", "cp1251"])
@pytest.mark.parametrize("names", [["José Núñez", "Müller", "Crédit"], ["Straße"], ["cœur"], ["Łódź", "Kraków"]])
def test_text_that_was_encoded_twice_stops(names: list[str], between: str, tmp_path: Path) -> None:
    """As by a program that took UTF-8 for its own encoding."""
    export = Export()
    for place, name in enumerate(names):
        export = export.with_deal(place, {"Deal Name": name})
    twice = export.text().encode().decode(between, "replace").encode()
    (tmp_path / "deals.csv").write_bytes(twice)
    with pytest.raises(
        ExportUnreadable, match=r"line [23]: the text was encoded as UTF-8 twice \(read as .* in between\).*--encoding utf-8"
    ):
        extract(str(tmp_path / "deals.csv"))
    assert len(extract(str(tmp_path / "deals.csv"), encoding="utf-8")[0]) == 3


def _as_workbook(export: Export, path: Path) -> None:
    book = openpyxl.Workbook()
    for row in csv.reader(io.StringIO(export.text())):
        book.worksheets[0].append(row)
    book.save(path)


def test_a_workbook_s_text_that_was_encoded_twice_stops(tmp_path: Path) -> None:
    """A program that read UTF-8 as its own encoding wrote its cells."""
    export = Export().each(Deal_Name="Jos\u00c3\u00a9 N\u00c3\u00ba\u00c3\u00b1ez")
    _as_workbook(export, tmp_path / "deals.xlsx")
    with pytest.raises(ExportUnreadable, match=r"sheet 'Sheet'\), line 2: the text was encoded as UTF-8 twice"):
        extract(str(tmp_path / "deals.xlsx"))
    assert len(extract(str(tmp_path / "deals.xlsx"), encoding="utf-8")[0]) == 3
    _as_workbook(Export().each(Deal_Name="José Núñez"), tmp_path / "deals.xlsx")
    assert extract(str(tmp_path / "deals.xlsx"))[0]["name"].tolist()[0] == "José Núñez"


@pytest.mark.parametrize("name", ["GÅ\u201d", "SÃO", "România", "Ángel «Ñ»", "Ã©t", "Россия", "Рај", "日本", "10 \u20ac", "Ä\u2026"])
def test_words_that_merely_look_as_if_encoded_twice_are_read(name: str, tmp_path: Path) -> None:
    """One of several at most: a CRM may hold it so."""
    export = Export().with_deal(0, {"Deal Name": name}).with_deal(1, {"Deal Name": "Öl für Übach"})
    assert extract(export.write(tmp_path / "deals.csv"))[0]["name"].tolist()[0] == name


def test_what_the_user_says_is_no_guess(tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", ["Škoda"], "cp1250")
    facts = open_export(location, crm="hubspot", encoding="cp1250").facts
    assert (facts.encoding, facts.guess) == ("cp1250", None)

"""An encoding is proven, said, or a guess that makes words of every byte and is said as a guess; else it stops."""

from __future__ import annotations

from pathlib import Path

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
        (["Сделка с заводом", "Поставка оборудования"], "iso8859-5"),  # noqa: RUF001 -- Russian
        (["Сделка с заводом", "Поставка оборудования"], "mac-cyrillic"),  # noqa: RUF001
        (["Сделка с заводом", "Поставка оборудования"], "koi8-r"),  # noqa: RUF001
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
        (["Сделка с заводом СтройИнвест", "Поставка оборудования", "АвтоВАЗ"], "cp1251"),  # noqa: RUF001 -- Russian
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


@pytest.mark.parametrize(("written", "said"), [("utf-8-sig", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-8", "UTF8")])
def test_an_encoding_that_is_said_may_have_a_bom(written: str, said: str, tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", ["Łódź"], written)
    assert extract(location, encoding=said.lower().replace("utf8", "utf-8"))[0]["name"].tolist()[0] == "Łódź"


def test_what_the_user_says_is_no_guess(tmp_path: Path) -> None:
    location = _write(tmp_path / "deals.csv", ["Škoda"], "cp1250")
    facts = open_export(location, crm="hubspot", encoding="cp1250").facts
    assert (facts.encoding, facts.guess) == ("cp1250", None)

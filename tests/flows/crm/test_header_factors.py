"""A header that says thousands or cents: the amounts are multiplied as the user says, or nothing is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.crm import fit, known_dialects, load_dialect, open_export
from flows.crm.guide.remembered import reading_of
from flows.crm.guide.skeleton import skeleton
from flows.crm.inference.header_factors import currency_in, factor_in
from flows.errors import ExportUnmappable, UsageError
from flows.options import SyncOptions
from tests.flows.crm.conftest import Export, extract

SAID = {
    "1000": (
        "TEUR", "T\u20ac", "Amount (k EUR)", "Umsatz in Tsd.", "Montant (k\u20ac)", "Importe (miles)", "Amount in thousands",
        "Valor (R$ mil)",
        "\u00a3000", "Amount (000s)", "in 1.000 EUR", "amount_keur", "EURk", "Betrag (TEUR)", "\u0442\u044b\u0441. \u0440\u0443\u0431.",
        "\u91d1\u984d\uff08\u5343\u5186\uff09", "Belopp (tkr)", "Deal size (K)", "Wartość (tys. zł)", "TCHF",
    ),
    "1000000": ("Revenue ($M)", "Mio. EUR", "MSEK", "Omzet (mln)", "Deal size (M)", "\u91d1\u989d(\u767e\u4e07\u5143)", "\u20acm"),
    "1000000000": ("bn USD", "Mrd. EUR", "Importe (mil millones)"),
    "100000": ("Amount (Lakh)",),
    "10000000": ("Value in crores", "INR Cr"),
    "10000": ("\u91d1\u989d(\u4e07\u5143)",),
    "0.01": ("Betrag in Cent", "amount_cents", "amount_minor", "amountInCents", "price_in_pence"),
}  # fmt: skip
UNSAID = (
    "Amount", "Amount (EUR)", "Amount (TRY)", "Amount (MMK)", "MXN", "KRW", "MRR", "TTM revenue (EUR)", "Umsatz", "Monto",
    "Amount 2024", "Amount (THB)",
    "Kosten", "Milestone", "Win per cent", "Percent", "Amount in KES", "Market value", "\u91d1\u984d\uff08\u5186\uff09", "Accent",
)  # fmt: skip


@pytest.mark.parametrize(("factor", "header"), [(factor, header) for factor, headers in SAID.items() for header in headers])
def test_a_header_says_its_factor(factor: str, header: str) -> None:
    assert factor_in(header) == factor


def test_other_headers_say_none_and_no_shipped_one_does() -> None:
    shipped = [header for dialect in known_dialects() for header in dialect.headers()]
    assert {header: factor_in(header) for header in (*UNSAID, *shipped) if factor_in(header)} == {}
    assert [header for header in shipped if currency_in(header)] == []


@pytest.mark.parametrize(
    ("header", "currency"),
    [("Amount (EUR)", "EUR"), ("Betrag in CHF", "CHF"), ("Wert \u20ac", "EUR"), ("Amount [USD]", "USD"), ("Revenue (US$)", "USD"),
     ("Valor (R$)", "BRL"),
     ("Amount", None), ("ALL amounts", None), ("TOP value", None), ("Value in Europe", None), ("Amount (EUROPE)", None)],
)  # fmt: skip
def test_a_header_names_a_currency(header: str, currency: str | None) -> None:
    assert currency_in(header) == currency


@pytest.mark.parametrize(("header", "own", "cells"), [
    ("Amount (EUR)", "USD", "5"), ("Amount (EUR)", "", "$5"), ("Amount \u20ac", "CHF", "5"), ("Amount (USD)", "GBP", "5"),
])  # fmt: skip
def test_amounts_whose_header_names_another_currency_than_their_rows_stop(
    header: str, own: str, cells: str, export: Export, tmp_path: Path
) -> None:
    location = export.each(Currency=own, Amount=cells).renamed(Amount=header).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=r"column 'Amount .*': the header names .*, and its rows name") as stopped:
        extract(location, _own(tmp_path, f'"{header}"'))
    assert f'[currency] converted = "{header}"' in str(stopped.value)


def test_a_currency_in_the_header_is_that_of_its_amounts(export: Export, tmp_path: Path) -> None:
    location = export.renamed(Amount="Amount (EUR)").write(tmp_path / "deals.csv")
    for own, cells in (("", "5"), ("EUR", "5"), ("", "\u20ac5")):
        location = export.each(Currency=own, Amount=cells).renamed(Amount="Amount (EUR)").write(tmp_path / "deals.csv")
        with open_export(location, crm=_own(tmp_path, '"Amount (EUR)"')) as extraction:
            assert [len(frame) for frame in extraction] == [3]
            assert extraction.currency == "EUR"
    converted = tmp_path / "converted.toml"
    converted.write_text('extends = "hubspot"\n[columns]\nvalue = "Amount (EUR)"\n[currency]\nconverted = "Amount (EUR)"\n')
    mixed = export.each(Currency="USD").with_deal(1, {"Currency": "GBP"}).renamed(Amount="Amount (EUR)").write(tmp_path / "mixed.csv")
    assert len(extract(mixed, str(converted))[0]) == 3


def _own(folder: Path, value: str) -> str:
    (folder / "own.toml").write_text(f'extends = "hubspot"\n[columns]\nvalue = {value}\n', "utf-8")
    return str(folder / "own.toml")


@pytest.mark.parametrize("value", ['"TEUR"', '["TEUR", { default = 0 }]', '{ from = "TEUR", while = "open" }', '{ number_in = "TEUR" }'])
def test_amounts_in_thousands_are_not_sent_as_they_stand(value: str, export: Export, tmp_path: Path) -> None:
    location = export.renamed(Amount="TEUR").write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="line 1, column 'TEUR': the header says that one in it is 1000") as stopped:
        extract(location, _own(tmp_path, value))
    assert 'value = { from = "TEUR", times = 1000 }' in str(stopped.value)


def test_a_field_of_one_s_own_and_a_converted_amount_are_looked_at_too(export: Export, tmp_path: Path) -> None:
    location = export.each(Amount_in_company_currency="5").renamed(Amount_in_company_currency="In T\u20ac").write(tmp_path / "deals.csv")
    own = tmp_path / "own.toml"
    for said in ('[fields]\namount = ["In T\u20ac"]', '[currency]\nconverted = "In T\u20ac"', '[columns]\ncompanyRevenue = "In T\u20ac"'):
        own.write_text(f'extends = "hubspot"\n{said}\n', "utf-8")
        with pytest.raises(ExportUnmappable, match="says that one in it is 1000"):
            extract(location, str(own))


def test_the_user_says_by_what_they_are_taken(export: Export, tmp_path: Path) -> None:
    renamed = export.with_deal(0, {"Amount": "9,85"}).with_deal(1, {"Amount": "1.234,5"}).with_deal(2, {"Amount": "n\u00f6"})
    location = renamed.renamed(Amount="TEUR").write(tmp_path / "deals.csv")
    frame, counts = extract(location, _own(tmp_path, '{ from = "TEUR", times = 1000 }'))
    assert frame["value"].tolist() == ["9850", "1234500", "n\u00f6"]
    assert (counts.filled["value"], counts.unread["value"]) == ({"derived:1000 times TEUR": 3}, 1)
    frame, _ = extract(location, _own(tmp_path, '{ from = "TEUR", times = 1 }'))
    assert frame["value"].tolist()[:2] == ["9.85", "1234.5"]
    cents = export.renamed(Amount="amount_cents").write(tmp_path / "cents.csv")
    for value in ('{ from = "amount_cents", times = 0.01 }', '{ hundredth_of = "amount_cents" }'):
        assert extract(cents, _own(tmp_path, value))[0]["value"].tolist() == ["98"] * 3
    people = export.each(Headcount="1.5").renamed(Headcount="Employees (thousands)").write(tmp_path / "people.csv")
    own = tmp_path / "people.toml"
    own.write_text('extends = "hubspot"\n[columns]\ncompanyNumberOfEmployees = { from = "Employees (thousands)", times = 1000 }\n')
    assert extract(people, str(own))[0]["companyNumberOfEmployees"].tolist() == ["1500"] * 3


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('value = { times = 1000 }', "must have one key"),
        ('value = { from = "amount", times = "1000" }', "a number above 0"),
        ('value = { from = "amount", times = 0 }', "a number above 0"),
        ('value = { join = ["amount"], times = 10 }', "stands beside `from`"),
        ('value = { from = "@companyRevenue", times = 10 }', "no header or field"),
        ('name = { from = "name", times = 10 }', "holds no numbers"),
    ],
)  # fmt: skip
def test_a_factor_stands_beside_a_header_of_numbers(said: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(f'extends = "hubspot"\n[columns]\n{said}\n')
    with pytest.raises(UsageError, match=why):
        load_dialect(str(tmp_path / "own.toml"))


def test_the_factor_is_part_of_the_remembered_reading_and_the_skeleton_proposes_it(export: Export, tmp_path: Path) -> None:
    def reading(times: int) -> object:
        own = _own(tmp_path, f'{{ from = "TEUR", times = {times} }}')
        return reading_of(SyncOptions(export="deals.csv", crm=own, collection="acme"), "UTC")["dialect content"]

    assert reading(1000) != reading(1)
    found = fit(export.renamed(Amount="TEUR").write(tmp_path / "deals.csv"))
    assert '"TEUR" as { from = "TEUR", times = 1000 }' in skeleton(found)

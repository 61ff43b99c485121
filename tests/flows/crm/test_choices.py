"""Pipelines, currencies and limits: chosen by the user, never by us; and every row is somewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from expectations.deals_schema import COLUMN_NAMES
from flows.crm import ALL_PIPELINES, open_export
from flows.errors import ExportUnmappable, UsageError
from tests.flows.crm.conftest import DEAL, FIXTURES, Export, extract


@pytest.fixture
def two_pipelines(export: Export) -> Export:
    names = ["New business", "Renewals", "New business", "", "Renewals", "New business"]
    return replace(export, deals=[DEAL | {"Record ID": str(n), "Pipeline": name} for n, name in enumerate(names)])


def test_one_pipeline_of_several(two_pipelines: Export, tmp_path: Path) -> None:
    frame, counts = extract(two_pipelines.write(tmp_path / "deals.csv"), pipeline="Renewals")
    assert frame["id"].tolist() == ["1", "4"]
    assert frame["source_line"].tolist() == [3, 6]
    assert dict(counts.non_rows) == {"pipeline New business": 3, "no pipeline": 1}


def test_all_pipelines_in_one_reading(two_pipelines: Export, tmp_path: Path) -> None:
    extraction = open_export(two_pipelines.write(tmp_path / "deals.csv"), crm="hubspot", pipeline=ALL_PIPELINES)
    found: dict[str, list[str]] = {}
    for pipeline, table in extraction.tables():
        found.setdefault(pipeline, []).extend(table["id"].to_pylist())
    assert found == {"New business": ["0", "2", "5"], "Renewals": ["1", "4"]}
    assert (extraction.counts.rows, extraction.counts.deals, dict(extraction.counts.non_rows)) == (6, 5, {"no pipeline": 1})
    assert extraction.pipelines == {"New business": 3, "Renewals": 2}


def test_a_pipeline_of_blanks_is_none(export: Export, tmp_path: Path) -> None:
    location = export.with_deal(1, {"Pipeline": "  "}).write(tmp_path / "deals.csv")
    assert len(extract(location)[0]) == 3
    extraction = open_export(location, crm="hubspot", pipeline=ALL_PIPELINES)
    assert extraction.pipelines == {"Sales Pipeline": 2}
    assert [pipeline for pipeline, _ in extraction.tables()] == ["Sales Pipeline"]


def test_rows_without_pipeline_go_along_where_there_is_but_one(export: Export, tmp_path: Path) -> None:
    assert len(extract(export.with_deal(1, {"Pipeline": ""}).write(tmp_path / "deals.csv"))[0]) == 3


def test_pipelines_in_different_currencies_are_read_apart(two_pipelines: Export, tmp_path: Path) -> None:
    deals = [deal | {"Currency": "EUR" if deal["Pipeline"] == "Renewals" else "USD"} for deal in two_pipelines.deals]
    location = replace(two_pipelines, deals=deals).write(tmp_path / "deals.csv")
    pairs = open_export(location, crm="hubspot", pipeline=ALL_PIPELINES).tables()
    assert {pipeline for pipeline, _ in pairs} == {"New business", "Renewals"}


def test_a_chosen_currency_leaves_the_others_out(export: Export, tmp_path: Path) -> None:
    location = export.each(Currency="EUR").with_deal(1, {"Currency": "USD"}).write(tmp_path / "deals.csv")
    frame, counts = extract(location, currency="EUR")
    assert frame["id"].tolist() == ["14316276246", "14316276248"]
    assert dict(counts.non_rows) == {"amount not in EUR": 1}


@pytest.mark.parametrize(("named", "known"), [("EUR", "EUR"), ("A note of someone", None), ("", None)])
def test_the_one_currency_is_known_where_the_export_says_it(export: Export, tmp_path: Path, named: str, known: str | None) -> None:
    """By it a forecast is labelled; a cell that names no currency is shown to nobody."""
    with open_export(export.each(Currency=named).write(tmp_path / "deals.csv"), crm="hubspot") as extraction:
        assert list(extraction)
        assert extraction.currency == known


@pytest.mark.parametrize(("names", "one"), [(("EUR", "eur", "€"), "EUR"), (("Euro", "EUR", "N/A"), "EUR"), (("US$", "usd", "USD "), "USD")])
def test_a_currency_has_one_name_however_it_is_written(names: tuple[str, str, str], one: str, export: Export, tmp_path: Path) -> None:
    deals = [deal | {"Currency": name} for deal, name in zip(export.deals, names, strict=True)]
    location = replace(export, deals=deals).write(tmp_path / "deals.csv")
    with open_export(location, crm="hubspot") as extraction:
        assert [len(frame) for frame in extraction] == [3]
        assert extraction.currency == one
    assert len(extract(location, currency=one.lower())[0]) == 3


def test_signs_beside_the_amounts_are_currencies_too(export: Export, tmp_path: Path) -> None:
    assert len(extract(export.each(Amount="5 EUR").with_deal(1, {"Amount": "€5"}).write(tmp_path / "one.csv"))[0]) == 3
    with pytest.raises(ExportUnmappable, match=r"several currencies.*\n.*EUR: 2 rows"):
        extract(export.each(Amount="5 EUR").with_deal(1, {"Amount": "$5"}).write(tmp_path / "two.csv"))
    unnamed = export.each(Currency="EUR").with_deal(1, {"Currency": "", "Amount": "$5"})
    with pytest.raises(ExportUnmappable, match=r"several currencies"):
        extract(unnamed.write(tmp_path / "beside.csv"))


@pytest.mark.parametrize(("currency", "amount"), [("EUR", "$5"), ("CHF", "€5"), ("USD", "5 EUR"), ("NOK", "£5")])
def test_a_sign_of_another_currency_than_the_row_names_stops(currency: str, amount: str, export: Export, tmp_path: Path) -> None:
    location = export.each(Currency=currency).with_deal(1, {"Amount": amount}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match=rf"line 3: the amount has the sign .*, and its row names '{currency}'") as caught:
        extract(location)
    assert amount not in str(caught.value)


@pytest.mark.parametrize(("currency", "amount"), [("EUR", "€5"), ("USD", "$5"), ("AUD", "$5"), ("SEK", "5 kr"), ("JPY", "¥5")])
def test_a_sign_that_several_currencies_have_is_that_of_the_row_s(currency: str, amount: str, export: Export, tmp_path: Path) -> None:
    location = export.each(Currency=currency).with_deal(1, {"Amount": amount}).write(tmp_path / "deals.csv")
    assert extract(location)[0]["value"].tolist() == ["9800", "5", "9800"]


def test_an_amount_without_a_currency_is_in_the_only_one_or_in_none(export: Export, tmp_path: Path) -> None:
    unnamed = export.each(Currency="EUR").with_deal(2, {"Currency": ""})
    assert len(extract(unnamed.write(tmp_path / "one.csv"), currency="EUR")[0]) == 3
    frame, counts = extract(unnamed.with_deal(1, {"Currency": "USD"}).write(tmp_path / "two.csv"), currency="EUR")
    assert frame["id"].tolist() == ["14316276246"]
    assert dict(counts.non_rows) == {"amount not in EUR": 2}
    without_amount = unnamed.with_deal(1, {"Currency": "USD"}).with_deal(2, {"Currency": "", "Amount": ""})
    assert len(extract(without_amount.write(tmp_path / "none.csv"), currency="EUR")[0]) == 2


def test_a_currency_cannot_be_chosen_where_none_is_named(export: Export, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"No amount in .* says its currency"):
        extract(export.write(tmp_path / "deals.csv"), currency="EUR")
    (tmp_path / "canonical.csv").write_text(",".join(COLUMN_NAMES) + "\n")
    with pytest.raises(UsageError, match="read as canonical, names no currencies"):
        extract(str(tmp_path / "canonical.csv"), "canonical", currency="EUR")


def test_the_converted_amount_makes_several_currencies_one(export: Export, tmp_path: Path) -> None:
    """And where a row lacks it, its own amount, in who knows what, does not stand in."""
    mixed = export.each(Currency="EUR", Amount_in_company_currency="100").with_deal(
        1, {"Currency": "USD", "Amount in company currency": ""}
    )
    frame, _ = extract(mixed.write(tmp_path / "deals.csv"))
    assert frame["value"].fillna("").tolist() == ["100", "", "100"]
    alike = export.each(Currency="EUR", Amount_in_company_currency="100").with_deal(1, {"Amount in company currency": ""})
    frame, counts = extract(alike.write(tmp_path / "deals.csv"))
    assert frame["value"].tolist() == ["100", "9800", "100"]
    assert counts.filled["value"] == {"direct": 2, "fallback:Amount": 1}


def test_a_currency_without_amount_does_not_count(export: Export, tmp_path: Path) -> None:
    location = export.each(Currency="EUR").with_deal(1, {"Currency": "USD", "Amount": ""}).write(tmp_path / "deals.csv")
    assert len(extract(location)[0]) == 3


def test_pence_and_pounds_do_not_add_up(export: Export, tmp_path: Path) -> None:
    location = export.each(Currency="GBP").with_deal(1, {"Currency": "GBp"}).write(tmp_path / "deals.csv")
    with pytest.raises(ExportUnmappable, match="several currencies"):
        extract(location)


def test_periods_do_not_add_up_either(tmp_path: Path) -> None:
    text = (FIXTURES / "close--opportunities.csv").read_text().replace('"one_time","$0"', '"monthly","$10 monthly"')
    (tmp_path / "deals.csv").write_text(text)
    with pytest.raises(ExportUnmappable, match="USD one_time: 2 rows"):
        extract(str(tmp_path / "deals.csv"), "close")
    frame, counts = extract(str(tmp_path / "deals.csv"), "close", currency="USD monthly")
    assert (frame["value"].tolist(), dict(counts.non_rows)) == (["10"], {"amount not in USD monthly": 2})


def test_a_limit_counts_what_lies_beyond(two_pipelines: Export, tmp_path: Path) -> None:
    frame, counts = extract(two_pipelines.write(tmp_path / "deals.csv"), pipeline="New business", limit=2)
    assert frame["id"].tolist() == ["0", "2"]
    assert dict(counts.non_rows) == {"pipeline Renewals": 2, "no pipeline": 1, "beyond the limit of 2": 1}


def test_a_limit_is_each_pipeline_s_own(two_pipelines: Export, tmp_path: Path) -> None:
    """Else the first would leave nothing of a trial to the others."""
    extraction = open_export(two_pipelines.write(tmp_path / "deals.csv"), crm="hubspot", pipeline=ALL_PIPELINES, limit=1)
    assert [(pipeline, table["id"].to_pylist()) for pipeline, table in extraction.tables()] == [
        ("New business", ["0"]),
        ("Renewals", ["1"]),
    ]


def test_an_order_of_day_and_month_proven_by_another_column_holds_for_all(tmp_path: Path) -> None:
    """One export is written in one locale: what one of its columns proves, the others follow."""
    (tmp_path / "deals.csv").write_text(
        "Id,Name,StageName,Amount,CloseDate,IsClosed,IsWon,CreatedDate,LastModifiedDate\n"
        "1,a,Open,1,02/03/24,FALSE,FALSE,02/23/26,02/23/26 08:55 PM\n"
    )
    frame, _ = extract(str(tmp_path / "deals.csv"), "salesforce")
    assert list(frame.loc[0, ["expectedClosureDatetime", "lastUpdateDatetime"]]) == ["2024-02-03T00:00:00", "2026-02-23T20:55:00"]


@pytest.mark.parametrize(("order", "read"), [("day-first", "2024-03-02T00:00:00"), ("month-first", "2024-02-03T00:00:00")])
def test_an_order_that_the_user_says(order: str, read: str, export: Export, tmp_path: Path) -> None:
    location = export.each(Create_Date="02/03/24").write(tmp_path / "deals.csv")
    assert extract(location, date_order=order)[0]["creationDatetime"].tolist() == [read] * 3


def test_evidence_beats_what_a_dialect_takes_for_granted(tmp_path: Path) -> None:
    """Copper writes the month first; an export that proves the contrary is read as it proves."""
    text = (FIXTURES / "copper--opportunities.csv").read_text()
    for month_first in ("02/28/2025", "11/20/2024", "02/14/2025"):
        month, day, year = month_first.split("/")
        text = text.replace(month_first, f"{day}/{month}/{year}")
    (tmp_path / "deals.csv").write_text(text)
    frame, _ = extract(str(tmp_path / "deals.csv"), "copper")
    assert frame["expectedClosureDatetime"].tolist() == [
        "2025-02-28T00:00:00",
        "2026-05-12T00:00:00",
        "2025-01-07T00:00:00",
        "2025-01-07T00:00:00",
    ]


def test_the_account_says_what_filled_what() -> None:
    _, counts = extract(str(FIXTURES / "hubspot--ui.csv"))
    assert counts.filled["status"] == {"derived:Is Closed Won": 2, "derived:Is closed lost": 1, "derived:Is Deal Closed?": 2}
    assert counts.filled["lastInteractionDatetime"] == {"direct": 2, "fallback:Last Activity Date": 1}
    assert counts.filled["currentStageStartDatetime"] == {"fallback:closedDatetime": 3, "fallback:creationDatetime": 2}
    assert counts.filled["contactEmailDomainType"] == {"derived:mail domain of Associated Contact": 2}
    assert "companyIsCustomer" in counts.empty
    assert "lastSyncedAt" in counts.empty
    assert not set(counts.empty) & set(counts.filled)


def test_a_deal_of_another_currency_without_an_amount_is_not_taken_in(export: Export, tmp_path: Path) -> None:
    location = export.each(Currency="EUR").with_deal(1, {"Currency": "USD", "Amount": ""}).with_deal(2, {"Currency": "USD"})
    frame, counts = extract(location.write(tmp_path / "deals.csv"), currency="EUR")
    assert (frame["id"].tolist(), dict(counts.non_rows)) == (["14316276246"], {"amount not in EUR": 2})
    own = extract(location.with_deal(0, {"Amount": ""}).write(tmp_path / "own.csv"), currency="USD")[0]
    assert own["id"].tolist() == ["14316276247", "14316276248"]


@pytest.mark.parametrize("field", ["Annual contract value", ["Annual contract value", "amount"]])
def test_a_value_of_one_s_own_is_not_overruled_by_a_conversion_of_the_base(field: object, export: Export, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(f'extends = "hubspot"\n[columns]\nvalue = {field!r}\n'.replace("'", '"'))
    annual = export.each(Amount_in_company_currency="100", Annual_contract_value="1200").with_deal(1, {"Amount in company currency": ""})
    assert extract(annual.write(tmp_path / "deals.csv"), str(own))[0]["value"].tolist() == ["1200"] * 3
    own.write_text('extends = "hubspot"\n[columns]\nvalue = ["Amount", { default = "0" }]\n')
    assert extract(annual.write(tmp_path / "deals.csv"), str(own))[0]["value"].tolist() == ["100", "0", "100"]
    own.write_text(
        f'extends = "hubspot"\n[columns]\nvalue = {field!r}\n'.replace("'", '"') + '[currency]\nconverted = "amount_in_company_currency"\n'
    )
    assert extract(annual.write(tmp_path / "deals.csv"), str(own))[0]["value"].tolist()[0] == "100"


@pytest.mark.parametrize("currency", [None, ""])
def test_an_amount_of_unknown_currency_does_not_fill_a_blank_converted_one(currency: str | None, export: Export, tmp_path: Path) -> None:
    named = export if currency is None else export.each(Currency=currency)
    blank = named.each(Amount_in_company_currency="1080").with_deal(1, {"Amount in company currency": "", "Amount": "5000000"})
    frame, counts = extract(blank.write(tmp_path / "deals.csv"))
    assert frame["value"].fillna("").tolist() == ["1080", "", "1080"]
    assert counts.filled["value"] == {"direct": 2}

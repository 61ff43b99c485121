"""The header is the row of names, also where a cell of the data is spelled like a header, or nothing is recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.crm import fit, open_export
from flows.errors import ExportUnmappable
from tests.flows.crm.conftest import DEAL, Export, extract


@pytest.mark.parametrize(
    ("above", "header", "row", "line"),
    [
        ("", "Vorgang,Titel,Summe,Zustand", "1973,eins,20327,Closed", 1),
        ("", "Vorgang,Titel,Summe,Art,Zustand", "1973,eins,20327,Amount,Stage", 1),
        ("Report of the week,,,\n\n", "Vorgang,Titel,Summe,Zustand", "1973,eins,20327,Status", 3),
    ],
)
def test_a_row_of_data_is_not_taken_for_the_header(above: str, header: str, row: str, line: int, tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(f"{above}{header}\n{row}\n{row.replace('eins', 'zwei')}\n")
    for crm in ("salesforce", "hubspot", "pipedrive", "dynamics365"):
        with pytest.raises(ExportUnmappable, match=rf"line {line}: the header has no column"):
            open_export(str(tmp_path / "deals.csv"), crm=crm)


def test_title_lines_above_a_header_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("All deals,Amount\n\nRecord ID,Deal Name,Amount\n1,a,2\n")
    assert fit(str(tmp_path / "deals.csv"), "hubspot").ranking[0].headers == 3


def test_a_typographic_apostrophe_is_an_apostrophe(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("ID de fiche d\u2019informations,Montant,Phase de la transaction,Nom de la transaction\n1,2,x,y\n")
    assert fit(str(tmp_path / "deals.csv"), "hubspot").ranking[0].recognised == 4


def test_signs_of_no_width_and_line_breaks_in_a_header_are_nothing(tmp_path: Path) -> None:
    text = '\ufeff\ufeffRecord ID,Deal\u200b Name,Deal\u00a0Stage,Amount\u2060,"Close\r\nDate"\n1,2,x,y,z\n'
    (tmp_path / "deals.csv").write_text(text, newline="")
    assert fit(str(tmp_path / "deals.csv"), "hubspot").ranking[0].recognised == 5


@pytest.mark.parametrize(
    ("header", "second", "cells", "field"),
    [
        ("Amount", "Amount", ("9800", "70"), "amount"),
        ("Deal Stage", "deal  stage ", ("Contract Sent", "Closed Lost"), "stage"),
        ("Record ID", "RECORD ID", ("14316276246", ""), "deal_id"),
        ("Is Closed Won", "Is closed won", ("false", "true"), "is_won"),
    ],
)
def test_a_column_that_stands_there_twice_is_asked_about_where_the_two_differ(
    header: str, second: str, cells: tuple[str, str], field: str, tmp_path: Path
) -> None:
    """Before, the first was read without a word."""
    lines = Export([DEAL, DEAL | {"Record ID": "2"}]).text().splitlines()
    first = DEAL[header] if header != "Record ID" else "2"
    path = tmp_path / "deals.csv"
    same = "\n".join([f'{lines[0]},"{second}"', f'{lines[1]},"{DEAL[header]}"', f'{lines[2]},"{first}"']) + "\n"
    path.write_text(same)
    assert len(extract(str(path))[0]) == 2
    path.write_text(same.replace(f',"{first}"\n', f',"{cells[1]}"\n') if header != "Record ID" else same.replace(',"2"\n', ',""\n'))
    with pytest.raises(ExportUnmappable, match=rf"line [23]: the header names '{header}' more than once .*differ there") as caught:
        extract(str(path))
    toml = str(caught.value).partition("\n")[2]
    assert f'"{field}" = ["{header} (1)"] # or "{header} (2)"' in toml
    (tmp_path / "own.toml").write_text(toml)
    assert len(extract(str(path), str(tmp_path / "own.toml"))[0]) == 2


def test_of_a_column_that_stands_there_twice_either_can_be_named(tmp_path: Path) -> None:
    lines = Export([DEAL]).text().splitlines()
    (tmp_path / "deals.csv").write_text(f'{lines[0]},"Amount"\n{lines[1]},"70"\n')
    for number, value in ((1, "9800"), (2, "70")):
        (tmp_path / "own.toml").write_text(f'extends = "hubspot"\n[fields]\namount = ["Amount ({number})"]\n')
        assert extract(str(tmp_path / "deals.csv"), str(tmp_path / "own.toml"))[0]["value"].tolist() == [value]


def test_a_column_that_stands_there_twice_and_is_not_read_is_nobody_s_question(tmp_path: Path) -> None:
    lines = Export([DEAL]).text().splitlines()
    (tmp_path / "deals.csv").write_text(f"{lines[0]},Owner,Owner\n{lines[1]},a,b\n")
    assert len(extract(str(tmp_path / "deals.csv"))[0]) == 1

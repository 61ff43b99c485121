"""The header is the row of names, also where a cell of the data is spelled like a header, or nothing is recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.crm import fit, open_export
from flows.errors import ExportUnmappable


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


def test_signs_of_no_width_in_a_header_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("\ufeff\ufeffRecord ID,Deal\u200b Name,Deal\u00a0Stage,Amount\u2060\n1,2,x,y\n")
    assert fit(str(tmp_path / "deals.csv"), "hubspot").ranking[0].recognised == 4

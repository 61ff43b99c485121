"""One deal has one id: what surrounds it goes, equal rows are one deal, and two spellings of an id stop the sync."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from flows.deals.check_staged import check_staged
from flows.deals.id_spellings import EQUAL_ROWS, spelling_keys
from flows.deals.index.content_index import ContentIndex
from flows.deals.records import CheckedDeals
from flows.deals.staged_file import stage
from flows.errors import ExportUnmappable
from flows.options import SyncOptions

Check = Callable[..., CheckedDeals]

SALESFORCE = "Id,Name,StageName,Amount,CloseDate,CreatedDate,LastModifiedDate,IsWon,IsClosed,AccountId\n"


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check Salesforce deals with these ids, which differ in nothing else."""

    def run(*ids: str, account: str = "") -> CheckedDeals:
        row = ",Deal,Closed Won,1000,2024-01-02,2023-12-01T09:00:00.000Z,2024-02-01T00:00:00.000Z,true,true,"
        (tmp_path / "deals.csv").write_text(SALESFORCE + "".join(f"{text}{row}{account}\n" for text in ids))
        options = SyncOptions(export=str(tmp_path / "deals.csv"), crm="salesforce", collection="check", full=True)
        return check_staged(stage(options, tmp_path, "UTC"), options, ContentIndex, tmp_path)

    return run


def sent(checked: CheckedDeals) -> list[str]:
    return [line.split(",")[0] for line in checked.csv.read_text().splitlines()[1:]]


@pytest.mark.parametrize(
    "written",
    [
        "14316276744 ",
        " 14316276744",
        "14316276744\u00a0",
        "\u200b14316276744\ufeff",
        "\t14316276744",
        '"=""14316276744"""',
        '="14316276744"',
        '= "14316276744"',
        "'14316276744",
        '"""14316276744"""',
    ],
)
def test_what_surrounds_an_id_is_not_the_id(check: Check, written: str) -> None:
    assert sent(check(written, "2", account=written)) == ["14316276744", "2"]


def test_rows_equal_in_every_column_are_one_deal(check: Check) -> None:
    checked = check("1", "2", "1 ", '="1"', "3")
    assert (checked.report.failing, sent(checked)) == (0, ["1", "2", "3"])
    assert checked.staged.non_rows == {EQUAL_ROWS: 2}
    assert checked.staged.rows == checked.staged.deals + 2


def test_rows_of_one_id_that_differ_are_refused_as_they_were(tmp_path: Path) -> None:
    row = "1,Deal,Closed Won,{},2024-01-02,2023-12-01T09:00:00.000Z,2024-02-01T00:00:00.000Z,true,true,\n"
    (tmp_path / "deals.csv").write_text(SALESFORCE + row.format(10) + row.format(20) + row.format(10))
    options = SyncOptions(export=str(tmp_path / "deals.csv"), crm="salesforce", collection="check")
    checked = check_staged(stage(options, tmp_path, "UTC"), options, ContentIndex, tmp_path)
    assert checked.staged.non_rows == {EQUAL_ROWS: 1}
    assert checked.report.failing == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("101", "101.0"),
        ("101.00", "101"),
        ("0101", "101"),
        ("000101", "0101"),
        ("0061a00000AbCda", "0061a00000AbCdaAAF"),
        ("0061a00000AbCEBAA3", "0061a00000AbCEB"),
        ("101", '"101,0"'),
        ('"14,316,276,744"', "14316276744"),
        ("14.316.276.744", "14316276744"),
        ("\uff11\uff10\uff11", "101"),
        ("\u00e9-7", "e\u0301-7"),
        ("{0AB1C2D3-0000-4000-8000-00000000000F}", "0ab1c2d3-0000-4000-8000-00000000000f"),
        ("0AB1C2D3000040008000000000000F0A", "0ab1c2d3-0000-4000-8000-000000000f0a"),
        ("14'316'276'744", "14316276744"),
        ("14\u2019316", "14316"),
        ("14\u202f316\u202f276", "14316276"),
        ("A\u20117", "A-7"),
    ],
)
def test_an_id_written_in_two_ways_stops(check: Check, first: str, second: str) -> None:
    with pytest.raises(ExportUnmappable, match=r"deals\.csv writes one id in two ways: line 2 as .*, line 4 as ") as caught:
        check(first, "77", second, "88")
    assert first not in str(caught.value)
    assert second not in str(caught.value)


def test_ids_that_only_look_alike_pass(check: Check) -> None:
    ids = ["0061a00000AbCda", "0061a00000AbCDa", "0061a00000AbCdaXXX", "7a", "007a", "1.05", "10.5", "x0", "0", "00000000000AB"]
    assert check(*ids).report.failing == 0
    all_long = ["0061a00000AbCdaAAF", "0061a00000AbCdBAAV", "0061a00000AbCEBAA3"]
    assert sent(check(*all_long)) == all_long
    assert sent(check("1.234", "1234")) == ["1.234", "1234"]
    assert sent(check("007", "010", "700")) == ["007", "010", "700"]


def test_the_key_of_an_id_is_what_its_spellings_share() -> None:
    ids = ["007", "7.0", "7", "0", "000", "0.0", "10", "0061a00000AbCdaAAF", "0061a00000AbCdaAAA", "a.0", None, ""]
    keys = ["7", "7", "7", "0", "0", "0", "10", "0061a00000AbCda", "0061a00000AbCdaAAA", "a.0", None, ""]
    assert spelling_keys(pa.array(ids, pa.string())).to_pylist() == keys


def test_rounded_ids_fail_as_rows(check: Check) -> None:
    checked = check("14316276744", "1.43163E+10", "1.43163E+10", '"1,43163e+10"', "1.4316276744E10")
    assert (checked.report.failing, sent(checked)) == (4, ["14316276744"])
    assert checked.staged.remarks.count("id of 4 of 5 deals is empty: rounded by a spreadsheet") == 1


@pytest.mark.parametrize("word", ["NULL", "null", "None", "<NA>", "\\N", "NaN", "-", "#REF!", "#N/A", " NULL "])
def test_a_word_for_null_is_no_id(check: Check, word: str) -> None:
    checked = check("1", account=word)
    assert f",{word.strip()}," not in checked.csv.read_text()
    assert check("1", word).report.failing == 1

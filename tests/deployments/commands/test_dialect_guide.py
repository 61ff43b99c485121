"""The dialect reference says what the code says: every table and key, what `extends` does, and its example as printed."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from deployments.cli import main
from flows.crm import known_dialects, load_dialect
from flows.crm.dialect_keys import ENTRY_KEYS, KEYS

if TYPE_CHECKING:
    from flows.nostradamus import Nostradamus

GUIDE = (Path(__file__).parents[3] / "flows/crm/README.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    """The text below a heading, up to the next one."""
    return re.split(r"^#{2,3} ", GUIDE.split(f"\n{heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def keys_in(text: str) -> set[str]:
    """The keys in the first column of the tables."""
    return set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))


def block(language: str) -> str:
    return re.search(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)[1]  # type: ignore[index] # it is there, or the test fails


@pytest.mark.parametrize("table", [name for name in KEYS if name])
def test_every_table_and_key_is_explained_and_none_besides(table: str) -> None:
    heading = f"### `[[{table}]]`" if table in {"status", "drop"} else f"### `[{table}]`"
    wanted = set(ENTRY_KEYS) if table == "columns" else {key for key in KEYS[table] if key != "*"}
    assert keys_in(section(heading)) == wanted


def test_the_keys_at_the_top_are_explained() -> None:
    assert keys_in(section("## The tables and their keys")) == set(KEYS[""])


def test_every_shipped_dialect_and_the_example_load(tmp_path: Path) -> None:
    assert len(known_dialects()) > 10
    (tmp_path / "own.toml").write_text(block("toml"), encoding="utf-8")
    assert load_dialect(str(tmp_path / "own.toml")).columns["id"][0].how == "join"


def test_extends_replaces_keys_and_whole_rules(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'extends = "hubspot"\n[fields]\namount = ["Our amount"]\n[cells]\nnulls = ["nichts"]\n'
        '[[status]]\nfield = "stage"\nwords = { closed_won = ["Signed"] }\notherwise = "open"\n'
    )
    base, dialect = load_dialect("hubspot"), load_dialect(str(own))
    assert dialect.fields["amount"] == ("Our amount",)
    assert dialect.fields["name"] == base.fields["name"]
    assert len(dialect.status) == 1
    assert dialect.drops == base.drops
    assert {"nichts", "NULL"} <= dialect.nulls


def test_the_example_goes_as_printed(
    home: Path,  # noqa: ARG001 - it sets the environment
    prefect_server: None,  # noqa: ARG001 - the sync runs on it
    platform: Nostradamus,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("flows.runtime.data_process.start_data_process", lambda **_: None)
    collection = platform.create_collection("acme", "Europe/Berlin").id
    Path("vorhaben.csv").write_text(block("csv"), encoding="utf-8")
    commands = [
        part for fenced in re.findall(r"^```console\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL) for part in fenced.split("$ ")[1:]
    ]
    assert len(commands) == 4
    assert len([line for line in block("toml").splitlines() if line]) <= 15
    for command in commands:
        line, *printed = command.splitlines()
        words = line.replace("--collection acme", f"--collection {collection}").split()[1:]
        result = CliRunner().invoke(main, words)
        assert result.exit_code == (3 if "--write" in words else 0), result.output
        said = result.stdout.splitlines()
        assert [text for text in printed if text != "..." and text not in said] == []
        if "--write" in words:
            load_dialect("own.toml")
            Path("own.toml").write_text(block("toml"), encoding="utf-8")
    platform.dump(collection, tmp_path / "dump.csv")
    with (tmp_path / "dump.csv").open(newline="", encoding="utf-8") as source:
        deals = {deal["id"]: deal for deal in csv.DictReader(source)}
    assert len(deals) == 8
    won = deals["Westhof|Umbau"]
    assert [won[name] for name in ("creationDatetime", "closedDatetime", "status", "value")] == [
        "2026-08-03T23:30:00",
        "2026-09-01T00:00:00",
        "closed_won",
        "7200.00",
    ]
    assert [deals["Ostmühle|Umbau"][name] for name in ("status", "closedDatetime", "value")] == ["open", "", "0"]


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[columns]\nvalue = 0", r"\[columns\] value has 0 without quotes; it must be a field.*in quotes: '0'"),
        ('[columns]\nvalue = ["a", { default = [0] }]', "default is a list"),
        ('[columns]\nvalue = { first = "a", count = "b" }', "first and count"),
        ('[columns]\nvalue = { while = "won" }', "beside `while` it must have one key"),
        ('[column]\nvalue = "a"', "Did you mean 'columns'"),
        ('[dates]\ntimezones = "UTC"', r"\[dates\] has no key 'timezones'. Did you mean 'timezone'"),
        ("[fields]\namount = 3", r"\[fields\] amount is 3 without quotes; it must be a text or a list of texts"),
        ('[status]\nfield = "a"', r"\[status\] must be written \[\[status\]\]"),
        ('fields = "a"', r"fields must be a table: write \[fields\]"),
        ('[[status]]\nfield = "a"\nwords = ["Won"]', r"\[status\]\] words is a list; it must be a table"),
        ('[cells]\nleading_apostrophe = "yes"', "must be true or false"),
        ('[columns]\nclosedDatetime = "@lastUpdateDatetime"\nlastUpdateDatetime = "@closedDatetime"', "made of itself"),
    ],
)
def test_a_typing_error_ends_in_one_sentence(toml: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(toml)
    (tmp_path / "deals.csv").write_text("a,b\n1,2\n")
    result = CliRunner().invoke(main, ["check", str(tmp_path / "deals.csv"), "--crm", str(tmp_path / "own.toml")])
    assert result.exit_code == 2
    assert re.search(says, result.stderr), result.stderr
    assert "Error:" not in result.stderr


def test_a_default_may_be_a_number_a_flag_or_a_date(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(
        "[columns]\nvalue = { default = 0 }\ncompanyIsCustomer = { default = true }\ncreationDatetime = { default = 2024-01-31 }\n"
    )
    columns = load_dialect(str(tmp_path / "own.toml")).columns
    assert [columns[name][0].names for name in ("value", "companyIsCustomer", "creationDatetime")] == [("0",), ("true",), ("2024-01-31",)]


def test_a_script_gets_what_fits_as_one_object(tmp_path: Path) -> None:
    export = tmp_path / "deals.csv"
    export.write_text("id,name,value\n1,Somebody's deal,1000\n")
    listed = json.loads(CliRunner().invoke(main, ["crms", "--json"]).stdout)
    assert {"canonical", "hubspot"} <= {each["name"] for each in listed["dialects"]}
    done = CliRunner().invoke(main, ["crms", str(export), "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["exit_code"]) == (3, 3), "columns that a deal needs are missing"
    assert {each["name"] for each in found["dialects"]} == {each["name"] for each in listed["dialects"]}
    assert "Somebody" not in done.stdout
    away = CliRunner().invoke(main, ["crms", str(tmp_path / "none.csv"), "--json"])
    assert (away.exit_code, json.loads(away.stdout)["error"]) == (3, "ExportNotFound")

"""The command line, in this process: what it prints, where, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deployments.cli import main
from deployments.sandbox import Sandbox, running
from expectations.disclosure import shape
from flows.nostradamus import Nostradamus
from tests.conftest import FIRST_MONTHS, HANG, sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals


@pytest.fixture
def engine(prefect_server: None) -> None:
    """For commands that run a flow."""


@pytest.mark.usefixtures("engine")
def test_a_sync_tells_its_steps_on_stderr_and_its_outcome_on_stdout(
    dealcast: Dealcast, collection: str, write_deals: WriteDeals, tmp_path: Path
) -> None:
    result = dealcast("sync", write_deals(4), "--crm", "canonical", "--collection", collection, "--horizon", 4, "--out", tmp_path / "out")
    assert "test: 4 deals sent, 0 quarantined, forecast of 4 months" in result.stdout
    assert all(month in result.stdout for month in FIRST_MONTHS[:4])
    assert "█" in result.stdout
    assert f"files: {tmp_path / 'out'}" in result.stdout
    steps = [line.split()[0] for line in result.stderr.splitlines() if line.strip()]
    order = [step for step in ("extract", "check", "submit", "await", "invoke", "download", "report") if step in steps]
    assert order == sorted(order, key=steps.index)
    assert len(order) == 7
    again = dealcast("sync", write_deals(4), "--crm", "canonical", "--collection", collection, "--horizon", 4, "--out", tmp_path / "out")
    assert "othing new" in again.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sync", "--crm", "canonical"], "Missing argument 'EXPORT'"),
        (["sync", "deals.csv", "--crm", "canonical"], "--collection NAME"),
        (["check", "deals.csv", "--crm", "canonical", "--nosuch"], "No such option '--nosuch'"),
        (["status", "--max-age", "soon"], "'--max-age'"),
        (["collections", "verify", "acme"], "Missing argument 'EXPORT'"),
    ],
)
def test_a_script_gets_its_object_of_a_usage_error_too(dealcast: Dealcast, command: list[str], said: str) -> None:
    result = dealcast(*command, "--json", code=2)
    found = json.loads(result.stdout)
    assert (found["outcome"], found["error"], found["exit_code"]) == ("failed", "UsageError", 2)
    assert said in found["message"]
    assert "Usage: " in result.stderr
    assert not dealcast(*command, code=2).stdout


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("flag", sampled(["--no-forecast", "--dry-run", "--forecast=never"], 2))
def test_a_sync_without_a_forecast(dealcast: Dealcast, collection: str, write_deals: WriteDeals, sandbox: Sandbox, flag: str) -> None:
    dealcast("sync", write_deals(), "--crm", "canonical", "--collection", collection, flag)
    assert sandbox.control("GET", "requests?method=POST&path=/api/invocation") == []
    assert len(sandbox.control("GET", "uploads")) == (flag != "--dry-run")


@pytest.mark.usefixtures("engine")
def test_the_exit_codes_of_a_sync(
    dealcast: Dealcast, collection: str, write_deals: WriteDeals, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 gate, 5 refused, 6 deadline, 7 guard, 8 unknown; then 0, and `resume` has nothing left to do."""

    def sync(export: Path, code: int) -> str:
        return dealcast("sync", export, "--crm", "canonical", "--collection", collection, code=code).stderr

    def fault(kind: str) -> None:
        sandbox.control("POST", "faults", {"kind": kind, "path": "*/append", "method": "POST"})

    assert "--quarantine-limit 1" in sync(write_deals(3, {"value": "x"}), 4)
    fault("spoil")
    assert "column status: isin" in sync(write_deals(3), 5)
    fault("stuck")
    monkeypatch.setenv("DEALCAST_DEADLINE", "0.3")
    assert f"dealcast resume --collection {collection}" in sync(write_deals(3), 6)
    assert "deadline" in dealcast("resume", "--collection", collection, code=6).stderr
    monkeypatch.setenv("DEALCAST_DEADLINE", str(HANG))
    sandbox.control("DELETE", "faults")
    assert "forecast of" in dealcast("resume", "--collection", collection).stdout
    assert "--accept-shrink" in sync(write_deals(1), 7)
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    fault("drop")
    assert "DEALCAST_ON_UNKNOWN=resend" in sync(write_deals(4), 8)
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "resend")
    sync(write_deals(4), 0)
    assert "Nothing" in dealcast("resume", "--collection", collection).stdout


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", sampled(["[bold]x[red].csv", "deals [old].csv", "deals [b].csv", "x [", "deals \\[x].csv"]))
def test_a_file_s_name_is_shown_as_it_is(dealcast: Dealcast, collection: str, write_deals: WriteDeals, name: str) -> None:
    """Brackets are markup to a terminal library, and part of a name to people."""
    export = write_deals(2, name=name)
    assert name in dealcast("check", export, "--crm", "canonical").stdout
    assert name in dealcast("sync", export, "--crm", "canonical", "--collection", collection, "--dry-run").stderr


def test_collections_are_created_and_listed_for_scripts(dealcast: Dealcast, platform: Nostradamus) -> None:
    created = dealcast("collections", "create", "acme", "--timezone", "Europe/Rome").stdout.strip()
    assert [found.id for found in platform.collections()] == [created]
    assert dealcast("collections", "list").stdout == f"{created}\tEurope/Rome\tacme\n"


def test_no_collections_is_said_on_stderr(dealcast: Dealcast) -> None:
    result = dealcast("collections", "list")
    assert result.stdout == ""
    assert "dealcast collections create" in result.stderr


def test_the_sandbox_says_that_its_port_is_taken(dealcast: Dealcast, sandbox: Sandbox) -> None:
    port = sandbox.url.rsplit(":", 1)[1]
    assert "--port" in dealcast("sandbox", "--port", port, code=2).stderr


def test_the_sandbox_says_that_its_folder_is_taken_or_is_none(dealcast: Dealcast, tmp_path: Path) -> None:
    with running(tmp_path / "taken"):
        told = dealcast("sandbox", "--port", "0", "--data", tmp_path / "taken", code=2).stderr
    assert "Another sandbox works in" in told
    assert "port" not in told
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in dealcast("sandbox", "--port", "0", "--data", tmp_path / "file" / "data", code=1).stderr


@pytest.mark.parametrize("command", [[], *([name] for name in main.commands), ["collections", "create"], ["collections", "list"]])
def test_every_command_explains_itself(dealcast: Dealcast, command: list[str]) -> None:
    assert "Usage: " in dealcast(*command, "--help").stdout


def test_a_disk_that_is_full_is_told(write_deals: WriteDeals, home: Path) -> None:  # noqa: ARG001 - the home sets the environment
    """A limit on the size of files stands for it."""
    command = f"ulimit -f 4 && exec '{Path(sys.executable).with_name('dealcast')}' check '{write_deals(500)}' --crm canonical"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=HANG)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith("dealcast: A file cannot be written: ")


def test_the_version_is_the_package_s(dealcast: Dealcast) -> None:
    from importlib.metadata import version  # noqa: PLC0415 - this test's only use

    assert version("dealcast") in dealcast("--version").stdout


def test_check_prints_one_object_on_stdout(dealcast: Dealcast, write_deals: WriteDeals) -> None:
    export = write_deals(2, {"value": "-1", "stage": ""}, {"closedDatetime": "2024-01-01T00:00:00"})
    found = json.loads(dealcast("check", export, "--crm", "canonical", "--json", code=4).stdout)
    assert (found["rows"], found["passed"], found["quarantined"], found["warnings"]) == (4, 3, 1, 1)
    assert [(entry["line"], entry["id"], entry["column"], entry["value"], entry["severity"]) for entry in found["failures"]] == [
        (4, "aaaaa-9", "stage", None, "critical"),
        (4, "aaaaa-9", "value", "-9", "critical"),
        (5, "aaaaa-9", "closedDatetime", "9999-99-99A99:99:99", "warning"),
    ]
    assert found["failures_total"] == 3
    assert found["filled"]["value"] == 4
    assert found["export"]["path"] == str(export)
    assert set(found["export"]) >= {"path", "sha256", "encoding", "separator", "dialect"}


@pytest.mark.parametrize("command", [["check"], ["collections", "verify", "0" * 32]])
def test_an_error_is_an_object_on_stdout_for_a_script(dealcast: Dealcast, tmp_path: Path, command: list[str]) -> None:
    result = dealcast(*command, tmp_path / "none.csv", "--crm", "canonical", "--timezone", "UTC", "--json", code=3)
    assert json.loads(result.stdout)["error"] == "ExportNotFound"
    assert result.stderr.startswith("dealcast: ")


def test_a_clean_check_ends_with_0_and_sends_nothing(dealcast: Dealcast, write_deals: WriteDeals, sandbox: Sandbox) -> None:
    result = dealcast("check", write_deals(3), "--crm", "canonical")
    assert "3 rows: 3 deals" in result.stdout
    assert "3 deals can be sent, 0 have a warning" in result.stdout
    assert sandbox.control("GET", "requests") == []


def test_a_check_says_what_it_assumes(dealcast: Dealcast, tmp_path: Path) -> None:
    """A stage name of another language, or of one's own, is no outcome: the user has to know."""
    header = "Record ID,Deal Name,Deal Stage,Amount,Create Date,Close Date,Last Modified Date\n"
    stages = ["Unterschrieben", *["Closed won"] * 5]
    rows = [f"{number},A,{stage},1,2026-01-01,2026-02-01,2026-02-02\n" for number, stage in enumerate(stages)]
    (tmp_path / "deals.csv").write_text(header + "".join(rows))
    said = dealcast("check", tmp_path / "deals.csv", "--crm", "hubspot").stdout
    assert "status of 1 of 6 deals is assumed, since Deal Stage names no outcome." in said
    assert "stages that say no outcome: 'Unterschrieben' (1)." in said
    found = json.loads(dealcast("check", tmp_path / "deals.csv", "--crm", "hubspot", "--json").stdout)
    assert found["undecided_stages"] == {"Unterschrieben": 1}


def test_an_export_whose_stages_say_nothing_stops_unless_they_are_said_to_be_open(dealcast: Dealcast, tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text(
        "Record ID,Deal Name,Deal Stage,Amount,Create Date,Close Date,Last Modified Date\n"
        "1,A,Unterschrieben,1,2026-01-01,2026-02-01,2026-02-02\n"
    )
    assert "[[status]]" in dealcast("check", tmp_path / "deals.csv", "--crm", "hubspot", code=3).stderr
    assert "Unterschrieben: 1 deal" in dealcast("crms", tmp_path / "deals.csv", code=3).stdout
    dealcast("check", tmp_path / "deals.csv", "--crm", "hubspot", "--assume-open")


@pytest.mark.parametrize("value", ["[/red]", "[bold]1", "1\x1b[31m2", "9" * 12 + "x"])
def test_a_failing_value_is_shown_by_its_form(dealcast: Dealcast, write_deals: WriteDeals, value: str) -> None:
    result = dealcast("check", write_deals(1, {"value": value}), "--crm", "canonical", code=4)
    assert result.stdout.count(shape(value)) == 1, "in the list of rows"
    assert "\x1b[31m" not in result.stdout


def test_check_writes_data_docs(dealcast: Dealcast, write_deals: WriteDeals, tmp_path: Path) -> None:
    result = dealcast("check", write_deals(2), "--crm", "canonical", "--docs", tmp_path / "docs")
    assert str(tmp_path / "docs") in result.stderr
    assert list((tmp_path / "docs").rglob("*.html"))

"""What a sync leaves behind for people: report, certificate and forecast, true to what happened and free of people's data."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from python_calamine import load_workbook

from deployments.sandbox import running
from flows.ledger.forecast_history import read_history
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from flows.options import SyncOptions
from flows.sync_deals import sync_deals
from flows.ui.failure_report import remedies
from tests.conftest import FIRST_MONTHS, live_at, write_export

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Sync, WriteDeals

LOST = {"status": "closed_lost", "value": "0.10"}
OPEN = {"status": "open", "closedDatetime": "", "value": "0.20"}


@dataclass(frozen=True)
class Synced:
    """What one sync left behind, and what the platform then had of it."""

    export: Path
    home: Path
    out: Path
    uploads: list[dict[str, Any]]
    token: str


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory, prefect_server: None) -> Synced:  # noqa: ARG001 - it runs the flow
    """One sync that several tests look at: 4 good deals and one that is quarantined."""
    folder = tmp_path_factory.mktemp("synced")
    export = write_export(folder / "deals.csv", 2, LOST, OPEN, {"value": "-1", "name": "Giraffe AG"})
    with running(queued_seconds=0.01, processing_seconds=0.01) as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        live_at(folder / "home", sandbox, monkeypatch)
        monkeypatch.setattr("flows.runtime.data_process.start_data_process", lambda *_: None)
        with Nostradamus(sandbox.url, sandbox.token) as platform:
            collection = platform.create_collection("test", "Europe/Rome").id
        options = {"crm": "canonical", "horizon": 3, "quarantine_limit": "1", "out": str(folder / "out")}
        assert sync_deals(SyncOptions(export=str(export), collection=collection, **options), return_state=True).is_completed()
        return Synced(export, folder / "home", folder / "out", sandbox.control("GET", "uploads"), sandbox.token)


@pytest.fixture
def out(synced: Synced) -> Path:
    """The folder for people."""
    return synced.out


def test_the_folder_has_what_a_person_looks_for(out: Path) -> None:
    assert sorted(path.name for path in out.iterdir()) == [
        "certificate.json",
        "forecast.csv",
        "forecast.json",
        "forecast.xlsx",
        "quarantine.csv",
        "quarantine.xlsx",
        "report.md",
    ]


def test_the_three_formats_of_the_forecast_agree(out: Path) -> None:
    in_json = [(entry["month"], entry["revenue"]) for entry in json.loads((out / "forecast.json").read_text())]
    with (out / "forecast.csv").open(newline="") as source:
        in_csv = [(row["month"], float(row["revenue"])) for row in csv.DictReader(source)]
    [header, *rows] = load_workbook(out / "forecast.xlsx").get_sheet_by_index(0).to_python()
    in_xlsx = [(str(month), revenue) for month, revenue in rows]
    assert header == ["month", "revenue"]
    assert in_json == in_csv == in_xlsx
    assert len(in_json) == 3


def test_the_certificate_says_what_was_sent_and_what_the_platform_made_of_it(out: Path, synced: Synced) -> None:
    certificate = json.loads((out / "certificate.json").read_text())
    [upload] = synced.uploads
    assert certificate["append"]["request_id"] == upload["id"]
    assert certificate["append"]["completed_at"] >= certificate["append"]["accepted_at"]
    assert certificate["collection"] == upload["collectionId"]
    assert (certificate["rows_sent"], certificate["rows_unchanged"], certificate["rows_quarantined"]) == (4, 0, 1)
    sums = {status: float(total) for status, total in certificate["value_by_status"].items()}
    assert sums == {"closed_won": 2000.0, "closed_lost": 0.1, "open": 0.2}
    assert certificate["export"]["sha256"] == hashlib.sha256(synced.export.read_bytes()).hexdigest()
    zones = certificate["export"]["times"]
    assert zones["read_as"] == zones["sent_in"] != ""
    assert f"times without a zone read as {zones['read_as']}, sent in {zones['sent_in']}" in (out / "report.md").read_text()
    assert certificate["forecast"]["arguments"]["horizon"] == 3
    assert certificate["forecast"]["invocation_id"]
    assert certificate["versions"]["prefect"] == version("prefect")


def test_the_certificate_s_sums_are_exact(sync: Sync, write_deals: WriteDeals, tmp_path: Path) -> None:
    """A tenth a thousand times is a hundred; and digits beyond a float's are not lost."""
    sync(write_deals(1000, {"value": "12345678901234567890.123456"}, value="0.1"), out=str(tmp_path / "out"))
    certificate = json.loads((tmp_path / "out/certificate.json").read_text())
    assert certificate["value_by_status"]["closed_won"].rstrip("0") == "12345678901234567990.123456"


def test_the_report_accounts_for_every_row(out: Path, synced: Synced) -> None:
    report = (out / "report.md").read_text()
    for said in (
        "4 deals sent, 1 quarantined, forecast of 3 months: ",
        f"`{synced.export}` (canonical, utf-8",
        "), 5 rows: 5 deals",
        "5 checked, 4 to send, 0 unchanged, 1 quarantined",
        "| value | must not be negative | 1 | critical | 6 |",
        "append request `",
        "completed after",
        f"| {FIRST_MONTHS[0]} |",
        str(out),
    ):
        assert said in report


def test_no_row_s_content_is_in_report_or_certificate(out: Path) -> None:
    for name in ("report.md", "certificate.json"):
        assert "Giraffe" not in (out / name).read_text()
    assert "Giraffe" in (out / "quarantine.csv").read_text()


def test_no_secret_is_in_any_file(synced: Synced) -> None:
    files = [path for folder in (synced.out, synced.home) for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 6
    assert not any(synced.token.encode() in path.read_bytes() for path in files)


@pytest.mark.slow
def test_a_dry_run_reports_without_a_platform_section(sync: Sync, write_deals: WriteDeals, tmp_path: Path) -> None:
    sync(write_deals(2), dry_run=True, out=str(tmp_path / "out"))
    report = (tmp_path / "out/report.md").read_text()
    assert "dry run: 2 deals would be sent" in report
    assert "What the platform said" not in report


def test_nothing_new_leaves_the_forecast_and_says_so(sync: Sync, write_deals: WriteDeals, tmp_path: Path, asked: Asked) -> None:
    out = tmp_path / "out"
    sync(write_deals(2), out=str(out))
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.name != "report.md"}
    sync(write_deals(2), out=str(out))
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.name != "report.md"} == before
    assert "nothing new" in (out / "report.md").read_text()
    assert asked("POST", "/api/invocation") == 1


@pytest.mark.slow
def test_a_second_forecast_says_how_its_sum_moved(sync: Sync, write_deals: WriteDeals, home: Path, collection: str, tmp_path: Path) -> None:
    """And both are in the collection's history, whatever the folder holds."""
    first = sync(write_deals(4), out=str(tmp_path / "out"))
    second = sync(write_deals(4, value="2000.00"), out=str(tmp_path / "out"))
    assert "since" not in str(first.message)
    assert re.search(r"forecast of \d months: [0-9,]+ \([+-][0-9.]+ % since (\d+ \w+|\d\d:\d\d UTC)\)", str(second.message))
    assert "% since" in (tmp_path / "out/report.md").read_text()
    history = read_history(Ledger(str(home / "ledger")), collection)
    assert len(set(history["invocation_id"].to_pylist())) == 2


def test_a_failed_report_has_the_rules_the_rows_and_the_remedy_in_both_languages(
    sync: Sync,
    write_deals: WriteDeals,
    tmp_path: Path,
    home: Path,  # noqa: ARG001 - the home sets the environment
) -> None:
    (tmp_path / "out").mkdir()
    assert sync(write_deals(4, {"value": "-1"}, {"stage": "", "value": "-2"}), out=str(tmp_path / "out")).is_failed()
    report = (tmp_path / "out" / "report.md").read_text()
    assert "| value | must not be negative | 2 | critical | 6, 7 |" in report
    assert "| `--quarantine-limit 2` | set `quarantine_limit` to `2` |" in report
    assert f"{tmp_path / 'out' / 'quarantine.csv'}" in report
    assert "/v2/artifacts/key/rejected-" in report


@pytest.mark.parametrize(
    ("message", "row"),
    [
        ("Send the rest with --quarantine-limit 2, or fix", "| `--quarantine-limit 2` | set `quarantine_limit` to `2` |"),
        ("run it once with --accept-shrink.", "| `--accept-shrink` | set `accept_shrink` to `true` |"),
        ("choose one with --pipeline NAME:", "| `--pipeline NAME` | fill in `pipeline` |"),
        ("have no value: --default value=0 fills them", "| `--default value=0` | add `value=0` to `default` |"),
        (
            "is sent by --assume-accepted 'value:not negative' (2, D*)",
            "| `--assume-accepted 'value:not negative'` | add `value:not negative` to `assume_accepted` |",
        ),
        ("from when to predict: --first-month 2026-11.", "| `--first-month 2026-11` | set `first_month` to `2026-11` |"),
    ],
)
def test_an_option_that_a_message_names_is_told_in_the_form_too(message: str, row: str) -> None:
    assert remedies(message).splitlines()[2:] == [row]
    assert not remedies("Check the path, and --json; or `dealcast resume --collection acme`.")

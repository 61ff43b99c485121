"""``dealcast collections verify`` against a real sandbox."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployments.cli import main
from deployments.command_line.exit_codes import DIFFERS
from deployments.sandbox import Sandbox
from expectations.deals_schema import COLUMN_NAMES
from flows.ledger.export_baseline import save_baseline
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from tests.conftest import wait_for

DEAL = {
    "name": "Deal",
    "creationDatetime": "2025-01-10T09:00:00",
    "addDatetime": "2025-01-10T09:00:00",
    "closedDatetime": "2025-03-10T09:00:00",
    "status": "closed_won",
    "stage": "Won",
    "currentStageStartDatetime": "2025-03-10T09:00:00",
    "value": "1000.00",
    "lastUpdateDatetime": "2025-03-10T09:00:00",
}

Write = Callable[..., Path]
Verify = Callable[..., Result]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a canonical export of the given deals, each the cells in which it differs from a valid one."""

    def run(*deals: dict[str, str], name: str = "deals.csv") -> Path:
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as sink:
            writer = csv.DictWriter(sink, COLUMN_NAMES, restval="")
            writer.writeheader()
            writer.writerows({**DEAL, **deal} for deal in deals)
        return tmp_path / name

    return run


@pytest.fixture
def platform(sandbox: Sandbox) -> Iterator[Nostradamus]:
    with Nostradamus(sandbox.url, sandbox.token) as client:
        yield client


@pytest.fixture
def collection(platform: Nostradamus, write: Write) -> str:
    """A collection that holds the deals a, b and c."""
    collection = platform.create_collection("verified", "Europe/Rome").id
    request = platform.append(collection, write({"id": "a"}, {"id": "b"}, {"id": "c"}))
    wait_for(lambda: platform.upload_status(collection, request.id).status == "completed", "the append")
    return collection


@pytest.fixture
def verify(collection: str, sandbox: Sandbox, tmp_path: Path) -> Verify:
    def run(export: Path, *options: str, of: str = collection) -> Result:
        env = {"DEALCAST_HOME": str(tmp_path / "home"), "DEALCAST_PLATFORM_URL": sandbox.url, "DEALCAST_TOKEN": sandbox.token}
        result = CliRunner().invoke(main, ["collections", "verify", of, str(export), "--crm", "canonical", *options], env=env)
        assert not list((tmp_path / "home").glob("staging/*")), "nothing personal is left behind"
        return result

    return run


def test_what_was_sent_is_equal(verify: Verify, write: Write) -> None:
    result = verify(write({"id": "c"}, {"id": "a"}, {"id": "b"}))
    assert result.exit_code == 0, result.output
    assert "equal: the collection holds 3 deals, a sync of the export would send 3; 3 are the same" in result.output


def test_the_export_is_read_as_the_last_sync_read_it(verify: Verify, write: Write, collection: str, tmp_path: Path) -> None:
    reading = {"reading": {"dialect": "canonical"}, "said": {"crm_timezone": "Asia/Tokyo"}}
    save_baseline(Ledger(str(tmp_path / "home" / "ledger")), collection, reading)
    export = write({"id": "a"}, {"id": "b"}, {"id": "c"})
    assert verify(export).exit_code == DIFFERS
    assert verify(export, "--crm-timezone", "Europe/Rome").exit_code == 0, "what is said counts"


def test_a_changed_cell_is_shown_by_its_form_and_kept_as_it_is(verify: Verify, write: Write) -> None:
    """Output goes to logs; the file is its owner's alone, and goes once nothing differs."""
    export = write({"id": "a"}, {"id": "b", "companyCity": "[b]Oslo", "value": "12345"}, {"id": "c"})
    for options in ([], ["--json"]):
        result = verify(export, *options)
        assert result.exit_code == DIFFERS
        assert all(text in result.output for text in ("companyCity", "(empty)", "(text of 7 characters)", "99999"))
        assert not [text for text in ("Oslo", "12345") if text in result.output]
    path = kept_in(export)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [*csv.reader(path.read_text().splitlines())][1:] == [
        ["differs", "b", "value", "1000.00", "12345"],
        ["differs", "b", "companyCity", "", "[b]Oslo"],
    ]
    assert verify(write({"id": "a"}, {"id": "b"}, {"id": "c"})).exit_code == 0
    assert not path.exists()


def kept_in(export: Path) -> Path:
    """The file of what differs, as `verify` keeps it."""
    return next((export.parent / "home" / "forecasts").glob("*/differences.csv"))


def test_json_has_the_counts_and_the_lists(verify: Verify, write: Write) -> None:
    result = verify(write({"id": "b", "name": "renamed"}, {"id": "d"}, {"id": "a", "value": "1000.0"}), "--json")
    assert result.exit_code == DIFFERS
    found = json.loads(result.stdout)
    assert found["differences"] == [{"id": "a", "column": "name", "held": "(text of 4 characters)", "export": "(text of 7 characters)"}]
    assert (found["missing"], found["extra"], found["rewritten"], found["columns"]) == (1, 1, 1, {"name": 1})
    rows = [*csv.reader(Path(found["file"]).read_text().splitlines())][1:]
    assert rows == [["missing", "d", "", "", ""], ["extra", "c", "", "", ""], ["differs", "b", "name", "Deal", "renamed"]]


def test_extra_deals_count_after_an_override_only(verify: Verify, write: Write) -> None:
    export = write({"id": "a"})
    kept = verify(export)
    assert kept.exit_code == 0
    assert "equal but for 2 deals held that the export does not have: the collection holds 3 deals" in kept.output
    result = verify(export, "--mode", "override")
    assert result.exit_code == DIFFERS
    assert "extra: 2 deals held" in result.output
    assert [row[:2] for row in csv.reader(kept_in(export).read_text().splitlines())][1:] == [["extra", "b"], ["extra", "c"]]


def test_deals_that_the_gate_refuses_are_not_expected(verify: Verify, write: Write) -> None:
    result = verify(write({"id": "a"}, {"id": "z", "value": "-1"}))
    assert result.exit_code == 0
    assert "not expected there: 1 deal that the gate refuses" in result.output


def test_the_export_s_times_are_read_for_the_collection_s_zone(verify: Verify, write: Write) -> None:
    """Held as 09:00 in Rome; the same moments written in UTC are equal, without an option that names Rome."""
    moments = {name: value.replace("T09", "T08") + "Z" for name, value in DEAL.items() if value.endswith("T09:00:00")}
    utc = write(*({"id": identifier, **moments} for identifier in "abc"), name="utc.csv")
    result = verify(utc)
    assert result.exit_code == 0, result.output


def test_an_unknown_collection_is_named(verify: Verify, write: Write) -> None:
    result = verify(write({"id": "a"}), of="nowhere")
    assert result.exit_code == 5
    assert "nowhere" in result.output


def test_an_id_that_is_none_is_a_usage_error(verify: Verify, write: Write) -> None:
    result = verify(write({"id": "a"}), of="../x")
    assert result.exit_code == 2
    assert "collection" in result.output

"""``dealcast forget``: what syncs have kept of a collection goes, after a question, and never while something is under way."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deployments.cli import main
from flows.ledger.store import HOLDER, NAME, Entry, Ledger, Sending
from flows.runtime.staging_area import staging_folder

NOW = datetime.now(UTC)
KEPT = ("quarantine.csv", "quarantine-edited-2026.csv", "quarantine.xlsx", "rejection.json", "report.md", "forecast.json")

Forget = Callable[..., Result]


@pytest.fixture(scope="session", autouse=True)
def prefect_server() -> None:
    """No test here starts a flow."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DEALCAST_LEDGER", raising=False)
    return tmp_path / "home"


@pytest.fixture
def forget(home: Path) -> Forget:  # noqa: ARG001 - the command reads it
    return lambda *words, said="": CliRunner().invoke(main, ["forget", *words], input=said)


def synced(home: Path, collection: str, **changes: Any) -> Ledger:
    """What a sync leaves, in the home and in a folder of the user's own that has other files."""
    own = home.parent / "own"
    values: dict[str, Any] = dict.fromkeys(("csv_sha256",), "") | dict.fromkeys(("rows", "quarantined"), 1)
    done = Sending(state="completed", intended_at=NOW, id="request-1", accepted_at=NOW, completed_at=NOW)
    values |= {"fingerprint": "0" * 32, "collection": collection, "mode": "append", "created_at": NOW, "totals": {}, "export": {}}
    values |= {"upload": done, "indexed": True, "options": {"out": str(own)}}
    ledger = Ledger(str(home / "ledger"))
    ledger.write(Entry(**(values | changes)))
    ledger.put(collection, "0.parquet", b"ids")
    for folder in (own, home / "forecasts" / collection):
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*KEPT, *(["notes.txt"] if folder == own else [])):
            (folder / name).write_text("a deal", encoding="ascii")
    return ledger


def test_all_of_one_collection_goes_and_nothing_else(forget: Forget, home: Path) -> None:
    ledger = synced(home, "acme")
    other = Ledger(str(home / "ledger"))
    other.put("globex", "0.parquet", b"ids")
    done = forget("acme", "--yes")
    assert (done.exit_code, done.stdout.count(f"{2 * len(KEPT)} files")) == (0, 1), done.output
    assert ledger.collections() == ["globex"]
    assert [path.name for path in (home.parent / "own").iterdir()] == ["notes.txt"]
    assert [path for path in home.rglob("*") if path.is_file() and path.stat().st_size] == [home / "ledger/globex/0.parquet"]
    assert forget("acme", "--yes").exit_code == 2


@pytest.mark.parametrize(("said", "code"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_it_asks_first_and_lists_what_would_go(forget: Forget, home: Path, said: str, code: int) -> None:
    ledger = synced(home, "acme")
    done = forget("acme", said=said)
    assert done.exit_code == code
    assert all(f"{home}/forecasts/acme/{name}" in done.stdout for name in KEPT)
    assert (ledger.collections() == []) == (code == 0)
    assert (home / "forecasts/acme/report.md").exists() == (code != 0)


def test_what_was_verified_and_never_synced_goes_too(forget: Forget, home: Path) -> None:
    """By its folder alone; nothing beside it can be named."""
    for name in ("acme", "globex"):
        (home / "forecasts" / name).mkdir(parents=True)
        (home / "forecasts" / name / "differences.csv").write_text("a deal", encoding="ascii")
    assert forget("acme", "--yes").exit_code == 0
    assert [path.name for path in (home / "forecasts").iterdir()] == ["globex"]
    for other in ("../forecasts/globex", "../forecasts", ".", "", "acme"):
        assert forget(other, "--yes").exit_code == 2, other
    assert (home / "forecasts/globex/differences.csv").exists()


def test_the_folder_of_its_name_goes_too_unless_it_is_another_s(forget: Forget, home: Path) -> None:
    """A dry run that knows the name alone writes there."""
    for identifier, name in (("1a", "acme"), ("2b", "globex"), ("globex", "other")):
        synced(home, identifier).put_line(identifier, NAME, name)
    for name in ("acme", "globex"):
        (home / "forecasts" / name).mkdir(exist_ok=True)
        (home / "forecasts" / name / "quarantine.csv").write_text("a deal", encoding="ascii")
    assert forget("acme", "--yes").exit_code == forget("2b", "--yes").exit_code == 0
    assert [path.name for path in (home / "forecasts").iterdir()] == ["globex"]


def test_a_damaged_ledger_is_forgotten_where_told(forget: Forget, home: Path) -> None:
    ledger = synced(home, "acme")
    (home / "ledger/acme" / f"{'0' * 32}.json").write_text("torn", encoding="ascii")
    refused = forget("acme", "--yes")
    assert (refused.exit_code, "--in-flight" in refused.output) == (2, True)
    assert forget("acme", "--yes", "--in-flight").exit_code == 0
    assert (ledger.collections(), (home / "forecasts/acme").exists()) == ([], False)


def test_what_is_in_flight_is_kept_unless_told(forget: Forget, home: Path) -> None:
    ledger = synced(home, "acme", upload=Sending(state="accepted", intended_at=NOW, id="request-1", accepted_at=NOW))
    refused = forget("acme", "--yes")
    assert (refused.exit_code, "dealcast resume --collection acme" in refused.output) == (2, True)
    assert ledger.collections() == ["acme"]
    assert forget("acme", "--yes", "--in-flight").exit_code == 0
    assert ledger.collections() == []


def test_a_sync_at_work_here_or_elsewhere_is_not_disturbed(forget: Forget, home: Path) -> None:
    ledger = synced(home, "acme")
    ledger.put("acme", HOLDER, b'{"host": "elsewhere", "pid": "1", "since": "today"}')
    refused = forget("acme", "--yes", "--in-flight")
    assert (refused.exit_code, "process 1 on elsewhere" in refused.output) == (6, True)
    ledger.delete("acme", HOLDER)
    with (home / "locks/acme.lock").open("a+") as lock:
        lock.write('{"host": "here", "pid": "2", "since": "today"}')
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = forget("acme", "--yes")
    assert (refused.exit_code, "process 2 on here" in refused.output) == (6, True)
    assert ledger.collections() == ["acme"]


def test_the_next_command_of_the_home_removes_what_a_killed_one_left(home: Path) -> None:
    """Whichever it is: this one reads no export."""
    with staging_folder(home) as living:
        for left in ("staging/1/deals.arrow", "staging/spool"):
            (home / left).parent.mkdir(exist_ok=True)
            (home / left).write_text("a deal", encoding="ascii")
        assert CliRunner().invoke(main, ["status"]).exit_code == 0
        assert [*(home / "staging").iterdir()] == [living]

"""The runbook's page on state: what happens where it is backed up, moved, restored or lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.conftest import Dealcast, WriteDeals


Sync = Callable[[Path], str]
"""Syncs an export without a forecast, and returns what it printed."""


@pytest.fixture(autouse=True)
def engine(prefect_server: None) -> None:
    """Each test runs syncs."""


@pytest.fixture
def sync(dealcast: Dealcast, collection: str) -> Sync:
    return lambda export: dealcast("sync", export, "--crm", "canonical", "--collection", collection, "--no-forecast").stdout


def test_a_lost_ledger_costs_an_upload_and_no_deal(
    sync: Sync, dealcast: Dealcast, home: Path, collection: str, write_deals: WriteDeals
) -> None:
    sync(write_deals(3))
    shutil.rmtree(home)
    assert "3 deals sent" in sync(write_deals(3))
    dealcast("collections", "verify", collection, write_deals(3), "--crm", "canonical", "--mode", "override")


@pytest.mark.slow
def test_a_copied_ledger_moves_to_another_machine(
    sync: Sync, home: Path, tmp_path: Path, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(write_deals(3))
    shutil.copytree(home / "ledger", tmp_path / "moved/ledger")
    shutil.rmtree(home)
    monkeypatch.setenv("DEALCAST_HOME", str(tmp_path / "moved"))
    assert "othing new" in sync(write_deals(3))


def test_an_older_ledger_is_safe_to_restore(
    sync: Sync, dealcast: Dealcast, home: Path, tmp_path: Path, collection: str, write_deals: WriteDeals
) -> None:
    sync(write_deals(3))
    shutil.copytree(home / "ledger", tmp_path / "backup")
    newest = write_deals(5, stage="Closed Won")
    sync(newest)
    shutil.rmtree(home / "ledger")
    shutil.copytree(tmp_path / "backup", home / "ledger")
    assert "5 deals sent" in sync(newest)
    dealcast("collections", "verify", collection, newest, "--crm", "canonical", "--mode", "override")


@pytest.mark.parametrize("lost", sampled(["locks", "staging", "forecasts"]))
def test_what_else_lies_in_the_home_is_made_anew(sync: Sync, home: Path, write_deals: WriteDeals, lost: str) -> None:
    sync(write_deals(3))
    shutil.rmtree(home / lost, ignore_errors=True)
    assert "othing new" in sync(write_deals(3))


@pytest.mark.slow
def test_an_uninstallation_finds_all_of_it_in_the_home(
    sync: Sync, home: Path, tmp_path: Path, write_deals: WriteDeals, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    monkeypatch.setenv("HOME", str(user))
    monkeypatch.chdir(user)
    sync(write_deals(3, name="deals.csv"))
    assert (home / "ledger").is_dir()
    assert list(user.rglob("*")) == [], "nothing in the user's folder, or in the one where the command was run"


@pytest.mark.slow
def test_a_sync_leaves_nothing_in_the_staging_folder(sync: Sync, home: Path, write_deals: WriteDeals) -> None:
    sync(write_deals(3))
    assert list((home / "staging").iterdir()) == []
    assert {path.name for path in home.iterdir()} <= {"ledger", "forecasts", "staging", "locks"}

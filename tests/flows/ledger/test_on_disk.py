"""What a sync leaves on this machine's disk: nothing staged, and the rest for its owner alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Fault, Sync, WriteDeals


@pytest.mark.parametrize("fails", [False, True])
def test_what_lies_on_disk_is_the_owner_s_alone(sync: Sync, write_deals: WriteDeals, fault: Fault, home: Path, fails: bool) -> None:
    if fails:
        fault("fail", "*/append", "POST")
    sync(write_deals())
    assert list((home / "staging").iterdir()) == []
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in folders} == {"0o700"}
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {oct(stat.S_IMODE(path.stat().st_mode)) for path in files} == {"0o600"}


def test_staging_of_a_killed_run_is_removed_by_the_next(sync: Sync, write_deals: WriteDeals, home: Path) -> None:
    left = home / "staging" / "of-a-killed-run"
    left.mkdir(parents=True)
    (left / "deals.csv").write_text("people's data")
    sync(write_deals())
    assert not left.exists()

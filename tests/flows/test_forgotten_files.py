"""Every file that dealcast writes about a collection, wherever it lies, is gone once the collection is forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pytest
from click.testing import CliRunner

from deployments.cli import main
from tests.conftest import sampled

if TYPE_CHECKING:
    from tests.conftest import WriteDeals
    from tests.flows.conftest import Fault, Sync

OF_A_COLLECTION = {
    "quarantine.csv", "quarantine.xlsx", "rejection.json", "gone.csv", "differences.csv", "report.md", "certificate.json",
    "forecast.json", "forecast.csv", "forecast.xlsx",
}  # fmt: skip
"""All that a collection's folder may have; a new file is added here, and to `forget`."""

OWN = "notes.txt"


def files_of(place: Path) -> set[str]:
    return {path.name for path in place.rglob("*") if path.is_file()}


def written(collection: str, out: Path, sync: Sync, write_deals: WriteDeals, fault: Fault) -> None:
    """Have dealcast write each of its files about a collection into ``out``."""
    options: dict[str, Any] = {"out": str(out), "quarantine_limit": "1", "accept_shrink": True}
    assert sync(write_deals(4), **options).is_completed()
    assert sync(write_deals(3, {"value": "none"}), **options).is_completed()
    verified = CliRunner().invoke(
        main, ["collections", "verify", collection, str(write_deals(5)), "--crm", "canonical", "--mode", "override"]
    )
    assert verified.exit_code == 9, verified.output
    fault("spoil", "*/append", "POST")
    assert sync(write_deals(3, {"value": "none"}, value="2000"), **options).is_failed()


@pytest.mark.parametrize(("ledger", "own"), sampled({"all in the home": ("", False), "all elsewhere": ("memory://forgotten/ledger", True)}))
def test_nothing_of_a_collection_is_left(
    ledger: str,
    own: bool,
    collection: str,
    home: Path,
    tmp_path: Path,
    sync: Sync,
    write_deals: WriteDeals,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The lock's file stays, and is empty; so do files of the user's own."""
    if ledger:
        monkeypatch.setenv("DEALCAST_LEDGER", ledger)
    out = tmp_path / "out" if own else home / "forecasts" / collection
    written(collection, out, sync, write_deals, fault)
    assert files_of(out) | files_of(home / "forecasts") >= OF_A_COLLECTION
    (out / OWN).write_text("mine")
    done = CliRunner().invoke(main, ["forget", collection, "--yes", "--in-flight"])
    assert done.exit_code == 0, done.output
    left = [path for place in (home, out) for path in place.rglob("*") if path.is_file() and path.stat().st_size]
    assert [path.name for path in left] == ([OWN] if own else [])
    if ledger:
        store, root = fsspec.core.url_to_fs(ledger)
        assert [path for path in store.find(root) if collection in path] == []

"""Deals that are gone from the CRM: counted, kept or deleted by id, and never a deal of the export with them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from click.testing import Result

    from deployments.sandbox import Sandbox
    from flows.nostradamus import Nostradamus
    from tests.conftest import Dealcast, WriteDeals

Held = Callable[[], set[str]]


@pytest.fixture(autouse=True)
def engine(prefect_server: None) -> None:
    """Each test runs syncs."""


@pytest.fixture
def sync(dealcast: Dealcast, collection: str) -> Callable[..., Result]:
    def run(export: Path, *more: object, code: int = 0) -> Result:
        return dealcast("sync", export, "--crm", "canonical", "--collection", collection, "--no-forecast", *more, code=code)

    return run


@pytest.fixture
def held(platform: Nostradamus, collection: str, tmp_path: Path) -> Held:
    def read() -> set[str]:
        platform.dump(collection, tmp_path / "dump.csv")
        with (tmp_path / "dump.csv").open(newline="", encoding="utf-8") as source:
            return {row["id"] for row in csv.DictReader(source)}

    return read


def test_gone_deals_are_counted_and_kept_unless_told_otherwise(
    sync: Callable[..., Result], held: Held, write_deals: WriteDeals, home: Path, collection: str
) -> None:
    sync(write_deals(480))
    said = json.loads(sync(write_deals(475), "--json").stdout)
    named = home / "forecasts" / collection / "gone.csv"
    assert (said["deals_gone"], said["gone_file"]) == (5, str(named))
    assert (named.read_text().replace('"', "").split(), named.stat().st_mode & 0o777) == (["id", "476", "477", "478", "479", "480"], 0o600)
    assert len(held()) == 480
    assert (
        f"5 of 480 known deals are gone from the export; their ids are in `{named}`"
        in (home / "forecasts" / collection / "report.md").read_text()
    )


def test_gone_deals_are_deleted_by_id(sync: Callable[..., Result], held: Held, write_deals: WriteDeals, sandbox: Sandbox) -> None:
    sync(write_deals(480))
    said = json.loads(sync(write_deals(475), "--missing", "delete", "--json").stdout)
    assert (said["rows_sent"], said["deals_deleted"]) == (0, 5)
    assert held() == {str(number) for number in range(1, 476)}
    assert len(sandbox.control("GET", "requests?method=DELETE&path=*/deals/delete")) == 1
    assert "Nothing new" in sync(write_deals(475), "--missing", "delete").stdout
    assert "5 deals sent" in sync(write_deals(480)).stdout, "deals that come back are sent again"
    assert len(held()) == 480


@pytest.mark.slow
def test_an_append_completes_before_a_delete(sync: Callable[..., Result], held: Held, write_deals: WriteDeals, sandbox: Sandbox) -> None:
    sync(write_deals(480))
    said = json.loads(sync(write_deals(474, {"value": "7"}), "--missing", "delete", "--json").stdout)
    assert (said["rows_sent"], said["deals_deleted"]) == (1, 6)
    assert held() == {str(number) for number in range(1, 475)} | {"extra-0"}
    asked = [(entry["method"], entry["path"]) for entry in sandbox.control("GET", "requests")]
    deleted = next(number for number, (method, _) in enumerate(asked) if method == "DELETE")
    assert max(number for number, (_, path) in enumerate(asked) if "/append" in path) < deleted


@pytest.mark.slow
def test_many_gone_deals_are_stopped_by_the_guard(
    sync: Callable[..., Result], held: Held, write_deals: WriteDeals, sandbox: Sandbox
) -> None:
    sync(write_deals(480))
    stopped = sync(write_deals(400), "--missing", "delete", code=7)
    assert "80 of 480 known deals are gone from the export and would be deleted, at most 20" in stopped.stderr
    assert "gone.csv)" in stopped.stderr
    assert "'401'" not in stopped.stderr
    assert "100 of 480 deals sent before are not in it (their ids are in " in sync(write_deals(380), "--missing", "delete", code=7).stderr
    stopped = sync(write_deals(380), "--missing", "delete", "--accept-shrink", code=7)
    assert "100 of 480 known deals are gone from the export and would be deleted, at most 20 may be (their ids are in " in stopped.stderr
    assert "--missing-limit 100" in stopped.stderr
    assert (len(held()), sandbox.control("GET", "requests?method=DELETE&path=*/deals/delete")) == (480, [])
    sync(write_deals(400), "--missing", "delete", "--missing-limit", "80")
    assert len(held()) == 400


@pytest.mark.slow
def test_a_part_of_an_export_deletes_nothing(dealcast: Dealcast, collection: str, write_deals: WriteDeals, sandbox: Sandbox) -> None:
    command = ["sync", write_deals(5), "--crm", "canonical", "--collection", collection, "--no-forecast"]
    dealcast(*command)
    assert "--limit takes a part" in dealcast(*command, "--missing", "delete", "--limit", "3", code=2).stderr
    assert sandbox.control("GET", "requests?method=DELETE&path=*/deals/delete") == []


@pytest.mark.slow
def test_a_refused_delete_is_told_and_tried_again(
    sync: Callable[..., Result], held: Held, write_deals: WriteDeals, sandbox: Sandbox
) -> None:
    sync(write_deals(20))
    sandbox.control("POST", "faults", {"kind": "status", "method": "DELETE", "path": "*/deals/delete", "status": 400})
    sync(write_deals(18), "--missing", "delete", code=5)
    sandbox.control("DELETE", "faults")
    assert len(held()) == 20
    sync(write_deals(18), "--missing", "delete")
    assert len(held()) == 18

"""Whatever starts a sync, it takes the reading of the last one where nothing is said, and stops in the same words where it differs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.errors import StoppedByGuard, UsageError
from flows.sync_collections import sync_collections
from flows.sync_deals import resume_sync, sync_deals, sync_on_demand

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

    from deployments.sandbox import Sandbox
    from tests.flows.conftest import Failing, Fault, Sync, WriteDeals

TOKYO = {"crm_timezone": "Asia/Tokyo"}


def by_table(path: Path, values: dict[str, Any]) -> State[Any]:
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, list(values))
        writer.writeheader()
        writer.writerow(values)
    state: State[Any] = sync_collections(str(path), return_state=True)
    return state


def test_a_deployment_a_form_and_a_table_take_the_reading_of_the_last_sync(
    failing: Failing, write_deals: WriteDeals, collection: str, tmp_path: Path, told: list[str]
) -> None:
    values: dict[str, Any] = {"export": str(write_deals(3)), "crm": "canonical", "collection": collection, "forecast": "never"}
    assert sync_deals(values | TOKYO, return_state=True).is_completed(), "a deployment's parameters are plain JSON"
    assert sync_on_demand(**values, return_state=True).name == "NothingNew"
    assert by_table(tmp_path / "table.csv", values).is_completed()
    assert any("crm_timezone Asia/Tokyo; --forget-reading takes nothing from it" in line for line in told)
    stopped = failing(Path(values["export"]), crm_timezone="UTC", forecast="never")
    assert "crm_timezone was Asia/Tokyo, is UTC" in str(stopped)
    for state in (
        sync_on_demand(**values, crm_timezone="UTC", return_state=True),
        by_table(tmp_path / "table.csv", values | {"crm_timezone": "UTC"}),
    ):
        error = state.result(raise_on_failure=False)
        assert isinstance(error, StoppedByGuard)
        assert str(stopped) in str(error)


@pytest.mark.slow
def test_what_a_resumed_sync_said_is_remembered(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, sandbox: Sandbox, collection: str
) -> None:
    fault("status", "*/append/*", "GET", status=403, count=None)
    failing(write_deals(3), forecast="never", **TOKYO)
    sandbox.control("DELETE", "faults")
    assert resume_sync(collection, return_state=True).is_completed()
    assert sync(write_deals(3), forecast="never").name == "NothingNew"
    assert "crm_timezone was Asia/Tokyo, is local" in str(failing(write_deals(3), forecast="never", forget_reading=True))


@pytest.mark.slow
def test_a_stop_by_what_was_not_said_names_where_it_is_from_and_how_to_unsay_it(sync: Sync, failing: Failing, tmp_path: Path) -> None:
    header = "Record ID,Deal Name,Deal Stage,Amount,Create Date,Close Date,Last Modified Date,Pipeline\n"
    row = "{},A,Closed won,1,2026-01-01,2026-02-01,2026-02-02,{}\n"
    first, other = tmp_path / "first.csv", tmp_path / "other.csv"
    first.write_text(header + row.format(1, "Sales") + row.format(2, "Partners"))
    other.write_text(header + row.format(1, "New sales"))
    options = {"crm": "hubspot", "forecast": "never"}
    assert sync(first, pipeline="Sales", **options).is_completed()
    stopped = failing(other, **options)
    assert isinstance(stopped, UsageError)
    assert "No pipeline 'Sales'" in str(stopped)
    assert "As by the last completed sync, since nothing else was said: pipeline Sales; --forget-reading takes nothing from it." in str(
        stopped
    )
    assert sync(other, **options, forget_reading=True).name == "NothingNew"
    assert sync(other, **options).name == "NothingNew", "what is unsaid stays so"

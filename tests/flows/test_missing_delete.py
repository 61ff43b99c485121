"""`--missing delete` beside what else may be there: quarantine, a mark of deletion, deals that come back, an override, a send in flight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

from flows.errors import UsageError

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync

HEADER = "Record ID,Deal Name,Deal Stage,Amount,Create Date,Close Date,Last Modified Date,_fivetran_deleted\n"
BAD = {"amount": "-1"}
DELETED = {"deleted": "true"}


def write(path: Path, deals: dict[str, dict[str, str]]) -> Path:
    """An export of won deals by id, each the cells in which it differs."""
    rows = ({"amount": "1", "deleted": "false", "id": name} | cells for name, cells in deals.items())
    path.write_text(
        HEADER + "".join("{id},A,Closed won,{amount},2026-01-01,2026-02-01,2026-02-02,{deleted}\n".format(**each) for each in rows)
    )
    return path


def test_a_mark_of_deletion_deletes_and_the_quarantine_does_not(
    sync: Sync, failing: Failing, held: Held, asked: Asked, tmp_path: Path, home: Path, collection: str
) -> None:
    """A deal that comes back is sent again; an override leaves nothing to delete; a part of an export deletes nothing."""
    path = tmp_path / "deals.csv"
    whole: dict[str, dict[str, str]] = {str(number): {} for number in range(1, 13)}
    options = {"crm": "hubspot", "forecast": "never", "missing": "delete"}
    assert sync(write(path, whole), **options).is_completed()
    state = sync(write(path, whole | {"11": BAD, "12": DELETED}), **options, quarantine_limit="1")
    assert state.result().deleted == 1, "the quarantined one is in the export"
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[state.state_details.flow_run_id]))
        [shown] = [each for each in client.read_artifacts(artifact_filter=chosen) if str(each.key).startswith("gone-")]
    assert json.loads(str(shown.data)) == [{"form of the id": "99", "deals": 1}]
    assert "1 of 12 known deals are gone from the export; their ids are in " in str(shown.description)
    assert set(held()) == set(whole) - {"12"}
    quarantine = home / "forecasts" / collection / "quarantine.csv"
    quarantine.write_text(quarantine.read_text().replace("-1,", "1,").replace('"-1"', '"1"'))
    refused = failing(quarantine, **options | {"crm": "canonical"})
    assert isinstance(refused, UsageError)
    assert "a quarantine file takes a part" in str(refused)
    assert sync(write(path, whole), **options).result().rows_sent == 1, "it came back"
    assert sync(write(path, dict(list(whole.items())[:11])), **options | {"mode": "override"}).is_completed()
    assert sync(path, **options).name == "NothingNew"
    assert set(held()) == set(whole) - {"12"}
    assert asked("DELETE", "*/deals/delete") == 1


@pytest.mark.slow
def test_a_deal_of_an_upload_in_flight_is_known_and_deleted_when_it_is_gone(
    sync: Sync, failing: Failing, held: Held, asked: Asked, fault: Fault, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The upload of which nobody learned the end is followed first, and so is a delete."""
    path, options = tmp_path / "deals.csv", {"crm": "hubspot", "forecast": "never", "missing": "delete"}
    assert sync(write(path, {"1": {}, "2": {}}), **options).is_completed()
    fault("status", "*/append/*", "GET", status=403, count=None)
    failing(write(path, {"1": {}, "2": {}, "3": {}}), **options)
    sandbox.control("DELETE", "faults")
    fault("status", "*/delete/*", "GET", status=403, count=None)
    failing(write(path, {"1": {}, "2": {}}), **options, accept_shrink=True)
    sandbox.control("DELETE", "faults")
    assert sync(path, **options).is_completed()
    assert (sorted(held()), asked("POST", "*/append"), asked("DELETE", "*/deals/delete")) == (["1", "2"], 2, 1)


@pytest.mark.slow
def test_an_id_in_capitals_is_another_deal_and_takes_the_place_of_the_first(sync: Sync, held: Held, tmp_path: Path) -> None:
    """Salesforce's ids of 15 characters differ by that alone; spellings that no CRM means as two stop, see `test_id_spellings.py`."""
    path, options = tmp_path / "deals.csv", {"crm": "hubspot", "forecast": "never", "missing": "delete"}
    assert sync(write(path, {"deal-1": {}, "deal-2": {}}), **options).is_completed()
    state = sync(write(path, {"DEAL-1": {}, "deal-2": {}}), **options, accept_shrink=True)
    assert state.is_completed(), state.message
    assert sorted(held()) == ["DEAL-1", "deal-2"]

"""Personal text in an export is in nothing that a run leaves in Prefect (database, artifacts, states, logs), nor logged at DEBUG."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterId, TaskRunFilterState, TaskRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.logging.handlers import APILogHandler
from prefect.settings import PREFECT_API_DATABASE_CONNECTION_URL

from flows import errors
from flows.errors import DealcastError
from tests.broken_exports import CASES, NEEDLE, PERSON, rows_of
from tests.conftest import sampled, wait_for

if TYPE_CHECKING:
    from deployments.sandbox import Sandbox
    from flows.nostradamus import Nostradamus
    from tests.flows.conftest import Sync

pytestmark = pytest.mark.filterwarnings("ignore:Logger 'prefect:UserWarning")  # what is logged outside of a flow goes to no API

SOME = ["a person in stage", "an empty id", "a header that is a person"]
"""The cheap witness of :func:`test_no_broken_export_is_in_prefect`: rows quarantined and refused, and a header that is unknown."""


@task
def mark() -> None:
    """Be the last of the task runs."""


def found_in_prefect(needle: re.Pattern[str]) -> list[str]:
    """What surrounds each hit in the files of the server's database, its log of writes included, once all that a run leaves is written."""
    APILogHandler().flush()
    last = mark(return_state=True).state_details.task_run_id  # the server writes them down in the order in which they come
    assert last is not None
    event = {"filter": {"resource": {"id": [f"prefect.task-run.{last}"]}, "event": {"name": ["prefect.task-run.Completed"]}}}
    completed = TaskRunFilterState(type=TaskRunFilterStateType(any_=[StateType.COMPLETED]))
    chosen = TaskRunFilter(id=TaskRunFilterId(any_=[last]), state=completed)
    with get_client(sync_client=True) as client:
        wait_for(lambda: client.read_task_runs(task_run_filter=chosen), "the last task run to be written down")
        wait_for(lambda: client.request("POST", "/events/filter", json=event).json()["events"], "the last event to be written down")
    url = str(PREFECT_API_DATABASE_CONNECTION_URL.value())
    database = Path(url.partition(":///")[2].partition("?")[0])
    hits = []
    for path in sorted(database.parent.glob(f"{database.name}*")):
        text = path.read_bytes().decode("latin-1")
        hits += [text[max(hit.start() - 200, 0) : hit.end() + 100] for hit in needle.finditer(text)]
    return hits


def run_all(sync: Sync, folder: Path, names: list[str]) -> set[str]:
    """Sync each export, by turns with most rows and with none that may be quarantined; return the kinds of errors that ended them."""
    ended = set()
    for number, name in enumerate(names):
        make, crm = CASES[name]
        path = folder / f"deals-{number}.export"
        path.write_bytes(make(rows_of()))
        state = sync(path, crm=crm, quarantine_limit=("99%", "0")[number % 2], full=True)
        found = NEEDLE.search(f"{state.message} {state.name}")
        assert not found, f"{name}: {state.message}"
        if not state.is_completed():
            error = state.result(raise_on_failure=False)
            assert isinstance(error, DealcastError), (name, error)
            ended.add(type(error).__name__)
    return ended


def test_some_broken_exports_are_nowhere_in_prefect(sync: Sync, tmp_path: Path, logged: list[str]) -> None:
    run_all(sync, tmp_path, SOME)
    assert any("dealcast" in line or "prefect" in line for line in logged), "something was heard"
    assert [line for line in logged if NEEDLE.search(line)] == []
    assert found_in_prefect(NEEDLE) == []


@pytest.mark.slow
def test_no_broken_export_is_in_prefect(sync: Sync, tmp_path: Path, logged: list[str]) -> None:
    """All of them, which are more than a hundred."""
    ended = run_all(sync, tmp_path, list(CASES))
    assert len(CASES) >= 40
    assert {"ExportUnreadable", "ExportUnmappable", "StoppedByGate"} <= ended
    assert [line for line in logged if NEEDLE.search(line)] == []
    assert found_in_prefect(NEEDLE) == []


TWICE = {
    "column": "id",
    "check": "field_uniqueness",
    "error": f"series 'id' contains duplicate values:\n0    {PERSON}\n1    kanari-6789012",
}
CASE = {"column": "stage", "check": "isin(['Won'])", "error": f"Column 'stage' failed validator 0: isin(['Won']) failure cases: {PERSON}"}
COERCED = {"column": "value", "check": "float64", "error": f"Error while coercing 'value': index failure_case 0 1 {PERSON}"}
REPORT = {"status": "error", "message": f"Row 3 is {PERSON}", "validationErrors": [{"DATA": {"A": [TWICE, CASE, COERCED]}}]}
FAILED = {"status": "error", "message": f"Deal kanari-6789012 of {PERSON} has no month"}

OF_THE_PLATFORM: list[tuple[str, dict[str, Any]]] = [
    ("AppendRejected", {"kind": "altered", "method": "GET", "path": "*/append/*", "fields": REPORT}),
    ("PlatformRefused", {"kind": "status", "method": "POST", "path": "*/append", "status": 422}),
    ("UnexpectedAnswer", {"kind": "unknown_status", "method": "GET", "path": "*/append/*", "word": PERSON}),
    ("OutcomeUnknown", {"kind": "garbage", "method": "POST", "path": "*/append", "body": f"{PERSON} is no status"}),
    ("ForecastFailed", {"kind": "altered", "method": "GET", "path": "/api/invocation/*", "fields": FAILED}),
    ("OutcomeUnknown", {"kind": "drop_after_commit", "method": "POST", "path": "*/append"}),
    ("AppendRejected", {"kind": "spoil", "method": "POST", "path": "*/append"}),
    ("NotAuthorized", {"kind": "status", "method": "POST", "path": "*/append", "status": 403}),
    ("NotFound", {"kind": "status", "method": "POST", "path": "*/append", "status": 404}),
    ("PlatformBusy", {"kind": "status", "method": "POST", "path": "*/append", "status": 503}),
    ("ForecastFailed", {"kind": "fail", "method": "POST", "path": "/api/invocation"}),
]
"""Error classes, each with how the platform brings it about, with people in every column of what it was sent."""


@pytest.mark.parametrize("kinds", sampled({"those that quote": OF_THE_PLATFORM[:5], "the others": OF_THE_PLATFORM[5:]}))
def test_no_error_of_the_platform_tells_of_a_deal(
    sync: Sync,
    platform: Nostradamus,
    sandbox: Sandbox,
    tmp_path: Path,
    logged: list[str],
    monkeypatch: pytest.MonkeyPatch,
    kinds: list[tuple[str, dict[str, Any]]],
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    monkeypatch.setenv("DEALCAST_ON_UNKNOWN", "stop")
    make, _ = CASES["a person in name"]
    path = tmp_path / "deals.csv"
    path.write_bytes(make(rows_of()))
    ended = []
    for kind, fault in kinds:
        collection = platform.create_collection(kind, "Europe/Rome").id
        sandbox.control("POST", "faults", {"count": None, **fault})
        state = sync(path, collection=collection)
        sandbox.control("DELETE", "faults")
        assert not NEEDLE.search(f"{state.message}"), state.message
        ended.append((kind, type(state.result(raise_on_failure=False))))
    assert [(kind, made.__name__) for kind, made in ended if not issubclass(made, getattr(errors, kind))] == []
    assert [line for line in logged if NEEDLE.search(line)] == []
    assert found_in_prefect(NEEDLE) == []


def test_a_leak_is_found_in_all_places(sync: Sync, tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A person of another name, since what is leaked stays in the database: cells shown as they are would fail the tests above."""
    other = re.compile("zanardella")
    monkeypatch.setattr("expectations.check_report.shape", lambda _: f"zanardella {PERSON[:0]}")
    path = tmp_path / "deals.csv"
    path.write_bytes(CASES["an empty value"][0](rows_of()))
    assert found_in_prefect(other) == []
    assert sync(path, quarantine_limit="99%").is_completed()
    logging.getLogger("prefect.flow_runs").debug("read zanardella")
    assert len([line for line in logged if other.search(line)]) >= 1
    assert found_in_prefect(other) != [], "the table of rejected rows has it"

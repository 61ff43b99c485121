"""A table of collections, each with an export of its own: side by side in one process; its reading is strict."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.concurrency.sync import concurrency
from prefect.states import Failed, Pending, Running, Scheduled

from flows import errors
from flows import sync_collections as sync_collections_module
from flows.errors import (
    CollectionBusy,
    DeadlinePassed,
    DealcastError,
    NotAuthorized,
    StillProcessing,
    StoppedByGate,
    StoppedByGuard,
    UsageError,
)
from flows.ledger import dead_runs
from flows.many_collections import ended_as_one
from flows.nostradamus import Nostradamus
from flows.sync_collections import await_runs, read_collections, sync_collections
from flows.sync_deals import sync_deals
from flows.ui.notices import error_of, error_tag

if TYPE_CHECKING:
    from tests.conftest import WriteDeals

ROOT_ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, DealcastError)]


@pytest.fixture
def customers(platform: Nostradamus, home: Path) -> list[str]:  # noqa: ARG001 - the home sets the environment
    return [platform.create_collection(f"customer {number}", "Europe/Rome").id for number in range(3)]


def write_table(path: Path, *rows: dict[str, Any]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as sink:
        writer = csv.DictWriter(sink, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def rows_of(platform: Nostradamus, collection: str, tmp_path: Path) -> int:
    platform.dump(collection, tmp_path / "dump.csv")
    return len(list(csv.DictReader((tmp_path / "dump.csv").open(newline=""))))


def test_each_collection_gets_its_export_by_its_own_options(
    tmp_path: Path, customers: list[str], platform: Nostradamus, write_deals: WriteDeals, home: Path
) -> None:
    rows = [
        {"collection": collection, "export": str(write_deals(number, name=f"{number}.csv")), "crm": "canonical", "horizon": 2 * number}
        for number, collection in enumerate(customers, start=1)
    ]
    state = sync_collections(write_table(tmp_path / "customers.csv", *rows), return_state=True)
    assert state.is_completed(), state.message
    assert state.message == "3 collections synced."
    assert [rows_of(platform, collection, tmp_path) for collection in customers] == [1, 2, 3]
    months: list[Any] = [outcome.forecast.months for outcome in cast("list[Any]", state.result())]
    assert [len(each) for each in months] == [2, 4, 6]
    assert all((home / "forecasts" / collection / "certificate.json").exists() for collection in customers)


def test_one_that_fails_is_named_and_stops_no_other(
    tmp_path: Path, customers: list[str], platform: Nostradamus, write_deals: WriteDeals
) -> None:
    good, bad = write_deals(2), write_deals(2, {"value": "lots"}, name="bad.csv")
    rows = [
        {"collection": each, "export": str(bad if each == customers[1] else good), "crm": "canonical", "forecast": "never"}
        for each in customers
    ]
    state = sync_collections(write_table(tmp_path / "customers.csv", *rows), return_state=True)
    error = state.result(raise_on_failure=False)
    assert isinstance(error, StoppedByGate)
    assert "1 of 3 collections failed" in str(error)
    assert customers[1] in str(error)
    assert [rows_of(platform, collection, tmp_path) for collection in customers] == [2, 0, 2]


@pytest.mark.parametrize(
    ("text", "part"),
    {
        "collection;export\na;b\n": "line 1 has no column 'collection'",
        "export,crm\na.csv,hubspot\n": "line 1 has no column 'collection'",
        "collection,export,crm,horizont\nx,a.csv,hubspot,6\n": "line 1 names the unknown column 'horizont'",
        "collection,export,crm\n": "names no collection",
        "collection,export,crm\nx,a.csv,hubspot\nx,b.csv,hubspot\n": "line 3, column collection, value 'x' is on line 2 too",
        "collection,export,crm,horizon\nx,a.csv,hubspot,6\ny,a.csv,hubspot,13\n": "line 3, column horizon, value '13'",
        "collection,export,crm,out\nx,a.csv,hubspot,\ny,a.csv,hubspot,here\nz,a.csv,hubspot,here\n": (
            "line 4, column out, value 'here' is on line 3 too"
        ),
        "collection,export,crm\nx,,hubspot\n": "line 2, column export, value ''",
        "collection,export,crm\nx,a.csv\n": "line 2 has 2 cells, the header 3",
        "collection,export,crm\nx,a.csv,hubspot,more\n": "line 2 has 4 cells",
    }.items(),
)
def test_the_table_is_read_strictly(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=part):
        read_collections(str(path))


def test_an_empty_cell_is_the_option_s_default(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("collection,export,crm,horizon,full,limit\nx,a.csv,hubspot,,true,5\n")
    options = read_collections(str(path))["x"]
    assert (options.horizon, options.full, options.limit, options.pipeline) == (6, True, 5, None)


@pytest.mark.parametrize("kind", ROOT_ERRORS, ids=lambda kind: kind.__name__)
def test_an_error_is_told_by_the_tag_of_another_process_s_run(kind: type[DealcastError]) -> None:
    assert error_of(["dealcast", error_tag(kind("why"))]) is kind


def test_a_run_that_crashed_is_an_error_of_no_special_kind() -> None:
    assert error_of(["dealcast", "error:Nonsense"]) is error_of([]) is DealcastError


def test_people_are_told_the_error_that_says_most() -> None:
    """A busy collection is no news, and a guard's stop is one of its own: neither hides another failure."""
    errors_by_collection: dict[str, DealcastError] = {
        "a": CollectionBusy("busy"),
        "b": StoppedByGuard("shrunk"),
        "c": NotAuthorized("no token"),
    }
    while errors_by_collection:
        states: dict[str, State[Any]] = {name: Failed(message=str(error), data=error) for name, error in errors_by_collection.items()}
        ended = ended_as_one(states, "collections").result(raise_on_failure=False)
        assert type(ended) is type(list(errors_by_collection.values())[-1])
        errors_by_collection.popitem()


@pytest.fixture
def handed_out(customers: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[State[Any]], FlowRun]]:
    """Another look at the first customer's run, once it is given a state as a worker gives it, and time has passed; the run after that."""
    monkeypatch.setattr(dead_runs, "_PENDING_SECONDS", 0.0)
    monkeypatch.setattr(dead_runs, "_UNLOCKED_SECONDS", 0.0)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(sync_deals, parameters={"options": {}})

        def look(state: State[Any]) -> FlowRun:
            client.set_flow_run_state(run.id, state, force=True)
            with suppress(StillProcessing):
                await_runs.fn({customers[0]: run.id}, "sync-deals/one-of-many")
            return client.read_flow_run(run.id)

        yield look


def test_a_run_that_no_worker_begins_is_handed_out_again(handed_out: Callable[[State[Any]], FlowRun]) -> None:
    """Its worker died: Prefect leaves it pending for ever, under each of its names."""
    for name in ("Pending", "Submitting", "InfrastructurePending"):
        run = handed_out(Pending(name=name))
        assert run.state is not None
        assert (run.state.is_scheduled(), "no worker began it" in (run.state.message or "")) == (True, True)


def test_a_run_that_died_at_work_is_handed_out_once_more_and_then_given_up(
    handed_out: Callable[[State[Any]], FlowRun], customers: list[str]
) -> None:
    """It would be at work for ever; one that has its collection's lock is alive."""
    run = handed_out(Running())
    assert run.state is not None
    assert (run.state_type, run.run_count, "died at work" in (run.state.message or "")) == (StateType.SCHEDULED, 1, True)
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(f"dealcast-{customers[0]}", 1)
    with concurrency(f"dealcast-{customers[0]}", occupy=1, strict=True):
        assert handed_out(Running()).state_type == StateType.RUNNING
    assert handed_out(Running()).state_type == StateType.CRASHED


def test_runs_that_never_move_are_waited_for_so_long_and_no_longer(customers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_collections_module, "_READING", -7200.0)
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(sync_deals, parameters={"options": {}}, state=Scheduled())
    (state,) = await_runs.fn({customers[0]: run.id}, "sync-deals/one-of-many").values()
    error = state.result(raise_on_failure=False)
    assert isinstance(error, DeadlinePassed)
    assert "does a worker run" in str(error)


def test_an_unknown_deployment_is_named(tmp_path: Path, customers: list[str], write_deals: WriteDeals) -> None:
    table = write_table(tmp_path / "t.csv", {"collection": customers[0], "export": str(write_deals()), "crm": "canonical"})
    error = sync_collections(table, "sync-deals/nowhere", return_state=True).result(raise_on_failure=False)
    assert isinstance(error, UsageError)
    assert "no deployment 'sync-deals/nowhere'" in str(error)

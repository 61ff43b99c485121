"""Going on after a failure in the middle: what was accepted is not posted again, what was invoked is not invoked again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from prefect.exceptions import TerminationSignal

from deployments.sandbox import Sandbox
from flows.errors import NotAuthorized, UsageError
from flows.ledger.store import Ledger
from flows.nostradamus import Nostradamus
from flows.runtime.thread_interruption import interrupted_by
from flows.sync_deals import resume_sync
from tests.conftest import HANG, sampled

if TYPE_CHECKING:
    from pathlib import Path

    from prefect.client.schemas.objects import State

    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

MIDDLES = [
    ("GET", "*/append/*", (1, 0)),
    ("POST", "/api/invocation", (1, 1)),
    ("GET", "/api/invocation/*", (1, 1)),
    ("GET", "/api/invocation/*/xlsx", (1, 1)),
]
AGAIN = {"POST": 1, "GET": 0}


def resume(collection: str, request_id: str | None = None) -> State[Any]:
    state: State[Any] = resume_sync(collection, request_id, return_state=True)
    return state


@pytest.mark.parametrize("how", sampled(["resume", "sync"]))
@pytest.mark.parametrize(("method", "path", "sent"), sampled({f"{case[0]} {case[1]}": case for case in MIDDLES}, 2))
def test_a_run_that_broke_off_is_gone_on_with(
    failing: Failing,
    sync: Sync,
    write_deals: WriteDeals,
    sandbox: Sandbox,
    fault: Fault,
    asked: Asked,
    held: Held,
    collection: str,
    how: str,
    method: str,
    path: str,
    sent: tuple[int, int],
) -> None:
    """`dealcast resume`, or simply the same sync again, ends with the forecast downloaded and nothing sent twice."""
    fault("status", path, method, status=403, count=None)
    assert isinstance(failing(write_deals()), NotAuthorized)
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == sent
    sandbox.control("DELETE", "faults")
    state = resume(collection) if how == "resume" else sync(write_deals())
    assert state.is_completed(), state.message
    assert len(state.result().forecast.months) == 3
    assert len(held()) == 3
    refused_invocations = 1 if path == "/api/invocation" else 0
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1 + refused_invocations)


@pytest.mark.slow
def test_resume_goes_on_after_the_deadline_passed(
    failing: Failing,
    write_deals: WriteDeals,
    fault: Fault,
    sandbox: Sandbox,
    asked: Asked,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault("stuck", "*/append", "POST")
    monkeypatch.setenv("DEALCAST_DEADLINE", "0.3")
    assert failing(write_deals()).exit_code == 6
    sandbox.control("DELETE", "faults")
    monkeypatch.setenv("DEALCAST_DEADLINE", str(HANG))
    state = resume(collection)
    assert state.is_completed(), state.message
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)


@pytest.mark.slow
def test_the_deadline_counts_from_acceptance_not_from_the_run(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run has no new deadline: it looks, finds it passed, and says so at once."""
    fault("stuck", "*/append", "POST")
    monkeypatch.setenv("DEALCAST_DEADLINE", "0.3")
    failing(write_deals())
    looks = asked("GET", "*/append/*")
    assert resume(collection).is_failed()
    assert asked("GET", "*/append/*") - looks <= 1
    assert asked("POST", "/api/invocation") == 0


@pytest.mark.slow
def test_resume_by_request_id(
    failing: Failing, write_deals: WriteDeals, fault: Fault, sandbox: Sandbox, collection: str, home: Path
) -> None:
    fault("status", "*/append/*", status=401, count=None)
    failing(write_deals())
    sandbox.control("DELETE", "faults")
    [entry] = Ledger(str(home / "ledger")).entries(collection)
    assert resume(collection, entry.upload.id).is_completed()


@pytest.mark.slow
def test_an_unknown_request_id_is_answered_with_the_known(sync: Sync, write_deals: WriteDeals, collection: str, sandbox: Sandbox) -> None:
    sync(write_deals())
    [upload] = sandbox.control("GET", "uploads")
    error = resume(collection, "no-such-request").result(raise_on_failure=False)
    assert isinstance(error, UsageError)
    assert "no-such-request" in str(error)
    assert upload["id"] in str(error)


@pytest.mark.slow
def test_with_nothing_left_resume_does_nothing(sync: Sync, write_deals: WriteDeals, collection: str, asked: Asked) -> None:
    sync(write_deals())
    state = resume(collection)
    assert (state.name, state.is_completed()) == ("NothingNew", True)
    assert asked("POST", "*/append") == 1


def test_a_collection_that_was_never_synced_is_no_nothing_left(collection: str, home: Path) -> None:
    """The ledger may be another one, or the id mistyped; and the attempt leaves no collection behind in it."""
    state = resume(collection)
    assert isinstance(state.result(raise_on_failure=False), UsageError)
    assert f"knows no collection {collection!r}" in (state.message or "")
    assert Ledger(str(home / "ledger")).collections() == []


@pytest.mark.slow
def test_what_was_never_accepted_cannot_be_resumed(
    failing: Failing, write_deals: WriteDeals, fault: Fault, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    fault("status", "*/append", "POST", status=503, count=None)
    failing(write_deals())
    error = resume(collection).result(raise_on_failure=False)
    assert isinstance(error, UsageError)
    assert "dealcast sync" in str(error)


def test_a_changed_export_after_a_break_settles_the_earlier_upload_first(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, sandbox: Sandbox, held: Held
) -> None:
    """The accepted upload is learned about before the export is compared, so its rows are not sent again."""
    fault("status", "*/append/*", status=401, count=None)
    failing(write_deals(5))
    sandbox.control("DELETE", "faults")
    outcome = sync(write_deals(4, {"id": "5", "value": "5"})).result()
    assert (outcome.entry.rows, outcome.entry.unchanged) == (1, 4)
    assert held()["5"]["value"] == "5"


@pytest.mark.slow
def test_an_upload_that_the_platform_lost_is_sent_again(
    failing: Failing, sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault("status", "*/append/*", status=401, count=None)
    failing(write_deals())
    sandbox.control("DELETE", "faults")
    monkeypatch.setattr("flows.delivery.poll._GRACE", 0.0)
    fault("status", "*/append/*", status=404)
    state = sync(write_deals())
    assert state.is_completed(), state.message
    assert asked("POST", "*/append") == 2


def test_the_ledger_holds_no_row(sync: Sync, write_deals: WriteDeals, home: Path) -> None:
    """Ids and hashes of contents, counts and times: none of what a row says."""
    sync(write_deals(3, description="Giraffe", companyCity="Tromsoe"))
    files = [path for path in (home / "ledger").rglob("*") if path.is_file()]
    assert files
    assert not any(word in path.read_bytes() for path in files for word in (b"Giraffe", b"Tromsoe"))
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), TerminationSignal(15), None])
def test_what_ended_a_run_is_found_behind_the_error_that_it_led_to(signal: BaseException | None) -> None:
    """Prefect's engine fails with an error of its own where a signal comes while it begins a task."""
    error = ValueError("Task run is not set")
    error.__context__ = signal or UsageError("an error of its own")
    assert interrupted_by(error) is signal


def test_no_forecast_while_another_upload_is_open(
    failing: Failing,
    write_deals: WriteDeals,
    fault: Fault,
    sandbox: Sandbox,
    platform: Nostradamus,
    asked: Asked,
    collection: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An older sync is resumed while the platform is at work on a newer one: it waits, and the forecast is of both."""
    fault("status", "*/append/*", status=401, count=None)
    failing(write_deals())
    sandbox.control("DELETE", "faults")
    ledger = Ledger(str(home / "ledger"))
    [older] = ledger.entries(collection)
    fault("stuck", "*/append", "POST")
    newer = older.upload.model_copy(update={"id": platform.append(collection, write_deals(4)).id})
    ledger.write(older.model_copy(update={"fingerprint": "newer", "number": older.number + 1, "upload": newer}))
    with monkeypatch.context() as patience:
        patience.setenv("DEALCAST_DEADLINE", "0.3")
        assert resume(collection, older.upload.id).is_failed()
    assert asked("POST", "/api/invocation") == 0
    sandbox.control("DELETE", "faults")
    state = resume(collection, None)
    assert state.result().entry.upload.id == newer.id
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (2, 1)

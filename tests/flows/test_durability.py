"""What is begun is known, however it ends: outages, lost answers, deadlines, other machines, other ledgers."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State

from deployments.sandbox import Sandbox
from flows.delivery import poll as waiting
from flows.errors import DeadlinePassed, NotFound, StoppedByGuard, UsageError
from flows.ledger.store import Entry, Ledger
from flows.nostradamus import Nostradamus
from flows.sync_deals import resume_sync
from tests.conftest import sampled, wait_for

if TYPE_CHECKING:
    from tests.flows.conftest import Asked, Failing, Fault, Held, Sync, WriteDeals

Entries = Callable[[], list[Entry]]


@pytest.fixture
def entries(home: Path, collection: str) -> Entries:
    return lambda: Ledger(str(home / "ledger")).entries(collection)


def values(held: Held) -> dict[str, str]:
    return {identifier: row["value"] for identifier, row in held().items()}


def resumed(collection: str) -> State[Any]:
    return resume_sync(collection, return_state=True)


HOURS = range(24) if os.environ.get("DEALCAST_FAULTS") == "full" else (2, 9, 17)
"""At which a sync meets the outage: ``make faults`` tries each of a day."""


@pytest.mark.slow
def test_after_an_outage_of_a_day_every_change_arrives_in_one_append(
    sync: Sync, write_deals: WriteDeals, sandbox: Sandbox, fault: Fault, held: Held, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hourly runs, three of which find the export changed; the platform takes one append, of what changed."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    assert sync(write_deals(4), forecast="never").is_completed()
    for method in ("GET", "POST"):
        fault("status", "*", method, status=503, count=None)
    changes: list[dict[str, str]] = []
    for hour in HOURS:
        if hour in (2, 9, 17):
            changes.append({"value": f"{hour}.50"})
        assert sync(write_deals(4, *changes), forecast="never").is_failed(), "nothing is called new or old without the platform's word"
    sandbox.control("DELETE", "faults")
    assert sync(write_deals(4, *changes), forecast="never").is_completed()
    assert sync(write_deals(4, *changes), forecast="never").name == "NothingNew"
    assert {key: value for key, value in values(held).items() if key.startswith("extra")} == {
        "extra-0": "2.50",
        "extra-1": "9.50",
        "extra-2": "17.50",
    }
    assert len(sandbox.control("GET", "uploads")) == 2
    assert asked("POST", "*/append") == 2, "none met the outage: each run asks something small first"


def test_what_a_lost_append_may_have_changed_is_sent_again_even_if_it_is_taken_back(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, held: Held, entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The platform took the change, the answer was lost, and the CRM went back to the value that was sent before."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    sync(write_deals(3), forecast="never")
    fault("drop_after_commit", "*/append", "POST")
    assert "may or may not have been accepted" in str(failing(write_deals(2, {"id": "3", "value": "900.00"})))
    assert values(held)["3"] == "900.00"
    assert sync(write_deals(3), forecast="never").is_completed()
    assert values(held)["3"] == "1000.00"
    assert [entry.upload.state for entry in entries()] == ["completed", "superseded", "completed"]


@pytest.mark.slow
def test_an_upload_that_the_platform_takes_in_late_is_made_good_by_the_first_sync_after_the_deadline(
    sync: Sync,
    failing: Failing,
    write_deals: WriteDeals,
    fault: Fault,
    held: Held,
    entries: Entries,
    platform: Nostradamus,
    home: Path,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answer was lost, and newer deals went in before it: no sync sees that it overwrites them (A)."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    sync(write_deals(3), forecast="never")
    fault("drop", "*/append", "POST")
    lost = write_deals(2, {"id": "3", "value": "900.00"}, name="lost.csv")
    failing(lost)
    newest = write_deals(2, {"id": "3", "value": "500.00"})
    assert sync(newest, forecast="never").is_completed()
    late = platform.upload(collection, lost)
    wait_for(lambda: platform.upload_status(collection, late.id).status == "completed", "the platform to take it in")
    assert values(held)["3"] == "900.00"
    assert sync(newest, forecast="never").name == "NothingNew", "the deadline has not passed"
    ledger = Ledger(str(home / "ledger"))
    for entry in entries():
        if entry.late_since is not None:
            ledger.write(entry.model_copy(update={"late_since": entry.late_since - timedelta(hours=1)}))
    assert sync(newest, forecast="never").result().entry.rows == 1
    assert values(held)["3"] == "500.00"
    assert sync(newest, forecast="never").name == "NothingNew"


@pytest.mark.slow
@pytest.mark.parametrize("status", sampled([500, 502, 504]))
def test_an_answer_of_5xx_does_not_say_that_nothing_was_done(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, held: Held, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    sync(write_deals(3), forecast="never")
    fault("status_after_commit", "*/append", "POST", status=status)
    failing(write_deals(2, {"id": "3", "value": "900.00"}))
    assert sync(write_deals(3), forecast="never").is_completed()
    assert values(held)["3"] == "1000.00"


@pytest.mark.slow
def test_a_doubt_outlives_a_later_refusal(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "1")
    sync(write_deals(3), forecast="never")
    fault("drop_after_commit", "*/append", "POST")
    fault("status", "*/append", "POST", status=400)
    assert failing(write_deals(2, {"id": "3", "value": "900.00"})).exit_code == 5
    assert sync(write_deals(3), forecast="never").is_completed()
    assert values(held)["3"] == "1000.00"


@pytest.mark.slow
def test_a_lost_override_puts_all_that_was_known_in_doubt(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have removed the deals that it did not send, so an append sends them again."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    sync(write_deals(4), forecast="never")
    fault("drop_after_commit", "*/override", "POST")
    failing(write_deals(1, first=4), mode="override", accept_shrink=True)
    assert sync(write_deals(4), forecast="never").is_completed()
    assert sorted(values(held)) == ["1", "2", "3", "4"]


@pytest.mark.slow
def test_an_override_removes_what_a_lost_append_may_have_added(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though every deal of the export is known to be held as it is."""
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    export = write_deals(3)
    sync(export)
    fault("drop_after_commit", "*/append", "POST")
    failing(write_deals(4, name="new.csv"))
    assert set(held()) == {"1", "2", "3", "4"}
    assert sync(export, mode="override", accept_shrink=True).is_completed()
    assert set(held()) == {"1", "2", "3"}


@pytest.mark.slow
def test_an_override_of_what_is_held_sends_nothing(sync: Sync, write_deals: WriteDeals, asked: Asked) -> None:
    export = write_deals(3)
    sync(export, mode="override")
    again = sync(export, mode="override")
    assert again.name == "NothingNew"
    assert "Nothing new since the last completed sync (request " in str(again.message)
    assert (asked("POST", "*/override"), asked("POST", "/api/invocation")) == (1, 1)
    assert sync(export, mode="override", full=True).is_completed()
    assert asked("POST", "*/override") == 2


@pytest.mark.slow
def test_the_deadline_runs_on_between_runs(
    failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts from acceptance, as the ledger has it: the next run looks once and ends."""
    monkeypatch.setenv("DEALCAST_DEADLINE", "1")
    fault("stuck", "*/append", "POST")
    assert isinstance(failing(write_deals()), DeadlinePassed)
    looks = asked("GET", "*/append/*")
    error = failing(write_deals())
    assert isinstance(error, DeadlinePassed)
    assert "dealcast resume --collection" in str(error)
    assert (asked("POST", "*/append"), asked("GET", "*/append/*")) == (1, looks + 1)


def test_a_platform_that_is_gone_while_it_is_waited_for_ends_at_the_deadline(
    failing: Failing, write_deals: WriteDeals, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_DEADLINE", "1")
    fault("drop", "*/append/*", "GET", count=None)
    error = failing(write_deals())
    assert isinstance(error, DeadlinePassed)
    assert "out of sight" in str(error)


@pytest.mark.slow
def test_a_stall_is_told_by_the_collection_s_own_history(
    sync: Sync,
    write_deals: WriteDeals,
    entries: Entries,
    home: Path,
    fault: Fault,
    told: list[str],
) -> None:
    sync(write_deals(), forecast="never")
    [entry] = entries()
    assert entry.upload.accepted_at is not None
    quick = entry.upload.model_copy(update={"completed_at": entry.upload.accepted_at + timedelta(seconds=0.01)})
    Ledger(str(home / "ledger")).write(entry.model_copy(update={"upload": quick}))
    fault("altered", "*/append/*", fields={"status": "in_progress"}, count=20)
    assert sync(write_deals(4), forecast="never").is_completed()
    assert any("stalled? It usually takes 0 s" in line for line in told)


def test_another_machine_goes_on_with_the_ledger_alone(
    failing: Failing,
    write_deals: WriteDeals,
    sandbox: Sandbox,
    fault: Fault,
    asked: Asked,
    home: Path,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No export, no staging, another home: the append is not sent again, and the forecast is downloaded there."""
    monkeypatch.setenv("DEALCAST_LEDGER", str(home / "shared"))
    with monkeypatch.context() as patience:
        patience.setenv("DEALCAST_DEADLINE", "0.5")
        fault("stuck", "*/append", "POST")
        failing(write_deals())
    sandbox.control("DELETE", "faults")
    monkeypatch.setenv("DEALCAST_HOME", str(home / "elsewhere"))
    assert resumed(collection).is_completed()
    assert (home / "elsewhere" / "forecasts" / collection / "forecast.xlsx").exists()
    assert (home / "elsewhere" / "forecasts" / collection / "certificate.json").exists()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 1)
    assert resumed(collection).name == "NothingNew"


@pytest.mark.slow
def test_a_ledger_that_is_no_folder(
    sync: Sync,
    failing: Failing,
    write_deals: WriteDeals,
    fault: Fault,
    sandbox: Sandbox,
    asked: Asked,
    home: Path,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DEALCAST_LEDGER", f"memory://{home.parent.name}/ledger")
    with monkeypatch.context() as patience:
        patience.setenv("DEALCAST_DEADLINE", "0.5")
        fault("stuck", "*/append", "POST")
        failing(write_deals())
    sandbox.control("DELETE", "faults")
    assert resumed(collection).is_completed()
    assert sync(write_deals()).name == "NothingNew"
    assert (asked("POST", "*/append"), (home / "ledger").exists()) == (1, False)


@pytest.mark.slow
def test_resume_of_what_was_not_accepted_says_to_sync(
    failing: Failing, write_deals: WriteDeals, fault: Fault, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEALCAST_SEND_RETRIES", "0")
    fault("drop", "*/append", "POST")
    failing(write_deals())
    error = resumed(collection).result(raise_on_failure=False)
    assert isinstance(error, UsageError)
    assert "run the same `dealcast sync` again" in str(error)


@pytest.mark.slow
def test_an_upload_that_never_ends_can_be_forgotten(
    failing: Failing,
    sync: Sync,
    write_deals: WriteDeals,
    sandbox: Sandbox,
    fault: Fault,
    held: Held,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its deals are in doubt from then on: the one that it had changed goes out again, though the export took the change back."""
    sync(write_deals(3), forecast="never")
    with monkeypatch.context() as patience:
        patience.setenv("DEALCAST_DEADLINE", "0.5")
        fault("stuck", "*/append", "POST")
        for _ in range(2):
            assert isinstance(failing(write_deals(2, {"id": "3", "value": "900.00"})), DeadlinePassed)
    forgotten = resume_sync(collection, forget=True, return_state=True)
    assert (forgotten.name, "is forgotten" in str(forgotten.message)) == ("Forgotten", True)
    sandbox.control("DELETE", "faults")  # the platform gets over it after all
    assert sync(write_deals(4), forecast="never").is_completed()
    assert values(held) == dict.fromkeys("1234", "1000.00")


@pytest.mark.slow
def test_a_forecast_that_never_ends_can_be_forgotten(
    failing: Failing, sync: Sync, write_deals: WriteDeals, fault: Fault, asked: Asked, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patience:
        patience.setenv("DEALCAST_DEADLINE", "0.5")
        fault("stuck", "/api/invocation", "POST")
        assert isinstance(failing(write_deals()), DeadlinePassed)
    assert resume_sync(collection, forget=True, return_state=True).name == "Forgotten"
    assert sync(write_deals()).is_completed()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 2)


@pytest.mark.slow
def test_resuming_what_has_ended_leaves_the_newest_forecast_alone(
    sync: Sync, write_deals: WriteDeals, entries: Entries, collection: str, home: Path
) -> None:
    sync(write_deals(3))
    sync(write_deals(5))
    folder = home / "forecasts" / collection
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again = resume_sync(collection, entries()[0].upload.id, return_state=True)
    assert again.name == "NothingNew"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_slot_that_another_machine_holds_is_not_taken(
    sync: Sync, failing: Failing, write_deals: WriteDeals, home: Path, collection: str
) -> None:
    """It is named, and its lease, not the next sync, ends it where it died."""
    sync(write_deals(), forecast="never")
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots([f"dealcast-{collection}"], 1, "concurrency")
    Ledger(str(home / "ledger")).put(collection, "_holder.json", b'{"host": "elsewhere", "pid": "1", "since": "now", "flow_run": "x"}')
    error = str(failing(write_deals(2)))
    assert "process 1 on elsewhere" in error
    assert f"prefect gcl delete dealcast-{collection}" in error


@pytest.mark.slow
def test_a_request_that_the_platform_lost_is_in_doubt_and_sent_again(
    sync: Sync,
    failing: Failing,
    write_deals: WriteDeals,
    fault: Fault,
    asked: Asked,
    collection: str,
    entries: Entries,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "_GRACE", 0.0)
    fault("status", "*/append/*", "GET", status=404, count=2)
    assert isinstance(failing(write_deals()), NotFound)
    assert isinstance(failing(write_deals(0, name="none.csv")), StoppedByGuard)
    assert "was not accepted (unknown)" in str(resumed(collection).result(raise_on_failure=False))
    assert sync(write_deals()).is_completed()
    assert asked("POST", "*/append") == 2
    assert [entry.upload.state for entry in entries()] == ["completed"]


@pytest.mark.slow
def test_an_invocation_that_the_platform_lost_is_made_again(
    sync: Sync, failing: Failing, write_deals: WriteDeals, fault: Fault, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_GRACE", 0.0)
    fault("status", "/api/invocation/*", "GET", status=404)
    assert isinstance(failing(write_deals()), NotFound)
    assert sync(write_deals()).is_completed()
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 2)


@pytest.mark.slow
def test_a_ledger_file_that_cannot_be_read_is_named(
    sync: Sync, failing: Failing, write_deals: WriteDeals, entries: Entries, home: Path
) -> None:
    sync(write_deals())
    path = home / "ledger" / entries()[0].collection / f"{entries()[0].fingerprint}.json"
    path.write_text(path.read_text()[:40])
    assert str(path) in str(failing(write_deals()))

"""A run that lost its lock sends no more, and no clock decides which sync is the newer."""

from __future__ import annotations

import json
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prefect._internal.concurrency.cancellation import CancelledError

from flows import tasks
from flows.deals.check_staged import check_against_ledger
from flows.deals.index import index_file
from flows.deals.index.index_file import DealsFile
from flows.deals.index.merge_completed import merge_into_index
from flows.delivery.lifecycle import AcceptedAppend, InvokedForecast
from flows.delivery.submit import begin_send
from flows.errors import FileTrouble, LockLost
from flows.ledger import forecast_history
from flows.ledger.forecast_history import read_history
from flows.ledger.store import HOLDER, Entry, Ledger, Sending
from flows.nostradamus import Nostradamus
from tests.conftest import sampled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Asked, Failing, Held, Sync, WriteDeals

ANOTHER = json.dumps({"host": "elsewhere", "pid": "1", "since": "now"}).encode()


@pytest.fixture
def ledger(home: Path) -> Ledger:
    return Ledger(str(home / "ledger"))


def entry_of(fingerprint: str, created_at: datetime, state: Any = "completed") -> Entry:
    upload = Sending(state=state, intended_at=created_at, id=fingerprint, accepted_at=created_at)
    facts: dict[str, Any] = {"export": {}, "csv_sha256": "", "rows": 0, "quarantined": 0, "totals": {}}
    return Entry(fingerprint=fingerprint, collection="acme", mode="append", created_at=created_at, upload=upload, **facts)


def test_nothing_is_sent_once_another_holds_the_lock(
    failing: Failing, write_deals: WriteDeals, asked: Asked, ledger: Ledger, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a pause: the other's name stands in the ledger by the time the run goes on, and stays there."""

    def paused(_: str, percent: float, words: str) -> None:  # noqa: ARG001 - it has the signature of what it stands for
        if percent == 45:
            ledger.put(collection, HOLDER, ANOTHER)

    monkeypatch.setattr(tasks, "show_progress", paused)
    error = failing(write_deals())
    assert isinstance(error, LockLost)
    assert collection in str(error)
    assert asked("POST", "*/append") == 0
    assert ledger.get(collection, HOLDER) == ANOTHER


def test_each_run_holds_the_lock_under_a_name_that_no_other_has(
    sync: Sync, write_deals: WriteDeals, ledger: Ledger, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run that was paused would take the lock of the next one for its own."""
    names: list[dict[str, str]] = []
    monkeypatch.setattr(tasks, "show_progress", lambda *_: names.append(json.loads(ledger.get(collection, HOLDER) or b"{}")))
    runs = [str(sync(write_deals(rows), forecast="never").state_details.flow_run_id) for rows in (1, 2)]
    assert {(name["host"], name["pid"]) for name in names} == {(socket.gethostname(), str(os.getpid()))}
    assert {name["flow_run"] for name in names} == set(runs)
    assert len({name["token"] for name in names}) == 2


@pytest.mark.slow
def test_no_forecast_is_invoked_once_another_holds_the_lock(
    failing: Failing, write_deals: WriteDeals, asked: Asked, ledger: Ledger, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "check_first_month", lambda *_: ledger.put(collection, HOLDER, ANOTHER))
    assert isinstance(failing(write_deals()), LockLost)
    assert (asked("POST", "*/append"), asked("POST", "/api/invocation")) == (1, 0)


def test_a_send_that_was_on_its_way_as_the_lock_was_lost_is_in_doubt(
    failing: Failing,
    sync: Sync,
    write_deals: WriteDeals,
    held: Held,
    ledger: Ledger,
    collection: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The platform may take it in after what another run sent: its deals go out once more, and then nothing is new."""
    upload = Nostradamus.upload

    def paused(*args: Any, **kwargs: Any) -> Any:
        answer = upload(*args, **kwargs)
        ledger.put(collection, HOLDER, ANOTHER)
        return answer

    with monkeypatch.context() as pause:
        pause.setattr(Nostradamus, "upload", paused)
        assert isinstance(failing(write_deals(3)), LockLost)
    late = ledger.entries(collection)[-1]
    assert (late.fingerprint.endswith("-late"), late.in_doubt, late.number) == (True, True, 2)
    outcome = sync(write_deals(2, {"id": "3", "value": "7.00"}), forecast="never").result()
    assert outcome.entry.rows == 3
    assert held()["3"]["value"] == "7.00"
    assert sync(write_deals(2, {"id": "3", "value": "7.00"}), forecast="never").name == "NothingNew"


@pytest.mark.parametrize("at", sampled(["report", "check", "download"]))
def test_no_file_of_another_run_is_replaced_or_removed_once_it_holds_the_lock(
    failing: Failing, write_deals: WriteDeals, ledger: Ledger, collection: str, home: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """Two machines may share the folder of the forecasts: what lies there is the newer run's."""
    files = {home / "forecasts" / collection / name: name.encode() for name in ("report.md", "forecast.json", "certificate.json")}
    owner, name = {"check": (tasks, "in_data_process"), "download": (Nostradamus, "result"), "report": (tasks, "with_history")}[at]
    before = getattr(owner, name)

    def paused(*args: Any, **kwargs: Any) -> Any:
        made = before(*args, **kwargs)
        if at != "check" or args[0] is check_against_ledger:
            ledger.put(collection, HOLDER, ANOTHER)
            for path, content in files.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return made

    monkeypatch.setattr(owner, name, paused)
    assert isinstance(failing(write_deals()), LockLost)
    assert {path: path.read_bytes() for path in files} == files


def test_the_index_of_a_newer_sync_is_not_replaced(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older one in its place would take deals for held as they were before that sync."""
    content = tmp_path / "content.parquet"
    with DealsFile(content):
        pass
    entry = ledger.write(begin_send(ledger, entry_of("mine", datetime.now(UTC)), content))

    def paused(*_: Any) -> tuple[int, None]:
        ledger.put("acme", HOLDER, ANOTHER)
        return 0, None

    ledger.hold("acme", b"mine")
    monkeypatch.setattr(index_file, "read_footer", paused)
    with pytest.raises(LockLost):
        merge_into_index(ledger, entry)
    assert not ledger.has("acme", "_index.parquet")
    assert not ledger.has("acme", "_export.json")


def test_a_file_that_another_run_made_anew_is_not_set_aside(ledger: Ledger) -> None:
    ledger.hold("acme", b"mine")
    ledger.put("acme", "_index.parquet", b"damaged")
    ledger.put("acme", HOLDER, ANOTHER)
    with pytest.raises(LockLost):
        ledger.set_aside("acme", "_index.parquet")
    assert ledger.has("acme", "_index.parquet")


def test_a_forecast_that_another_run_added_to_the_history_stays(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC)

    def paused(*args: Any) -> Any:
        found = read_history(*args)
        ledger.put("acme", HOLDER, ANOTHER)
        return found

    ledger.hold("acme", b"mine")
    monkeypatch.setattr(forecast_history, "read_history", paused)
    with pytest.raises(LockLost):
        forecast_history.add_forecast(ledger, forecast_history.Invoked(now, now, "EUR", "", "acme", "r", "i", "f"), [("2026-12-01", 1.0)])
    assert not ledger.has("acme", forecast_history.FILE)


@pytest.mark.slow
def test_a_lease_that_ended_during_a_pause_is_told_in_the_same_words(
    failing: Failing, write_deals: WriteDeals, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prefect throws `CancelledError` into the run whose lease it cannot renew."""

    def ended(*_: Any) -> None:
        raise CancelledError

    monkeypatch.setattr(tasks, "poll_append", ended)
    assert isinstance(failing(write_deals()), LockLost)
    assert asked("POST", "/api/invocation") == 0


def test_a_clock_that_was_ahead_makes_no_sync_the_newest(ledger: Ledger, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    content = tmp_path / "content.parquet"
    with DealsFile(content):
        pass
    ahead = ledger.write(begin_send(ledger, entry_of("ahead", now + timedelta(days=10), "unknown"), content))
    newer = ledger.write(begin_send(ledger, entry_of("newer", now), content))
    assert [entry.fingerprint for entry in ledger.entries("acme")] == ["ahead", "newer"]
    merge_into_index(ledger, newer)
    found = ledger.read("acme", ahead.fingerprint)
    last = ledger.last_completed("acme")
    assert found is not None
    assert last is not None
    assert (found.upload.state, last.fingerprint) == ("superseded", "newer")


def test_a_file_of_an_earlier_version_is_older_than_any_of_this(ledger: Ledger, tmp_path: Path) -> None:
    """Whatever its clock said."""
    now = datetime.now(UTC)
    content = tmp_path / "content.parquet"
    with DealsFile(content):
        pass
    ledger.write(entry_of("old", now + timedelta(days=10)))
    ledger.write(begin_send(ledger, entry_of("new", now), content))
    assert [entry.fingerprint for entry in ledger.entries("acme")] == ["old", "new"]


def test_a_deadline_passes_though_the_clock_was_ahead_at_acceptance(ledger: Ledger) -> None:
    entry = entry_of("ahead", datetime.now(UTC) + timedelta(days=10), "accepted")
    assert AcceptedAppend.of(entry, ledger).accepted_at <= datetime.now(UTC)


def test_a_deadline_passes_though_the_clock_is_set_back_during_the_wait() -> None:
    """By the time that this run itself has waited."""
    ahead = datetime.now(UTC) + timedelta(days=10)
    upload = AcceptedAppend("acme", "f", "r", ahead, begun=time.monotonic() - 3600)
    assert upload.waited >= 3600
    assert InvokedForecast("acme", "f", "i", ahead, begun=time.monotonic() - 3600).waited >= 3600
    assert AcceptedAppend("acme", "f", "r", datetime.now(UTC) - timedelta(days=1)).waited >= 86_400


def test_what_is_waited_for_has_a_name() -> None:
    """Messages begin with it, and it is what a user tells the platform's people."""
    assert AcceptedAppend("acme", "f", "r1", datetime.now(UTC)).name == "append request r1"
    assert InvokedForecast("acme", "f", "i1", datetime.now(UTC)).name == "invocation i1"


def test_a_ledger_that_is_away_as_the_lock_is_let_go_undoes_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the run came to would be told as a failure."""

    def away(*_: Any) -> bytes:
        raise FileTrouble

    ledger.hold("acme", b"mine")
    with monkeypatch.context() as outage:
        outage.setattr(Ledger, "get", away)
        ledger.let_go("acme")
    ledger.require_lock("acme")
    ledger.hold("acme", b"next")
    ledger.let_go("acme")
    assert not ledger.has("acme", HOLDER)


def test_what_a_killed_holder_was_writing_is_removed(ledger: Ledger, home: Path) -> None:
    ledger.put("acme", "_name.txt", b"Acme")
    left = home / "ledger" / "acme" / "__index.parquet.4711.tmp"
    left.write_bytes(b"half")
    ledger.hold("acme", b"{}")
    ledger.let_go("acme")
    assert sorted(path.name for path in left.parent.iterdir()) == ["_name.txt"]
